//! One test for each rule that the ledger keeps, by the rule's name.

mod sightings;

use std::sync::Arc;

use super::*;
use crate::domain::conversation::{Conversation, Reason, State};
use crate::domain::distribution::Distribution;
use crate::domain::label::AmendedField;
use crate::domain::pair::Pair;
use crate::domain::reading::{Rejected, Row};
use crate::domain::snapshot::Moment;

/// The present, in the middle of nowhere.
const NOW: i64 = 1_700_000_000;
const TARGET: u64 = 300_000;
const MINUTE: i64 = 60;

fn settings() -> LedgerSettings {
    LedgerSettings {
        reply: Arc::new(Layout::new([5_000, TARGET], 3)),
        duration: Arc::new(Layout::new([600_000], 3)),
        reply_target: TARGET,
        excluded_origins: vec![Origin::Broadcast],
        recent_window: 3_600_000,
        max_label_sets: 100,
        stale_after: 900_000,
        count_initial: false,
    }
}

/// An active conversation that started so many seconds before [`NOW`].
fn active(id: &str, ago: i64) -> Conversation {
    Conversation {
        id: id.into(),
        start: UnixMillis::from_seconds(NOW - ago),
        end: None,
        state: State::Active,
        reason: Reason::None,
        origin: Origin::Organic,
        bot: "bot".into(),
        team: "team".into(),
        company: Some("1".into()),
        reply: None,
        stated_duration: None,
    }
}

fn replied(id: &str, ago: i64, reply: u64) -> Conversation {
    Conversation { reply: Some(reply), ..active(id, ago) }
}

fn closed(open: Conversation, duration: u64) -> Conversation {
    Conversation {
        state: State::Closed,
        reason: Reason::ClosedByOperator,
        end: Some(open.start + duration as i64),
        stated_duration: Some(duration),
        ..open
    }
}

/// A ledger and the time of its polls, each an hour wide.
struct Desk {
    ledger: Ledger,
    now: i64,
}

impl Desk {
    /// Counting from [`NOW`] on, with nothing found before.
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: LedgerSettings) -> Self {
        let mut desk = Self { ledger: Ledger::new(settings, at(NOW), at(NOW - 86_400)), now: NOW };
        desk.ledger.draw_zero_line(at(NOW));
        desk.ledger.show(at(NOW));
        desk
    }

    fn range(&self) -> Range {
        Range::new(self.now - 3600, self.now)
    }

    /// A walk within the current poll.
    fn walk(&mut self, range: Range, rows: Vec<Row>) -> Folded {
        let pages = vec![Page { rows, total: None, sent_at: at(self.now), server_date: None }];
        self.ledger.fold(&Walked { range, narrow: false, complete: true, pages }).unwrap()
    }

    fn narrow(&mut self, range: Range, readings: &[Conversation]) {
        let rows = readings.iter().cloned().map(Row::Conversation).collect();
        let pages = vec![Page { rows, total: None, sent_at: at(self.now), server_date: None }];
        self.ledger.fold(&Walked { range, narrow: true, complete: true, pages }).unwrap();
    }

    /// A whole poll, a minute after the last one.
    fn poll(&mut self, readings: &[Conversation]) -> Folded {
        self.now += MINUTE;
        self.ledger.begin_poll();
        let folded = self.walk(self.range(), readings.iter().cloned().map(Row::Conversation).collect());
        self.ledger.succeed(at(self.now));
        self.ledger.end_poll();
        folded
    }

    fn show(&mut self) -> Conversations {
        self.ledger.show(at(self.now)).expect("counting has begun")
    }

    fn pair(&mut self, bot: &str, team: &str) -> Arc<Pair> {
        let shown = self.show();
        Arc::clone(
            shown.pairs.iter().find(|pair| &*pair.labels.bot == bot && &*pair.labels.team == team).expect("the pair"),
        )
    }

    fn only(&mut self) -> Arc<Pair> {
        self.pair("bot", "team")
    }

    fn moment(&mut self) -> Moment {
        let shown = self.show();
        let at = shown.pairs.iter().position(|pair| &*pair.labels.team == "team").expect("the pair");
        shown.moments.expect("a poll has succeeded")[at]
    }
}

fn at(second: i64) -> UnixMillis {
    UnixMillis::from_seconds(second)
}

fn started(pair: &Pair) -> u64 {
    pair.started.iter().map(|(_, counter)| counter.value).sum()
}

fn ended(pair: &Pair, how: (State, Reason)) -> u64 {
    pair.ended.iter().find(|(key, _)| *key == how).map_or(0, |(_, counter)| counter.value)
}

