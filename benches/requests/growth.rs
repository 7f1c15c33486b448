//! Time and written bytes of one poll as the ledger grows, with the checkpoint on a disk.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use jelou_exporter::domain::ledger::{Ledger, Walked};
use jelou_exporter::domain::plan::{KeptPlan, Plan};
use jelou_exporter::domain::reading::{Page, Row};
use jelou_exporter::domain::time::{Range, UnixMillis};
use jelou_exporter::store::Store;

use crate::driver::{Measured, PLAN, ledger_settings, run};
use crate::world::{BEGIN, HOUR, WEEK, World};

/// Seconds between two new conversations, and between two that pass the horizon, whatever the size of the ledger.
const STEP: i64 = 6;
const OPEN: usize = 50;

pub(crate) fn table(sizes: &[usize], polls: usize) {
    println!(
        "One poll beside the size of the ledger: as many new conversations and as many forgotten in each, {OPEN} open ones \
         spread over the week, the checkpoint on the disk; median and worst of {polls} polls, the upstream's time left out\n"
    );
    println!("| conversations |   requests | milliseconds |   KiB written |");
    println!("|--------------:|-----------:|-------------:|--------------:|");
    let mut written = Vec::new();
    for size in sizes {
        let measured = measure(*size, polls);
        let of = |part: fn(&Measured) -> f64| {
            let mut parts: Vec<f64> = measured.iter().map(part).collect();
            parts.sort_by(f64::total_cmp);
            format!("{:.1}, {:.1}", parts[parts.len() / 2], parts[parts.len() - 1])
        };
        println!(
            "| {size:>13} | {:>10} | {:>12} | {:>13} |",
            of(|(_, poll, _)| (poll.newest + poll.unsettled) as f64),
            of(|(.., cost)| cost.time.as_secs_f64() * 1e3),
            of(|(.., cost)| cost.written as f64 / 1024.0),
        );
        written.push(measured.iter().map(|(.., cost)| cost.written).max().unwrap_or_default());
    }
    // A tree of a hundred times as many is a level or two higher. Times are left to the reader: other programs run, too.
    let (least, most) = (written.iter().min(), written.iter().max());
    assert!(most <= least.map(|least| 2 * least).as_ref(), "the bytes grow with the ledger: {written:?}");
}

fn measure(size: usize, polls: usize) -> Vec<Measured> {
    let folder = std::env::temp_dir().join(format!("jelou-exporter-requests-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let world = Arc::new(world(size));
    let parts = kept(&world, &folder.join("state.db"));
    let measured = run(&world, parts, BEGIN + 600, polls, u64::MAX);
    fs::remove_dir_all(&folder).expect("removed");
    measured
}

/// A ledger of so many conversations. The oldest and the newest hours are alike in all sizes, the rest lies between.
fn world(size: usize) -> World {
    let edge = (HOUR * 3).min(size as i64 / 4 * STEP);
    let (first, last) = (BEGIN - WEEK, BEGIN + 4 * HOUR);
    let mut starts: Vec<i64> = (first..first + edge).step_by(STEP as usize).collect();
    let between = size as i64 - 2 * starts.len() as i64;
    let middle = BEGIN - edge - (first + edge);
    starts.extend((0..between).map(|n| first + edge + n * middle / between));
    starts.extend((BEGIN - edge..last).step_by(STEP as usize));
    let mut open = vec![false; starts.len()];
    // None of the oldest ones, which are forgotten meanwhile.
    let (from, all) = (size / 4, size / 2);
    (0..OPEN).for_each(|n| open[from + n * all / OPEN] = true);
    World { starts, open }
}

/// The ledger that has read all of it twice, and comes out of its checkpoint.
fn kept(world: &World, path: &Path) -> (Ledger, Plan, Option<Store>) {
    let now = UnixMillis::from_seconds(BEGIN);
    let mut ledger = Ledger::new(ledger_settings(), now, UnixMillis::from_seconds(BEGIN - WEEK));
    let covered = vec![Range::new(BEGIN - WEEK, BEGIN)];
    let plan = KeptPlan { covered, floor: BEGIN - WEEK, newest_end: BEGIN, sweep: None, sweep_began: Some(BEGIN) };
    let (mut store, _) = Store::open(path, "default").expect("a new checkpoint");
    for from in (BEGIN - WEEK..BEGIN).step_by(6 * HOUR as usize) {
        // As the upstream was when the range was read first, and once more.
        for hour in 0..6 {
            let range = Range::new(from + hour * HOUR, (from + (hour + 1) * HOUR).min(BEGIN));
            let rows = world.listed(range, BEGIN).map(|place| Row::Conversation(world.conversation(place))).collect();
            let pages = vec![Page { rows, total: None, sent_at: now, server_date: None }];
            let walked = Walked { range, narrow: false, complete: true, pages };
            for _ in 0..2 {
                ledger.begin_poll();
                ledger.fold(&walked).expect("one company");
                ledger.end_poll();
            }
        }
        ledger.draw_zero_line(now);
        ledger.show(now);
        store.commit(&ledger.changes(), &plan).expect("committed");
        ledger.committed();
    }
    drop((store, ledger));
    let (store, image) = Store::open(path, "default").expect("it opens");
    let image = image.expect("it holds something");
    let mut ledger = Ledger::restore(ledger_settings(), image.kept, image.pairs, image.conversations);
    store.conversations(|id, entry| ledger.take_back(id, entry, now)).expect("readable conversations");
    (ledger, Plan::restore(PLAN, image.plan).expect("it began somewhere"), Some(store))
}
