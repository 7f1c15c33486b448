//! Decoding one page, beside plain serde_json into the same wire types.
//!
//! Both are measured in turns within one run, so that whatever else the machine does weighs on both alike, and the
//! medians are compared. `cargo bench --bench decode`.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use jelou_exporter::domain::time::Range;
use jelou_exporter::jelou::decode::decode;
use jelou_exporter::jelou::lenient::Obj;
use jelou_exporter::jelou::wire::{Answer, Record};
use jiff::tz::TimeZone;

const ROUNDS: usize = 2000;
/// Pages a round, so that the clock's own cost does not show.
const PAGES: u32 = 10;

fn main() {
    // Cargo passes --bench; `cargo test` runs this file without it, and then once is enough to see that it works.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let body = page(50);
    let body = body.as_bytes();
    // 2023-06-08 in Guayaquil.
    let range = Range::new(1_686_200_400, 1_686_286_799);
    for name in ["America/Guayaquil", "America/New_York"] {
        let zone = TimeZone::get(name).expect("the zones are bundled");
        let plain = || drop(black_box(serde_json::from_slice::<Obj<Answer<'_, Obj<Record<'_>>>>>(black_box(body))));
        let decoded = || drop(black_box(decode(black_box(body), range, &zone)));
        let (plain, decoded) = medians(rounds, plain, decoded);
        println!(
            "{name}: {} bytes, plain serde_json {plain:?}, decode {decoded:?}: {:.1} % of its speed",
            body.len(),
            100.0 * plain.as_secs_f64() / decoded.as_secs_f64()
        );
    }
}

/// The median time of one page for each of the two, taken in turns.
fn medians(rounds: usize, one: impl Fn(), other: impl Fn()) -> (Duration, Duration) {
    let (mut ones, mut others) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
    for _ in 0..rounds {
        ones.push(time(&one));
        others.push(time(&other));
    }
    (median(ones), median(others))
}

fn time(work: &impl Fn()) -> Duration {
    let began = Instant::now();
    for _ in 0..PAGES {
        work();
    }
    began.elapsed() / PAGES
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// A page as the upstream lists it.
fn page(rows: usize) -> String {
    let mut results = String::new();
    for row in 0..rows {
        let separator = if row == 0 { "" } else { "," };
        let (minute, second) = (row % 60, row * 7 % 60);
        write!(
            results,
            r#"{separator}{{"_id":"6481f0d9c3b2a1{row:010x}","operator":{{"names":"An Operator","team":"Support"}},"user":{{"id":"5939912345{row:02}"}},"bot":{{"name":"Jelou Dev WhatsApp"}},"company":{{"id":123}},"assignationMethod":{{"teamName":"Frontend"}},"state":"expired","endedReason":"expired","startAt":"2023-06-08 15:{minute:02}:{second:02}","endAt":"2023-06-08 23:07:56","origin":"ticket","timeRepliedOperator":{},"conversationDuration":{}}}"#,
            795_880 + row,
            26_115_953 - row
        )
        .expect("writing to a string");
    }
    format!(
        r#"{{"message":["Retrieving conversations succeeded"],"status":"success","results":[{results}],"pagination":{{"limit":50,"total":{rows},"offset":0,"totalPages":1}},"links":[{{"number":1,"url":"/v1/metrics/conversations/attended/external?limit=50&page=1"}}]}}"#
    )
}
