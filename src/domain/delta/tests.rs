use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::catalog::{FAMILIES, Kind};
use crate::domain::conversation::Origin;
use crate::domain::distribution::Layout;
use crate::domain::label::{
    AmendedField, ExportResult, HttpDrop, LogLevel, Outcome, PollResult, RecordResult, UnknownField, WalkResult,
};
use crate::domain::sample::{self, live};
use crate::domain::snapshot::{Checkpoint, Value};

const NOW: UnixMillis = sample::NOW;

/// What counters and histograms hold: whole numbers, in milliseconds where they are times.
fn totals(snapshot: &Snapshot, live: &Live) -> BTreeMap<String, Vec<u128>> {
    let mut totals = BTreeMap::new();
    for family in FAMILIES.iter().filter(|family| family.kind != Kind::Gauge) {
        snapshot.visit(family, live, &mut |point| {
            let held = match point.value {
                Value::Whole(value) => vec![value.into()],
                Value::Number(value) => vec![(value * 1000.0).round() as u128],
                Value::Distribution(times) => {
                    let buckets = times.buckets().map(|(_, count)| count.into());
                    [times.count().into(), times.sum_millis()].into_iter().chain(buckets).collect()
                }
            };
            totals.insert(format!("{} {:?}", family.name, point.labels), held);
        });
    }
    totals
}

fn add(sums: &mut BTreeMap<String, Vec<u128>>, window: &Window) {
    for (series, held) in totals(&window.snapshot, &window.live) {
        let sum = sums.entry(series).or_insert_with(|| vec![0; held.len()]);
        sum.iter_mut().zip(held).for_each(|(sum, held)| *sum += held);
    }
}

/// One more of everything that can be counted.
fn count(snapshot: &mut Snapshot, live: &mut Live, pair: usize, millis: u64) {
    let shown = snapshot.conversations.as_mut().unwrap();
    let counted = Arc::make_mut(&mut shown.pairs[pair]);
    counted.started_mut(Origin::Ticket, NOW).value += 1;
    counted.met += 1;
    counted.reply.record(millis);
    snapshot.tallies.amendments.count(AmendedField::Labels);
    snapshot.own.polls.count(PollResult::Success);
    snapshot.own.poll_duration.record(millis);
    snapshot.own.budget_wait += millis;
    live.log_messages.count(LogLevel::Warn);
    match live.http_requests.last_mut() {
        Some((404, answers)) => *answers += 1,
        _ => live.http_requests.push((404, 1)),
    }
}

#[test]
fn the_first_window_holds_everything_and_the_next_what_came_after() {
    let (mut snapshot, mut live) = (sample::with_pairs([sample::pair("b", "t")]), live());
    let told = Told::default();
    let window = told.window(&snapshot, &live, NOW);
    assert_eq!((window.since, window.until), (None, NOW));
    assert_eq!(totals(&window.snapshot, &window.live), totals(&snapshot, &live));
    let pair = &window.snapshot.conversations.as_ref().unwrap().pairs[0];
    assert_eq!(pair.reply.exemplars().count(), 3, "of every bucket");

    let (told, news) = told.with(&snapshot, &live, window.until);
    assert_eq!((news.pairs.len(), news.gone.len()), (1, 0));
    let window = told.window(&snapshot, &live, NOW + 60_000);
    assert_eq!((window.since, window.until), (Some(NOW), NOW + 60_000));
    assert!(totals(&window.snapshot, &window.live).values().flatten().all(|held| *held == 0));
    assert_eq!(told.with(&snapshot, &live, window.until).1.pairs.len(), 0);

    count(&mut snapshot, &mut live, 0, 700);
    let window = told.window(&snapshot, &live, NOW + 60_000);
    let pair = &window.snapshot.conversations.as_ref().unwrap().pairs[0];
    assert_eq!((pair.met, pair.missed, pair.reply.count(), pair.reply.sum_millis()), (1, 0, 1, 700));
    assert_eq!(window.snapshot.tallies.amendments.get(AmendedField::Labels), 1);
    assert_eq!(window.snapshot.own.polls.get(PollResult::Success), 1);
    assert_eq!(window.live.http_requests.last(), Some(&(404, 1)));
    // A gauge is as it is.
    assert_eq!(window.snapshot.tallies.start, sample::START);
}