#[test]
fn zero_line_what_it_finds_is_not_counted_but_what_happens_to_it_afterwards_is() {
    let mut ledger = Ledger::new(settings(), at(NOW), at(NOW - 86_400));
    assert!(ledger.show(at(NOW)).is_none(), "families appear all at once, after the first walk");
    ledger.begin_poll();
    let mut desk = Desk { ledger, now: NOW };
    let found = [closed(replied("over", 900, 1000), 60_000), active("open", 100)];
    desk.walk(desk.range(), found.iter().cloned().map(Row::Conversation).collect());
    desk.ledger.draw_zero_line(at(NOW));
    desk.ledger.succeed(at(NOW));
    let pair = desk.only();
    assert_eq!((started(&pair), pair.reply.count(), pair.duration.count(), pair.met, pair.missed), (0, 0, 0, 0, 0));
    assert_eq!(pair.reply.start(), at(NOW));
    assert_eq!(pair.started[0], (Origin::Organic, crate::domain::pair::Counter { value: 0, start: at(NOW) }));
    assert_eq!(desk.moment().active, 1);
    assert_eq!(desk.moment().reply_recent[0], Some(1000), "recent percentiles know what was found");

    desk.poll(&[found[0].clone(), closed(replied("open", 100, 2000), 120_000)]);
    let pair = desk.only();
    assert_eq!((started(&pair), pair.reply.count(), pair.duration.count(), pair.met), (0, 1, 1, 1));
    assert_eq!(ended(&pair, (State::Closed, Reason::ClosedByOperator)), 1);
}

#[test]
fn zero_line_counts_the_initial_range_if_asked_to() {
    let mut ledger = Ledger::new(LedgerSettings { count_initial: true, ..settings() }, at(NOW), at(NOW - 86_400));
    ledger.begin_poll();
    let mut desk = Desk { ledger, now: NOW };
    desk.walk(desk.range(), vec![Row::Conversation(closed(replied("over", 900, 1000), 60_000))]);
    desk.ledger.draw_zero_line(at(NOW));
    let pair = desk.only();
    assert_eq!((started(&pair), pair.reply.count(), pair.met), (1, 1, 1));
    assert_eq!(pair.reply.start(), at(NOW - 86_400));
}

#[test]
fn started_once_per_id() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10), active("a", 10)]);
    desk.poll(&[active("a", 10), closed(active("a", 10), 1000)]);
    assert_eq!(started(&desk.only()), 1);
}

#[test]
fn ended_once_per_id_and_reopened_once_per_id() {
    let mut desk = Desk::new();
    let how = (State::Closed, Reason::ClosedByOperator);
    desk.poll(&[active("a", 10)]);
    for _ in 0..2 {
        desk.poll(&[closed(active("a", 10), 60_000)]);
        assert_eq!(ended(&desk.only(), how), 1);
        assert_eq!(desk.moment().active, 0);
        desk.poll(&[active("a", 10)]);
        assert_eq!(desk.only().reopened, 1);
        assert_eq!(desk.moment().active, 1, "gauges follow the latest reading");
    }
}

#[test]
fn ended_by_an_unknown_state_only_with_an_end() {
    let mut desk = Desk::new();
    let odd = Conversation { state: State::Other, ..active("a", 10) };
    let folded = desk.poll(std::slice::from_ref(&odd));
    assert_eq!(folded.unknown_values.get(UnknownField::State), 1);
    assert_eq!(ended(&desk.only(), (State::Other, Reason::None)), 0);
    let folded = desk.poll(&[Conversation { end: Some(at(NOW)), ..odd }]);
    assert_eq!(folded.unknown_values.get(UnknownField::State), 0, "said once");
    assert_eq!(ended(&desk.only(), (State::Other, Reason::None)), 1);
}

#[test]
fn ended_beats_active_within_one_poll() {
    let mut desk = Desk::new();
    desk.poll(&[closed(active("a", 10), 60_000), active("a", 10)]);
    let pair = desk.only();
    assert_eq!((pair.reopened, desk.moment().active), (0, 0));
    desk.poll(&[active("b", 10), closed(active("b", 10), 60_000)]);
    assert_eq!(ended(&desk.only(), (State::Closed, Reason::ClosedByOperator)), 2);
}

#[test]
fn ended_beats_active_within_one_poll_also_when_it_had_ended_before() {
    let (open, over) = (active("a", 10), closed(active("a", 10), 60_000));
    let mut desk = Desk::new();
    desk.poll(std::slice::from_ref(&over));
    let lagging = [[&over, &open], [&open, &over]];
    for both in lagging.map(|both| both.map(Clone::clone)) {
        desk.poll(&both);
        assert_eq!((desk.only().reopened, desk.moment().active), (0, 0), "on one page");
        desk.now += MINUTE;
        desk.ledger.begin_poll();
        for reading in both {
            desk.walk(desk.range(), vec![Row::Conversation(reading)]);
        }
        desk.ledger.end_poll();
        assert_eq!((desk.only().reopened, desk.moment().active), (0, 0), "by two walks");
    }
    desk.poll(&[open.clone(), open]);
    assert_eq!((desk.only().reopened, desk.moment().active), (1, 1));
}

#[test]
fn what_was_seen_active_again_is_asked_for_again_though_the_poll_never_ended() {
    let mut desk = Desk::new();
    (0..2).for_each(|_| drop(desk.poll(&[closed(active("a", 10), 60_000)])));
    assert_eq!(desk.ledger.unsettled(), 0);
    desk.ledger.begin_poll();
    let folded = desk.walk(desk.range(), vec![Row::Conversation(active("a", 10))]);
    assert_eq!((desk.ledger.unsettled(), folded.records.get(RecordResult::Changed)), (1, 1));
}

#[test]
fn reply_once_per_id_zero_is_one_and_one_after_the_end_counts() {
    let mut desk = Desk::new();
    desk.poll(&[replied("a", 10, 0), closed(active("b", 20), 5_000)]);
    desk.poll(&[replied("a", 10, 0), closed(replied("b", 20, 4_000), 5_000)]);
    let pair = desk.only();
    assert_eq!((pair.reply.count(), pair.reply.sum_millis()), (2, 4_000));
}

