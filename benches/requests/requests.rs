//! Requests of one poll, once everything has settled, beside the fewest.

use std::sync::Arc;

use jelou_exporter::domain::ledger::Ledger;
use jelou_exporter::domain::plan::Plan;
use jelou_exporter::domain::time::{Range, UnixMillis};

use crate::MOST_OVER_FEWEST;
use crate::driver::{Measured, PLAN, ledger_settings, run};
use crate::fewest::{fewest, whole_look_back};
use crate::world::{BEGIN, HOUR, WEEK, World};

const OPEN: usize = 50;
/// When everything has settled, seconds after the begin.
const SETTLED: i64 = 3 * HOUR;
/// Polls after which the first sweep has begun.
const UNTIL_SWEPT: usize = ((6 * HOUR - SETTLED) / PLAN.interval) as usize + 120;

/// How conversations come in.
#[derive(Clone, Copy)]
enum Arrivals {
    /// One as long after the other as the next.
    Even,
    /// At random, so that some share a second.
    Random,
}

/// Which ones stay open.
#[derive(Clone, Copy)]
enum Open {
    /// Spread evenly over the week.
    Spread,
    /// All of the last hour.
    LastHour,
}

pub(crate) fn table(records: usize, polls: usize) {
    println!(
        "Requests of one poll: {records} conversations within 7 days, {OPEN} of them open, 50 a page, no shifts; means of \
         {polls} polls\n"
    );
    println!(
        "| open ones, arrivals             | newest | unsettled | both | fewest | ratio, worst | sweep, apart | the whole look-back |"
    );
    println!(
        "|---------------------------------|-------:|----------:|-----:|-------:|-------------:|-------------:|--------------------:|"
    );
    let rows = [
        ("spread over the week, even", Open::Spread, Arrivals::Even),
        ("spread over the week, random", Open::Spread, Arrivals::Random),
        ("all of the last hour, even", Open::LastHour, Arrivals::Even),
        ("all of the last hour, random", Open::LastHour, Arrivals::Random),
    ];
    for (name, open, arrivals) in rows {
        row(name, records, polls, open, arrivals);
    }
}

fn row(name: &str, records: usize, polls: usize, open: Open, arrivals: Arrivals) {
    let world = Arc::new(world(records, open, arrivals));
    let mut measured = poll(&world, polls.max(UNTIL_SWEPT));
    let sweeping: Vec<_> = measured.iter().filter(|(_, poll, _)| poll.slow > 0).copied().collect();
    measured.truncate(polls);
    let mut sums = [0usize; 4];
    let mut worst = 0.0f64;
    for (at, poll, _) in &measured {
        let newest = poll.newest_range.expect("every poll reads it");
        let (pages, runs) = fewest(&world, newest, at.seconds() - WEEK, at.seconds());
        let (asked, least) = (poll.newest + poll.unsettled, pages + runs);
        worst = worst.max(asked as f64 / least as f64);
        assert_eq!(poll.slow, 0, "no sweep is due yet");
        for (sum, part) in sums.iter_mut().zip([poll.newest, poll.unsettled, asked, least]) {
            *sum += part;
        }
    }
    let mean = |sum: usize, of: &[Measured]| sum as f64 / of.len() as f64;
    let [newest, unsettled, both, least] = sums.map(|sum| mean(sum, &measured));
    let sweep = mean(sweeping.iter().map(|(_, poll, _)| poll.slow).sum(), &sweeping);
    let now = measured[0].0;
    let all = whole_look_back(&world, now.seconds() - WEEK, now);
    let ratio = both / least;
    println!(
        "| {name:<31} | {newest:>6.1} | {unsettled:>9.1} | {both:>4.1} | {least:>6.1} | {ratio:>5.2}, {worst:>5.2} | {sweep:>12.1} | {all:>19} |"
    );
    assert!(worst <= MOST_OVER_FEWEST, "{name}: more than {MOST_OVER_FEWEST} times the fewest");
    assert!(!sweeping.is_empty(), "{name}: no sweep was measured");
}

/// Reads the week, lets everything settle, and polls on.
fn poll(world: &Arc<World>, polls: usize) -> Vec<Measured> {
    let now = UnixMillis::from_seconds(BEGIN);
    let ledger = Ledger::new(ledger_settings(), now, UnixMillis::from_seconds(BEGIN - WEEK));
    // What came in since the last poll has to be read once more.
    let new = world.listed(Range::new(0, 2 * PLAN.interval), i64::MAX).len().max(30);
    run(world, (ledger, Plan::new(PLAN, BEGIN - WEEK), None), BEGIN + SETTLED, polls, (OPEN + new) as u64)
}

/// So many conversations a week, and the open ones among those before everything has settled.
fn world(records: usize, open: Open, arrivals: Arrivals) -> World {
    let (first, last) = (BEGIN - WEEK, BEGIN + 8 * HOUR);
    let all = records as i64 * (last - first) / WEEK;
    let mut dice = 88_172_645_463_325_252u64;
    let mut starts: Vec<i64> = (0..all)
        .map(|n| match arrivals {
            Arrivals::Even => first + n * WEEK / records as i64,
            Arrivals::Random => {
                // Xorshift: any numbers will do, as long as they are the same each time.
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                first + (dice % (last - first) as u64) as i64
            }
        })
        .collect();
    starts.sort_unstable();
    let mut world = World { open: vec![false; starts.len()], starts };
    let end = BEGIN + SETTLED;
    let span = match open {
        Open::Spread => Range::new(end - WEEK + 8 * HOUR, end),
        Open::LastHour => Range::new(end - HOUR, end),
    };
    let among = world.listed(span, i64::MAX);
    // Of few records all are open.
    let count = OPEN.min(among.len());
    for n in 0..count {
        world.open[among.start + (2 * n + 1) * among.len() / (2 * count)] = true;
    }
    world
}