/// Every counter and histogram at something.
fn busy() -> (Snapshot, Live) {
    let mut pair = sample::pair("b", "t");
    pair.reopened = 1;
    let mut snapshot = sample::with_pairs([pair]);
    let tallies = &mut snapshot.tallies;
    tallies.amendments.count(AmendedField::Labels);
    (tallies.outside_window, tallies.vanished, tallies.aged_out, tallies.overflowed) = (1, 2, 3, 4);
    let own = &mut snapshot.own;
    own.polls.count(PollResult::Success);
    own.walks.count(WalkResult::Complete);
    own.api_requests.count(Outcome::Ok);
    own.api_request_duration.record(5);
    own.records.count(RecordResult::New);
    own.unknown_values.count(UnknownField::State);
    (own.api_retries, own.abandoned) = (1, 2000);
    own.checkpoint = Some(Checkpoint { failures: 1, ..Checkpoint::default() });
    let mut live = live();
    live.http_requests.push((404, 1));
    live.log_messages.count(LogLevel::Warn);
    live.exports.as_mut().unwrap().results.count(ExportResult::Success);
    live.http_dropped.count(HttpDrop::Handshake);
    (snapshot, live)
}

#[test]
fn no_family_is_told_twice() {
    let (snapshot, live) = busy();
    let mut told: BTreeMap<String, u128> = BTreeMap::new();
    for (series, held) in totals(&snapshot, &live) {
        *told.entry(series.split(' ').next().unwrap().to_owned()).or_default() += held.iter().sum::<u128>();
    }
    assert!(told.values().all(|sum| *sum > 0), "{told:?}");
    let (all, _) = Told::default().with(&snapshot, &live, NOW);
    let window = all.window(&snapshot, &live, NOW + 1);
    for (series, held) in totals(&window.snapshot, &window.live) {
        assert!(held.iter().all(|held| *held == 0), "{series}: {held:?}");
    }
}

#[test]
fn a_clock_that_is_set_back_does_not_turn_a_window_round() {
    let (snapshot, live) = (sample::empty(), live());
    let (told, _) = Told::default().with(&snapshot, &live, NOW);
    let window = told.window(&snapshot, &live, NOW - 300_000);
    assert_eq!((window.since, window.until), (Some(NOW), NOW + 1));
}

#[test]
fn a_clock_that_was_far_ahead_for_one_export_spoils_no_other() {
    let (snapshot, live) = (sample::empty(), live());
    let (told, _) = Told::default().with(&snapshot, &live, NOW + 86_400_000);
    let window = told.window(&snapshot, &live, NOW);
    assert_eq!((window.since, window.until), (Some(NOW - 1), NOW));
    let (told, _) = told.with(&snapshot, &live, window.until);
    let window = told.window(&snapshot, &live, NOW + 60_000);
    assert_eq!((window.since, window.until), (Some(NOW), NOW + 60_000));
}

#[test]
fn a_pair_that_comes_back_from_oblivion_is_told_from_its_new_start() {
    let live = live();
    let (told, _) = Told::default().with(&sample::with_pairs([sample::pair("b", "t")]), &live, NOW);
    let mut back = sample::pair("b", "t");
    back.start = NOW + 5;
    let counted = back.reply.count();
    let window = told.window(&sample::with_pairs([back]), &live, NOW + 10);
    assert_eq!(window.snapshot.conversations.unwrap().pairs[0].reply.count(), counted);
}

#[test]
fn a_pair_is_owed_until_an_export_has_told_all_of_it() {
    let (live, mut pair) = (live(), sample::pair("b", "t"));
    let told = Told::default();
    assert!(told.owes(&pair));
    let (told, _) = told.with(&sample::with_pairs([pair.clone()]), &live, NOW);
    assert!(!told.owes(&pair));
    pair.reopened += 1;
    assert!(told.owes(&pair));
    assert!(told.owes(&sample::pair("a", "t")) && told.owes(&sample::pair("c", "t")));
}

/// The same counts by other settings, as a restart makes it.
fn restarted(before: &Distribution, bounds: &[u64], schema: i8) -> Distribution {
    let layout = Layout::new(bounds.iter().copied(), schema).continuing(before.layout().counted());
    Distribution::from_parts(before.parts(), Arc::new(layout))
}

/// An export tells a quiet pair's counts by the new bounds, so that only what comes before it has to be guessed.
#[test]
fn other_bounds_are_exact_from_the_next_export_on() {
    let live = live();
    let mut pair = sample::pair("b", "t");
    let (told, _) = Told::default().with(&sample::with_pairs([pair.clone()]), &live, NOW);
    pair.reply = restarted(&pair.reply, &[100_000, 300_000], 3);
    pair.duration = restarted(&pair.duration, &[300_000], 5);
    let (told, news) = told.with(&sample::with_pairs([pair.clone()]), &live, NOW + 1);
    assert_eq!(news.pairs.len(), 1);
    pair.reply.record(80_000);
    pair.duration.record(80_000);
    let window = told.window(&sample::with_pairs([pair.clone()]), &live, NOW + 2).snapshot;
    let counted = &window.conversations.as_ref().unwrap().pairs[0];
    assert_eq!(counted.reply.buckets().collect::<Vec<_>>(), [(100_000, 1), (300_000, 1)]);
    assert_eq!((counted.duration.count(), counted.duration.exponential(160).schema), (1, 5));
    // Once is enough.
    let (told, news) = told.with(&sample::with_pairs([pair.clone()]), &live, NOW + 2);
    assert_eq!(news.pairs.len(), 1);
    assert_eq!(told.with(&sample::with_pairs([pair]), &live, NOW + 3).1.pairs.len(), 0);
}