#[test]
fn duration_once_per_id_stated_or_worked_out() {
    let mut desk = Desk::new();
    let untold = Conversation { stated_duration: None, ..closed(active("a", 10), 7_000) };
    let unknown = Conversation { end: None, stated_duration: None, ..closed(active("b", 10), 0) };
    desk.poll(&[untold.clone(), unknown.clone()]);
    assert_eq!(desk.only().duration.sum_millis(), 7_000);
    desk.poll(&[untold, Conversation { stated_duration: Some(9_000), ..unknown }]);
    let pair = desk.only();
    assert_eq!((pair.duration.count(), pair.duration.sum_millis()), (2, 16_000));
}

/// Not a rule of counting: what a scraper may show beside a bucket.
#[test]
fn exemplars_are_the_newest_conversations_and_the_time_at_which_they_were_counted() {
    let mut desk = Desk::new();
    let (old, new) = (closed(replied("old", 50, 4_000), 5_000), closed(replied("new", 40, 3_000), 700_000));
    desk.poll(&[new, old]);
    let counted_at = at(desk.now);
    let shown = |times: &Distribution, bucket| {
        let exemplar = times.exemplar(bucket)?;
        assert_eq!(exemplar.counted_at, counted_at);
        Some((exemplar.conversation.to_string(), exemplar.millis))
    };
    let pair = desk.only();
    assert_eq!(shown(&pair.reply, 0), Some(("new".to_owned(), 3_000)));
    assert_eq!(shown(&pair.reply, 1), None);
    assert_eq!(shown(&pair.duration, 0), Some(("old".to_owned(), 5_000)));
    assert_eq!(shown(&pair.duration, 1), Some(("new".to_owned(), 700_000)));
}

#[test]
fn decided_by_a_reply() {
    let mut desk = Desk::new();
    desk.poll(&[replied("met", 10, TARGET), replied("missed", 10, TARGET + 1)]);
    let pair = desk.only();
    assert_eq!((pair.met, pair.missed), (1, 1));
}

#[test]
fn decided_by_an_end_and_the_first_decision_stands() {
    let mut desk = Desk::new();
    desk.poll(&[closed(active("a", 10), 5_000)]);
    assert_eq!(desk.only().missed, 1);
    desk.poll(&[closed(replied("a", 10, 1_000), 5_000)]);
    let pair = desk.only();
    assert_eq!((pair.met, pair.missed), (0, 1));
    assert_eq!(desk.ledger.tallies().amendments.get(AmendedField::Decision), 1);
}

#[test]
fn decided_by_the_clock_a_minute_after_the_target() {
    let mut desk = Desk::new();
    // At the next poll, a minute on, it is 359 s old: a second short of target and margin.
    desk.poll(&[active("a", 299)]);
    assert_eq!(desk.only().missed, 0);
    desk.poll(&[active("a", 299)]);
    assert_eq!(desk.only().missed, 1);
}

#[test]
fn decided_by_the_clock_that_is_behind() {
    let mut desk = Desk::new();
    desk.ledger.begin_poll();
    let page = |server_date| Page {
        rows: vec![Row::Conversation(active("a", 0))],
        total: None,
        sent_at: at(NOW + 7200),
        server_date,
    };
    let range = Range::new(NOW - 10, NOW + 7200);
    let walked = |date| Walked { range, narrow: false, complete: true, pages: vec![page(date)] };
    desk.ledger.fold(&walked(Some(at(NOW + 10)))).unwrap();
    assert_eq!(desk.only().missed, 0, "the local clock stepped ahead");
    desk.ledger.fold(&walked(None)).unwrap();
    assert_eq!(desk.only().missed, 1);
}

#[test]
fn eligible_is_neither_an_excluded_origin_nor_what_was_handed_on_in_time() {
    let mut desk = Desk::new();
    let broadcast = Conversation { origin: Origin::Broadcast, ..closed(active("a", 100), 5_000) };
    let handed_on = |id, duration| Conversation {
        state: State::Transferred,
        reason: Reason::Transferred,
        ..closed(active(id, 1000), duration)
    };
    desk.poll(&[broadcast, handed_on("quick", TARGET - 1)]);
    let pair = desk.only();
    assert_eq!((pair.met, pair.missed, pair.unanswered), (0, 0, 0));
    desk.poll(&[handed_on("slow", TARGET)]);
    let pair = desk.only();
    assert_eq!((pair.met, pair.missed, pair.unanswered), (0, 1, 1));
    // By reason alone, too.
    desk.poll(&[Conversation { reason: Reason::ClosedByAutoTransfer, ..closed(active("c", 100), 5_000) }]);
    assert_eq!(desk.only().missed, 1);
    // With a reply it was answered, wherever it went.
    desk.poll(&[Conversation { reply: Some(1_000), ..handed_on("answered", 5_000) }]);
    assert_eq!(desk.only().met, 1);
}

#[test]
fn unanswered_once_when_first_seen_ended_without_a_reply() {
    let mut desk = Desk::new();
    desk.poll(&[closed(active("a", 10), 5_000), closed(replied("b", 10, 1), 5_000)]);
    desk.poll(&[active("a", 10)]);
    desk.poll(&[closed(active("a", 10), 9_000)]);
    assert_eq!(desk.only().unanswered, 1);
}

