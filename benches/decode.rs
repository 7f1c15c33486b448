//! Decoding one page and folding it into the ledger, beside plain serde_json into the same wire types.
//!
//! All are measured in turns within one run, so that whatever else the machine does weighs on all alike, and the
//! medians are compared. `cargo bench --bench decode`.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jelou_exporter::domain::conversation::Origin;
use jelou_exporter::domain::distribution::Layout;
use jelou_exporter::domain::ledger::{Ledger, LedgerSettings, Walked};
use jelou_exporter::domain::reading::Page;
use jelou_exporter::domain::time::{Range, UnixMillis};
use jelou_exporter::jelou::decode::decode;
use jelou_exporter::jelou::lenient::Obj;
use jelou_exporter::jelou::wire::{Answer, Record};
use jiff::tz::TimeZone;

const ROUNDS: usize = 2000;
/// 2023-06-08 in Guayaquil, and an instant soon after.
const RANGE: Range = Range::new(1_686_200_400, 1_686_286_799);
const NOW: UnixMillis = UnixMillis(1_686_290_000_000);

fn main() {
    // Cargo passes --bench; `cargo test` runs this file without it, and then once is enough to see that it works.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 2 };
    // Each round has its own page, as each of its rows is new to the ledger once.
    let pages: Vec<String> = (0..rounds).map(|number| page(number, 50)).collect();
    for name in ["America/Guayaquil", "America/New_York"] {
        let zone = TimeZone::get(name).expect("the zones are bundled");
        let mut ledger = ledger();
        let mut times: [Vec<Duration>; 4] = Default::default();
        for body in &pages {
            let body = body.as_bytes();
            times[0].push(time(|| {
                drop(black_box(serde_json::from_slice::<Obj<Answer<'_, Obj<Record<'_>>>>>(black_box(body))));
            }));
            times[1].push(time(|| drop(black_box(decode(black_box(body), RANGE, &zone)))));
            // First the rows are new, then they are known and unchanged, as most are that a poll reads.
            for times in &mut times[2..] {
                ledger.begin_poll();
                times.push(time(|| fold(&mut ledger, body, &zone)));
                // As after every walk; how long that takes is another benchmark's matter.
                ledger.committed();
            }
        }
        let [plain, decoded, new, known] = times.map(median);
        let share = |of: Duration| 100.0 * plain.as_secs_f64() / of.as_secs_f64();
        println!(
            "{name}: {} bytes, plain serde_json {plain:?}; decode {decoded:?} ({:.1} % of its speed), \
             decode and fold new rows {new:?} ({:.1} %), known rows {known:?} ({:.1} %)",
            pages[0].len(),
            share(decoded),
            share(new),
            share(known),
        );
    }
}

fn fold(ledger: &mut Ledger, body: &[u8], zone: &TimeZone) {
    let decoded = decode(black_box(body), RANGE, zone).expect("the page can be read");
    let pages = vec![Page { rows: decoded.rows, total: decoded.total, sent_at: NOW, server_date: Some(NOW) }];
    ledger.fold(&Walked { range: RANGE, narrow: false, complete: false, pages }).expect("one company");
}

/// A ledger with the default settings that has begun to count.
fn ledger() -> Ledger {
    let minutes = |bounds: &[u64]| Arc::new(Layout::new(bounds.iter().map(|bound| bound * 60_000), 3));
    let settings = LedgerSettings {
        reply: minutes(&[1, 2, 3, 5, 10, 15, 30, 60, 120, 240, 480]),
        duration: minutes(&[1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 720, 1440]),
        reply_target: 300_000,
        excluded_origins: vec![Origin::Broadcast, Origin::InducedByOperator],
        recent_window: 3_600_000,
        max_label_sets: 2000,
        stale_after: 900_000,
        count_initial: false,
    };
    let mut ledger = Ledger::new(settings, NOW, UnixMillis::from_seconds(RANGE.start));
    ledger.draw_zero_line(NOW);
    ledger
}

fn time(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A page as the upstream lists it.
fn page(number: usize, rows: usize) -> String {
    let mut results = String::new();
    for row in 0..rows {
        let separator = if row == 0 { "" } else { "," };
        let (minute, second) = (row % 60, row * 7 % 60);
        write!(
            results,
            r#"{separator}{{"_id":"6481f0d9{number:06x}{row:010x}","operator":{{"names":"An Operator","team":"Support"}},"user":{{"id":"5939912345{row:02}"}},"bot":{{"name":"Jelou Dev WhatsApp"}},"company":{{"id":123}},"assignationMethod":{{"teamName":"Frontend"}},"state":"expired","endedReason":"expired","startAt":"2023-06-08 15:{minute:02}:{second:02}","endAt":"2023-06-08 23:07:56","origin":"ticket","timeRepliedOperator":{},"conversationDuration":{}}}"#,
            795_880 + row,
            26_115_953 - row
        )
        .expect("writing to a string");
    }
    format!(
        r#"{{"message":["Retrieving conversations succeeded"],"status":"success","results":[{results}],"pagination":{{"limit":50,"total":{rows},"offset":0,"totalPages":1}},"links":[{{"number":1,"url":"/v1/metrics/conversations/attended/external?limit=50&page=1"}}]}}"#
    )
}