/// What is counted of the time before the first export, as where the initial range is counted.
#[test]
fn start_times_of_what_was_never_told_are_those_of_the_series() {
    let live = live();
    let (told, _) = Told::default().with(&sample::empty(), &live, NOW);
    let mut snapshot = sample::with_pairs([sample::pair("b", "t")]);
    let starts = |snapshot: &Snapshot| {
        let pair = &snapshot.conversations.as_ref().unwrap().pairs[0];
        let counters = pair.started.iter().map(|(_, counter)| counter.start);
        [pair.start, pair.reply.start(), pair.duration.start()].into_iter().chain(counters).collect::<Vec<_>>()
    };
    let window = told.window(&snapshot, &live, NOW + 10);
    assert_eq!((window.since, starts(&window.snapshot)), (Some(NOW), starts(&snapshot)), "long before the window");
    assert!(starts(&snapshot).iter().all(|start| *start < NOW));

    let (told, _) = told.with(&snapshot, &live, window.until);
    let shown = snapshot.conversations.as_mut().unwrap();
    Arc::make_mut(&mut shown.pairs[0]).started_mut(Origin::Closed, NOW + 5).value += 1;
    let window = told.window(&snapshot, &live, NOW + 20);
    let (new, old): (Vec<_>, Vec<_>) = starts(&window.snapshot).into_iter().partition(|start| *start == NOW + 5);
    assert_eq!(
        (new.len(), old.iter().all(|start| *start == NOW + 10)),
        (1, true),
        "what was told starts with the window"
    );
}

#[test]
fn a_pair_that_left_is_told_of_no_more() {
    let live = live();
    let (told, _) =
        Told::default().with(&sample::with_pairs([sample::pair("a", "t"), sample::pair("b", "t")]), &live, NOW);
    let (told, news) = told.with(&sample::with_pairs([sample::pair("b", "t")]), &live, NOW + 1);
    assert_eq!((told.pairs.len(), news.pairs.len(), news.gone.len()), (1, 0, 1));
    assert_eq!(&*news.gone[0].labels.bot, "a");
    // Before the conversations are shown at all nothing has left.
    assert_eq!(told.with(&sample::empty(), &live, NOW + 2).0.pairs.len(), 1);
}

#[test]
fn a_history_that_was_not_told_is_not_told_all_at_once() {
    let (mut snapshot, mut live) = (sample::with_pairs([sample::pair("b", "t")]), live());
    let told = Told::as_if(&snapshot, NOW);
    count(&mut snapshot, &mut live, 0, 700);
    let window = told.window(&snapshot, &live, NOW + 1);
    let pair = &window.snapshot.conversations.unwrap().pairs[0];
    assert_eq!((pair.met, pair.reply.count(), window.since), (1, 1, Some(NOW)));
    // What starts with the process is new, all of it.
    assert_eq!(window.snapshot.own.polls.get(PollResult::Success), 1);
}

proptest! {
    /// Whenever windows are cut, and whether what was told outlives the process or not.
    #[test]
    fn windows_add_up_to_the_counters(steps in prop::collection::vec((0..2usize, 0..1_000_000u64, 0..4u8), 1..40)) {
        let pairs = || [sample::pair("a", "t"), sample::pair("b", "t")];
        let (mut snapshot, mut live) = (sample::with_pairs(pairs()), live());
        let (mut told, mut sums, mut now) = (Told::default(), BTreeMap::new(), NOW);
        for (pair, millis, then) in steps {
            count(&mut snapshot, &mut live, pair, millis);
            if then > 1 {
                now = now + 1000;
                let window = told.window(&snapshot, &live, now);
                prop_assert!(window.since < Some(window.until));
                add(&mut sums, &window);
                told = told.with(&snapshot, &live, window.until).0;
            }
        }
        let last = told.window(&snapshot, &live, now + 1000);
        add(&mut sums, &last);
        prop_assert_eq!(sums, totals(&snapshot, &live));
    }
}