#[test]
fn waiting_and_oldest_waiting() {
    let mut desk = Desk::new();
    let broadcast = Conversation { origin: Origin::Broadcast, ..active("b", 900) };
    desk.poll(&[active("a", 30), active("c", 60), broadcast, replied("d", 800, 1)]);
    let moment = desk.moment();
    assert_eq!((moment.active, moment.waiting, moment.oldest_waiting_start), (4, 2, Some(at(NOW - 60))));
    desk.poll(&[replied("a", 30, 1), closed(active("c", 60), 1)]);
    let moment = desk.moment();
    assert_eq!((moment.active, moment.waiting, moment.oldest_waiting_start), (3, 0, None));
}

#[test]
fn labels_are_those_of_the_reading_that_first_showed_the_thing() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    let moved = Conversation { team: "other".into(), ..replied("a", 10, 1_000) };
    desk.poll(std::slice::from_ref(&moved));
    desk.poll(&[Conversation { team: "third".into(), ..closed(moved, 5_000) }]);
    let (first, second, third) = (desk.only(), desk.pair("bot", "other"), desk.pair("bot", "third"));
    assert_eq!((started(&first), first.reply.count(), first.duration.count()), (1, 0, 0));
    assert_eq!((started(&second), second.reply.count(), second.met), (0, 1, 1));
    assert_eq!((third.reply.count(), third.duration.count()), (0, 1));
    assert_eq!(desk.ledger.tallies().amendments.get(AmendedField::Labels), 2);
}

#[test]
fn amended_values_are_not_recounted() {
    let mut desk = Desk::new();
    desk.poll(&[closed(replied("a", 10, 1_000), 5_000)]);
    desk.poll(&[closed(replied("a", 10, 2_000), 6_000)]);
    desk.poll(&[closed(replied("a", 10, 2_000), 6_000)]);
    let pair = desk.only();
    assert_eq!((pair.reply.sum_millis(), pair.duration.sum_millis()), (1_000, 5_000));
    let amendments = &desk.ledger.tallies().amendments;
    assert_eq!((amendments.get(AmendedField::ReplyTime), amendments.get(AmendedField::Duration)), (1, 1));
}

#[test]
fn amended_is_not_a_value_that_comes_after_null() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    desk.poll(&[closed(replied("a", 10, 2_000), 6_000)]);
    assert!(desk.ledger.tallies().amendments.iter().all(|(_, count)| count == 0));
}

#[test]
fn gauges_follow_the_latest_reading_and_counters_the_first() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    desk.poll(&[Conversation { team: "other".into(), ..active("a", 10) }]);
    assert_eq!(desk.moment().active, 0);
    assert_eq!(started(&desk.only()), 1);
}

#[test]
fn recent_percentiles_are_over_the_window_up_to_the_last_successful_poll() {
    let mut desk = Desk::new();
    // Replied 100 s ago, and 3 600 s before the poll a minute from now.
    desk.poll(&[replied("a", 110, 10_000), replied("old", 3550, 10_000)]);
    assert_eq!(desk.moment().reply_recent, [Some(10_000); 4]);
    assert_eq!(desk.moment().duration_recent, [None; 4]);
    desk.now += 3600;
    desk.ledger.begin_poll();
    assert_eq!(desk.moment().reply_recent[0], Some(10_000), "as of the last successful poll");
    desk.ledger.succeed(at(desk.now));
    assert_eq!(desk.moment().reply_recent, [None; 4]);
}

#[test]
fn recent_percentiles_follow_the_latest_reading() {
    let of_team = |team: &str, reading: Conversation| Conversation { team: team.into(), ..reading };
    let mut desk = Desk::new();
    desk.poll(&[closed(replied("a", 110, 10_000), 60_000)]);
    assert_eq!((desk.moment().reply_recent, desk.moment().duration_recent), ([Some(10_000); 4], [Some(60_000); 4]));
    desk.poll(&[closed(replied("a", 110, 50_000), 59_000)]);
    assert_eq!((desk.moment().reply_recent, desk.moment().duration_recent), ([Some(50_000); 4], [Some(59_000); 4]));
    desk.poll(&[closed(active("a", 110), 59_000)]);
    assert_eq!((desk.moment().reply_recent, desk.moment().duration_recent), ([None; 4], [Some(59_000); 4]));
    desk.poll(&[replied("a", 110, 50_000)]);
    desk.ledger.succeed(at(desk.now));
    assert_eq!((desk.moment().reply_recent, desk.moment().duration_recent), ([Some(50_000); 4], [None; 4]), "reopened");
    desk.poll(&[of_team("elsewhere", closed(replied("a", 110, 50_000), 100_000))]);
    assert_eq!((desk.moment().reply_recent, desk.moment().duration_recent), ([None; 4], [None; 4]));
    desk.poll(&[closed(replied("a", 110, 50_000), 100_000)]);
    assert_eq!((desk.moment().reply_recent, desk.moment().duration_recent), ([Some(50_000); 4], [Some(100_000); 4]));
}

