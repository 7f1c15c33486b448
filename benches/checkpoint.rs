//! What the checkpoint costs as the ledger grows: a walk of 500 changes committed with fsync, the bytes it adds to the
//! file, and opening the file again.
//!
//! `cargo bench --bench checkpoint`. The commit is measured beside a plain write and fsync of as many bytes as the changes
//! have on the same disk, in turns within one run; opening is measured in a process of its own, for its peak of memory.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jelou_exporter::domain::conversation::{Conversation, Origin, Reason, State};
use jelou_exporter::domain::distribution::Layout;
use jelou_exporter::domain::ledger::{Ledger, LedgerSettings, Walked};
use jelou_exporter::domain::plan::{Plan, PlanSettings};
use jelou_exporter::domain::reading::{Page, Row};
use jelou_exporter::domain::time::{Range, UnixMillis};
use jelou_exporter::store::Store;

const NOW: i64 = 1_700_000_000;
const WEEK: i64 = 7 * 86_400;
const CHANGES: usize = 500;
const WALKS: usize = 15;
/// What an entry takes on the disk, id included.
const ENTRY_BYTES: usize = 80;
const PLAN: PlanSettings =
    PlanSettings { interval: 60, overlap: 600, horizon: WEEK, sweep_interval: 21_600, initial_lookback: 86_400 };

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, path] = &arguments[..]
        && word == "restore"
    {
        restore(Path::new(path));
        return;
    }
    let sizes: &[usize] =
        if arguments.iter().any(|word| word == "--bench") { &[10_000, 100_000, 1_000_000] } else { &[1_000] };
    for size in sizes {
        measure(*size, &arguments[0]);
    }
}

fn measure(size: usize, program: &str) {
    let folder = std::env::temp_dir().join(format!("jelou-exporter-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let (path, beside) = (folder.join("state.db"), folder.join("plain"));
    let (mut store, _) = Store::open(&path, "default").expect("a new checkpoint");
    let (mut ledger, plan) = (ledger(), Plan::new(PLAN, NOW - WEEK));
    for from in (0..size).step_by(10_000) {
        fold(&mut ledger, from..(from + 10_000).min(size), false);
        commit(&mut store, &mut ledger, &plan);
    }
    let (mut commits, mut plains) = (Vec::new(), Vec::new());
    let before = store.size();
    for walk in 0..WALKS {
        let first = (walk * 7919 * CHANGES) % (size - CHANGES);
        fold(&mut ledger, first..first + CHANGES, true);
        commits.push(time(|| commit(&mut store, &mut ledger, &plan)));
        plains.push(time(|| {
            let mut file = File::create(&beside).expect("a file");
            file.write_all(&[7; CHANGES * ENTRY_BYTES]).and_then(|()| file.sync_all()).expect("written");
        }));
    }
    let after = store.size();
    drop(store);
    let restored = Command::new(program).args(["restore".as_ref(), path.as_os_str()]).output().expect("a child");
    println!(
        "{size} conversations: {CHANGES} changes committed in {:.2?}, a plain write and fsync of as many bytes takes {:.2?}; \
         the file was {:?} and is {:?} bytes after {WALKS} walks; {}",
        median(commits),
        median(plains),
        before.unwrap_or_default(),
        after.unwrap_or_default(),
        String::from_utf8_lossy(&restored.stdout).trim()
    );
    fs::remove_dir_all(&folder).expect("removed");
}

fn restore(path: &Path) {
    let began = Instant::now();
    let (store, image) = Store::open(path, "default").expect("the checkpoint opens");
    let image = image.expect("it holds something");
    let now = UnixMillis::from_seconds(NOW);
    let mut ledger = Ledger::restore(settings(), image.kept, image.pairs, image.conversations);
    store.conversations(|id, entry| ledger.take_back(id, entry, now)).expect("readable conversations");
    let took = began.elapsed();
    let status = fs::read_to_string("/proc/self/status").expect("a process has a status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    println!("{} restored in {took:.2?}, peak resident memory {peak}", ledger.len());
}

fn settings() -> LedgerSettings {
    let layout = Arc::new(Layout::new([60_000, 300_000, 3_600_000], 3));
    LedgerSettings {
        reply: Arc::clone(&layout),
        duration: layout,
        reply_target: 300_000,
        excluded_origins: Vec::new(),
        recent_window: 3_600_000,
        max_label_sets: 2000,
        stale_after: 900_000,
        count_initial: true,
    }
}

fn ledger() -> Ledger {
    let now = UnixMillis::from_seconds(NOW);
    let mut ledger = Ledger::new(settings(), now, UnixMillis::from_seconds(NOW - WEEK));
    ledger.draw_zero_line(now);
    ledger
}

/// Reads these conversations, which are spread over the week; twice, so that they are settled, unless they change.
fn fold(ledger: &mut Ledger, numbers: std::ops::Range<usize>, change: bool) {
    let rows: Vec<Row> = numbers.map(|number| Row::Conversation(conversation(number, change))).collect();
    for _ in 0..if change { 1 } else { 2 } {
        ledger.begin_poll();
        let pages =
            vec![Page { rows: rows.clone(), total: None, sent_at: UnixMillis::from_seconds(NOW), server_date: None }];
        let range = Range::new(NOW - WEEK, NOW);
        ledger.fold(&Walked { range, narrow: false, complete: false, pages }).expect("one company");
    }
}

fn conversation(number: usize, changed: bool) -> Conversation {
    let start = UnixMillis::from_seconds(NOW - WEEK + (number as i64 * 7919) % WEEK);
    Conversation {
        id: format!("6481f0d9{number:016x}").as_str().into(),
        start,
        end: Some(start + 600_000),
        state: State::Closed,
        reason: if changed { Reason::Expired } else { Reason::ClosedByOperator },
        origin: Origin::Organic,
        bot: format!("bot {}", number % 3).into(),
        team: format!("team {}", number % 5).into(),
        company: Some("1".into()),
        reply: Some(30_000 + number as u64 % 300_000),
        stated_duration: Some(600_000),
    }
}

fn commit(store: &mut Store, ledger: &mut Ledger, plan: &Plan) {
    store.commit(&ledger.changes(), &plan.kept()).expect("committed");
    ledger.committed();
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