#[test]
fn recent_percentiles_lose_nothing_by_a_step_of_the_clock() {
    let mut desk = Desk::new();
    desk.poll(&[closed(replied("a", 10, 1_000), 60_000)]);
    let (was, day) = (desk.moment(), 86_400);
    assert_eq!(was.reply_recent[0], Some(1_000));
    desk.now += day;
    desk.ledger.succeed(at(desk.now));
    assert_eq!(desk.moment().reply_recent[0], None);
    desk.now -= day;
    desk.ledger.succeed(at(desk.now));
    assert_eq!(desk.moment(), was);
    // The clock was ahead when the process began.
    let changes = desk.ledger.changes();
    let entries: Vec<_> = changes.entries.iter().map(|(id, entry)| ((*id).clone(), **entry)).collect();
    let pairs: Vec<_> = changes.pairs.iter().map(|(_, known)| (*known).clone()).collect();
    let mut restored = Ledger::restore(settings(), changes.kept, pairs, entries.len());
    entries.into_iter().for_each(|(id, entry)| restored.take_back(id, entry, at(desk.now + day)));
    restored.succeed(at(desk.now));
    assert_eq!(Desk { ledger: restored, now: desk.now }.moment(), was);
}

#[test]
fn another_target_amends_nothing() {
    let mut desk = Desk::new();
    desk.poll(&[replied("a", 500, 120_000)]);
    desk.ledger.go_on_by(LedgerSettings { reply_target: 90_000, ..settings() });
    desk.poll(&[replied("a", 500, 120_000)]);
    let decisions = |desk: &Desk| desk.ledger.tallies().amendments.get(AmendedField::Decision);
    assert_eq!((desk.only().met, desk.only().missed, decisions(&desk)), (1, 0, 0));
    desk.poll(&[replied("a", 500, 80_000)]);
    assert_eq!((desk.only().met, decisions(&desk)), (1, 1), "now it is the value that has changed");
}

#[test]
fn rejected_rows_cost_only_themselves() {
    let mut desk = Desk::new();
    desk.ledger.begin_poll();
    let bad = Row::Rejected(Rejected { identity: "x".into(), why: "no startAt" });
    let folded = desk.walk(desk.range(), vec![bad, Row::Conversation(active("a", 10))]);
    assert_eq!((folded.records.get(RecordResult::Rejected), folded.records.get(RecordResult::New)), (1, 1));
    assert_eq!(started(&desk.only()), 1);
}

#[test]
fn records_are_told_apart_as_new_changed_and_unchanged() {
    let mut desk = Desk::new();
    assert_eq!(desk.poll(&[active("a", 10)]).records.get(RecordResult::New), 1);
    assert_eq!(desk.poll(&[active("a", 10)]).records.get(RecordResult::Unchanged), 1);
    assert_eq!(desk.poll(&[replied("a", 10, 5)]).records.get(RecordResult::Changed), 1);
}

#[test]
fn settled_is_ended_and_read_again_in_a_later_poll() {
    let mut desk = Desk::new();
    desk.poll(&[closed(active("a", 10), 5), closed(active("a", 10), 5)]);
    assert_eq!(desk.ledger.unsettled(), 1);
    desk.poll(&[closed(active("a", 10), 5)]);
    assert_eq!(desk.ledger.unsettled(), 0);
    desk.poll(&[active("a", 10)]);
    assert_eq!(desk.ledger.unsettled(), 1, "open again, it is asked for again");
}

#[test]
fn settled_costs_nothing_and_open_ones_share_a_request() {
    let mut desk = Desk::new();
    let mut readings: Vec<_> = (0..10).map(|n| active(&format!("a{n}"), 1000 + 60 * n)).collect();
    desk.poll(&readings);
    desk.now += MINUTE;
    desk.ledger.begin_poll();
    let all = desk.ledger.due_stretches(0, 50);
    assert_eq!(all.len(), 1);
    assert!(all[0].narrow);
    assert_eq!(all[0].range, Range::new(NOW - 1541, NOW - 999));
    assert_eq!(desk.ledger.due_stretches(0, 5).len(), 2, "no more known ones than fit a page");
    readings.iter_mut().for_each(|reading| *reading = closed(reading.clone(), 1));
    desk.poll(&readings);
    desk.poll(&readings);
    desk.ledger.begin_poll();
    assert_eq!(desk.ledger.due_stretches(0, 50), []);
}

#[test]
fn vanished_leaves_the_gauges_and_is_back_when_listed_again() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10), active("b", 10)]);
    desk.ledger.begin_poll();
    let listed_in = Range::new(desk.now - 3600, desk.now);
    desk.now += MINUTE;
    desk.walk(listed_in, vec![Row::Conversation(active("b", 10))]);
    desk.ledger.end_poll();
    assert_eq!((desk.ledger.tallies().vanished, desk.moment().active), (1, 1));
    assert!(desk.ledger.due_stretches(0, 50).is_empty(), "what is gone is not asked for");
    desk.poll(&[active("a", 10), active("b", 10)]);
    assert_eq!((desk.ledger.tallies().vanished, desk.moment().active), (1, 2));
}

#[test]
fn vanished_also_when_the_range_had_to_be_halved() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    let listed_in = Range::new(desk.now - 3600, desk.now);
    let middle = desk.now - 1800;
    desk.ledger.begin_poll();
    desk.walk(Range::new(listed_in.start, middle), Vec::new());
    desk.walk(Range::new(middle, listed_in.end), Vec::new());
    desk.ledger.read_in_parts(listed_in);
    desk.ledger.end_poll();
    assert_eq!(desk.ledger.tallies().vanished, 1);
}

#[test]
fn vanished_is_not_what_another_walk_of_the_poll_shows() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    desk.ledger.begin_poll();
    let listed_in = Range::new(desk.now - 3600, desk.now);
    desk.walk(listed_in, Vec::new());
    desk.walk(Range::new(NOW - 20, NOW), vec![Row::Conversation(active("a", 10))]);
    desk.ledger.end_poll();
    assert_eq!(desk.ledger.tallies().vanished, 0);
}

#[test]
fn vanished_is_not_what_a_narrow_walk_misses_that_was_never_found_so() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    desk.now += MINUTE;
    desk.ledger.begin_poll();
    let stretch = desk.ledger.due_stretches(0, 50)[0];
    desk.narrow(stretch.range, &[]);
    let again = desk.ledger.due_stretches(0, 50);
    assert_eq!(again.len(), 1);
    assert!(!again[0].narrow, "it is asked for in the range that listed it");
    desk.ledger.end_poll();
    assert_eq!(desk.ledger.tallies().vanished, 0);
}

#[test]
fn floor_is_by_the_range_that_listed_it_where_a_joined_stretch_holds_its_date_by_chance() {
    let mut desk = Desk::new();
    // Dated an hour before the time by which the upstream lists it; the range that listed it holds both.
    let wide = Range::new(NOW - 7200, NOW);
    let misdated = active("misdated", 5400);
    desk.ledger.begin_poll();
    desk.walk(wide, vec![Row::Conversation(misdated.clone())]);
    desk.ledger.begin_poll();
    // A stretch that reaches over both for the sake of others shows it.
    let joined = Range::new(NOW - 5401, NOW - 1799);
    desk.narrow(joined, std::slice::from_ref(&misdated));
    // By itself it is not found there: that does not prove it gone.
    desk.ledger.begin_poll();
    desk.narrow(Range::new(NOW - 5401, NOW - 5399), &[]);
    desk.ledger.end_poll();
    assert_eq!(desk.ledger.tallies().vanished, 0);
    // Nor is it forgotten by its date, for it would be listed again.
    assert_eq!(desk.ledger.forget_before(NOW - 3600).floor, None);
    assert_eq!(desk.ledger.len(), 1);
}

#[test]
fn vanished_is_what_a_proven_narrow_walk_misses() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    for (shown, vanished) in [(vec![active("a", 10)], 0), (vec![], 1)] {
        desk.ledger.begin_poll();
        let stretch = desk.ledger.due_stretches(0, 50)[0];
        desk.narrow(stretch.range, &shown);
        desk.ledger.end_poll();
        assert_eq!(desk.ledger.tallies().vanished, vanished);
    }
}

#[test]
fn aged_out_leaves_the_gauges_is_counted_and_raises_the_floor() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10), closed(active("b", 10), 1)]);
    desk.poll(&[closed(active("b", 10), 1), active("a", 10)]);
    let listed_until = desk.now;
    assert_eq!(
        desk.ledger.forget_before(listed_until),
        Forgotten::default(),
        "by the range that listed it, not its date"
    );
    let forgotten = desk.ledger.forget_before(listed_until + 1);
    assert_eq!(forgotten, Forgotten { entries: 2, unsettled: 1, floor: Some(listed_until + 1) });
    assert_eq!((desk.ledger.tallies().aged_out, desk.moment().active, desk.ledger.len()), (1, 0, 0));
}

#[test]
fn aged_out_takes_a_look_at_a_part_of_the_settled_ones_in_each_poll() {
    let mut desk = Desk::new();
    let readings: Vec<_> = (0..25_000).map(|n| closed(active(&format!("a{n}"), 10), 1)).collect();
    desk.poll(&readings);
    desk.poll(&readings);
    // Never settled, and beyond the first part.
    desk.poll(&[active("open", 10)]);
    let horizon = desk.now + 1;
    let forgotten: Vec<_> = (0..4).map(|_| desk.ledger.forget_before(horizon)).collect();
    let counts: Vec<_> = forgotten.iter().map(|forgotten| (forgotten.entries, forgotten.unsettled)).collect();
    assert_eq!(counts, [(10_001, 1), (10_000, 0), (5_000, 0), (0, 0)]);
    assert_eq!((desk.ledger.len(), desk.ledger.unsettled()), (0, 0));
    // And round again.
    desk.poll(&readings[..1]);
    assert_eq!(desk.ledger.forget_before(desk.now + 1).entries, 1);
}

#[test]
fn wrong_zone_is_counted_once_and_kept_out_of_times() {
    let mut desk = Desk::new();
    let odd = active("a", 5 * 3600 + 10);
    let folded = desk.poll(std::slice::from_ref(&odd));
    assert_eq!(folded.outside_by, Some(-5 * 3_600_000), "somewhere between 4:01:10 and 5:01:10");
    desk.poll(std::slice::from_ref(&odd));
    assert_eq!(desk.ledger.tallies().outside_window, 1);
    let pair = desk.only();
    assert_eq!((started(&pair), pair.missed), (1, 0), "the clock does not decide it");
    let moment = desk.moment();
    assert_eq!((moment.waiting, moment.oldest_waiting_start), (1, None));
    assert!(!desk.ledger.due_stretches(0, 50).iter().any(|stretch| stretch.narrow));
    desk.poll(&[Conversation { reply: Some(1), ..odd }]);
    assert_eq!((desk.only().met, desk.moment().reply_recent), (1, [None; 4]));
}

#[test]
fn wrong_zone_does_not_keep_what_is_gone() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 5 * 3600)]);
    let listed_in = Range::new(desk.now - 3600, desk.now);
    assert_eq!(desk.moment().active, 1);
    desk.ledger.begin_poll();
    desk.walk(listed_in, Vec::new());
    desk.ledger.end_poll();
    assert_eq!((desk.ledger.tallies().vanished, desk.moment().active), (1, 0));
}

#[test]
fn account_another_company_is_refused_and_nothing_counted() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    desk.ledger.begin_poll();
    let foreign = Conversation { company: Some("2".into()), ..active("b", 10) };
    let rows = vec![Row::Conversation(active("c", 10)), Row::Conversation(foreign)];
    let pages = vec![Page { rows, total: None, sent_at: at(NOW), server_date: None }];
    let walked = Walked { range: desk.range(), narrow: false, complete: true, pages };
    let error = desk.ledger.fold(&walked).unwrap_err();
    assert!(error.to_string().contains("company 2") && error.to_string().contains("state.path"));
    assert_eq!(started(&desk.only()), 1);
    // A record that names no company is not another one's.
    desk.poll(&[Conversation { company: None, ..active("d", 10) }]);
    assert_eq!(started(&desk.only()), 2);
}

#[test]
fn overflow_takes_in_what_the_cap_leaves_no_room_for() {
    let mut desk = Desk::with(LedgerSettings { max_label_sets: 3, ..settings() });
    let of = |id: &str, team: &str| Conversation { team: team.into(), ..active(id, 10) };
    desk.poll(&[of("a", "one"), of("b", "two"), of("c", "three"), of("d", "four")]);
    let overflow = desk.pair(crate::domain::pair::OVERFLOW, crate::domain::pair::OVERFLOW);
    assert_eq!((started(&overflow), desk.ledger.label_sets(), desk.ledger.tallies().overflowed), (2, 3, 2));
    // What was folded stays so, though its labels have a pair now.
    desk.poll(&[Conversation { reply: Some(1), ..of("c", "one") }]);
    let overflow = desk.pair(crate::domain::pair::OVERFLOW, crate::domain::pair::OVERFLOW);
    assert_eq!((overflow.reply.count(), desk.pair("bot", "one").reply.count()), (1, 0));
}

#[test]
fn zero_before_one() {
    let mut desk = Desk::new();
    let ticket = Conversation { origin: Origin::Ticket, ..active("a", 10) };
    desk.poll(&[Conversation { state: State::Resolved, end: Some(at(NOW)), ..ticket }]);
    desk.poll(&[Conversation { team: "late".into(), ..active("b", 10) }]);
    let late = desk.pair("bot", "late");
    let origins: Vec<_> = late.started.iter().map(|(origin, counter)| (*origin, counter.value)).collect();
    assert_eq!(origins, [(Origin::Organic, 1), (Origin::Ticket, 0)]);
    let ends: Vec<_> = late.ended.iter().map(|(how, counter)| (*how, counter.value)).collect();
    let expected = [
        ((State::Closed, Reason::ClosedByOperator), 0),
        ((State::Resolved, Reason::None), 0),
        ((State::Expired, Reason::Expired), 0),
    ];
    assert_eq!(ends, expected);
    let first = desk.only();
    assert!(first.started.iter().any(|(origin, counter)| *origin == Origin::Organic && counter.value == 0));
}

#[test]
fn start_times_are_the_last_publication_without_the_series_and_never_move() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    assert_eq!(desk.only().start, at(NOW), "what was published at the zero line lacked it");
    let published = desk.now;
    desk.poll(&[Conversation { origin: Origin::Ticket, ..active("b", 10) }]);
    let pair = desk.only();
    assert_eq!(pair.start, at(NOW));
    let starts: Vec<_> = pair.started.iter().map(|(_, counter)| counter.start).collect();
    assert_eq!(starts, [at(NOW), at(published)]);
}

#[test]
fn stale_facts_leave_with_the_last_success() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    assert_eq!(desk.show().moments_until, at(desk.now) + 900_000);
    assert!(Desk::new().show().moments.is_none(), "no poll has succeeded yet");
}

#[test]
fn folding_again_changes_nothing() {
    let mut desk = Desk::new();
    let readings = [closed(replied("a", 10, 1_000), 5_000), active("b", 20), replied("c", 30, 5)];
    desk.poll(&readings);
    let (before, tallies) = (format!("{:?}", desk.only()), desk.ledger.tallies().clone());
    for _ in 0..3 {
        desk.poll(&readings);
    }
    assert_eq!((format!("{:?}", desk.only()), desk.ledger.tallies().clone()), (before, tallies));
}

/// The zone setting was changed, or a clock change makes a local time stand for two.
#[test]
fn vanished_is_not_what_is_dated_anew() {
    let mut desk = Desk::new();
    let open = active("a", 1800);
    desk.poll(std::slice::from_ref(&open));
    let around = Range::new(NOW - 1801, NOW - 1799);
    desk.ledger.begin_poll();
    desk.narrow(around, &[open]);
    // The same request, and the date is read in another zone now.
    let moved = active("a", 1800 + 3600);
    desk.ledger.begin_poll();
    desk.narrow(around, &[moved]);
    desk.ledger.begin_poll();
    let due = desk.ledger.due_stretches(0, 50);
    assert_eq!(due.iter().map(|stretch| stretch.range).collect::<Vec<_>>(), [around]);
    desk.narrow(Range::new(NOW - 5401, NOW - 5399), &[]);
    desk.ledger.end_poll();
    assert_eq!(desk.ledger.tallies().vanished, 0);
}

#[test]
fn floor_follows_the_range_that_listed_a_record_that_is_dated_anew() {
    let mut desk = Desk::new();
    let over = closed(active("a", 1800), 60_000);
    let around = Range::new(NOW - 1801, NOW - 1799);
    desk.ledger.begin_poll();
    desk.narrow(around, std::slice::from_ref(&over));
    desk.ledger.begin_poll();
    desk.narrow(around, &[Conversation { start: over.start - 3_600_000, ..over }]);
    assert_eq!(desk.ledger.forget_before(NOW - 3600).entries, 0, "the upstream still lists it half an hour ago");
    assert_eq!(desk.ledger.forget_before(NOW).floor, Some(NOW - 1798));
}

#[test]
fn overflow_is_one_pair_even_if_a_bot_bears_its_name() {
    let mut desk = Desk::with(LedgerSettings { max_label_sets: 3, ..settings() });
    let named = |id: &str, name: &str| Conversation { bot: name.into(), team: name.into(), ..active(id, 10) };
    desk.poll(&[named("a", "__overflow__"), named("b", "b"), named("c", "c"), named("d", "d")]);
    let shown = desk.show();
    let labels: Vec<_> = shown.pairs.iter().map(|pair| pair.labels.clone()).collect();
    let mut distinct = labels.clone();
    distinct.dedup();
    assert_eq!(labels, distinct);
}

#[test]
fn wrong_zone_asks_by_ranges_that_a_poll_can_read() {
    let mut desk = Desk::new();
    desk.ledger.begin_poll();
    // A sweep lists them, dated hours before its slices.
    for slice in 0..28 {
        let end = NOW - slice * 6 * 3600;
        let record = active(&format!("{slice}"), slice * 6 * 3600 + 12 * 3600);
        desk.walk(Range::new(end - 6 * 3600, end), vec![Row::Conversation(record)]);
    }
    desk.ledger.begin_poll();
    let due = desk.ledger.due_stretches(0, 50);
    assert_eq!(due.len(), 28);
    assert!(due.iter().all(|stretch| stretch.range.width() <= 6 * 3600));
}

/// Other settings while it counts are what they are for a ledger that is restored with them.
#[test]
fn other_settings_hold_as_after_a_restart() {
    let mut desk = Desk::new();
    let readings = [
        replied("a", 100, 4_000),
        closed(replied("b", 3_000, 250_000), 700_000),
        active("c", 200),
        Conversation { origin: Origin::Ticket, ..active("d", 50) },
        Conversation { team: "other".into(), ..replied("e", 300, 60_000) },
    ];
    desk.poll(&readings);
    desk.poll(&readings);
    let changed = LedgerSettings {
        reply: Arc::new(Layout::new([1_000, 100_000], 0)),
        duration: Arc::new(Layout::new([600_000], 3)),
        reply_target: 100_000,
        excluded_origins: vec![Origin::Ticket],
        recent_window: 6 * 3_600_000,
        max_label_sets: 2,
        ..settings()
    };
    let changes = desk.ledger.changes();
    let entries: Vec<_> = changes.entries.iter().map(|(id, entry)| ((*id).clone(), **entry)).collect();
    let pairs: Vec<_> = changes.pairs.iter().map(|(_, known)| (*known).clone()).collect();
    let mut restored = Ledger::restore(changed.clone(), changes.kept, pairs, entries.len());
    entries.into_iter().for_each(|(id, entry)| restored.take_back(id, entry, at(desk.now)));
    let mut restored = Desk { ledger: restored, now: desk.now };
    restored.show();

    let kept = desk.ledger.changes().entries.len();
    desk.ledger.go_on_by(changed);
    assert_eq!(desk.ledger.changes().entries.len(), kept, "what is not kept yet still is not");
    assert_eq!(desk.moment().waiting, 1, "of the two that wait, one is of an origin that is left out now");
    let more = [
        Conversation { origin: Origin::Broadcast, ..replied("f", 20, 150_000) },
        Conversation { team: "third".into(), ..replied("g", 20, 500) },
        closed(readings[0].clone(), 130_000),
    ];
    for desk in [&mut desk, &mut restored] {
        desk.poll(&more);
    }
    let (lived, restored) = (desk.show(), restored.show());
    assert_eq!(format!("{:?}", lived.pairs), format!("{:?}", restored.pairs));
    assert_eq!(lived.moments, restored.moments);
    assert_eq!(desk.only().reply.buckets().map(|(bound, _)| bound).collect::<Vec<_>>(), [1_000, 100_000]);
    assert_eq!(desk.ledger.tallies().overflowed, 1);
}
