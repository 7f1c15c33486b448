//! The judge: what the exporter must show, told from the life stories alone.
//!
//! Written from the rules of counting and from nothing else: it shares no code with the exporter but the plain
//! spellings of the label values. It supposes that everything was counted from the first record on
//! (`poll.count_initial: true`), that every change was seen before the next one, and that nothing is left to read.

use std::collections::BTreeMap;

use super::story::{Ending, Story, TeamShown};
use crate::domain::conversation::{Origin, Reason, State};
use crate::domain::time::UnixMillis;

/// The settings that decide what is counted how.
#[derive(Clone, Debug)]
pub struct OracleRules {
    /// `metrics.reply_target`, milliseconds.
    pub reply_target_ms: i64,
    /// `metrics.reply_target_excluded_origins`.
    pub excluded_origins: Vec<Origin>,
    /// The `le` bounds of the reply time, milliseconds.
    pub reply_bounds_ms: Vec<u64>,
    /// The `le` bounds of the duration, milliseconds.
    pub duration_bounds_ms: Vec<u64>,
    /// When the last request was sent that showed the unanswered ones; a moment later than the totals are asked for
    /// when the world has been frozen.
    pub last_request: UnixMillis,
    /// Whether dates are listed without milliseconds.
    pub whole_seconds: bool,
}

impl OracleRules {
    /// The default settings, zone-less dates, the last request sent at this instant.
    pub fn defaults(last_request: UnixMillis) -> Self {
        let millis = |seconds: &[u64]| seconds.iter().map(|seconds| seconds * 1000).collect();
        Self {
            reply_target_ms: 300_000,
            excluded_origins: vec![Origin::Broadcast, Origin::InducedByOperator],
            reply_bounds_ms: millis(&[5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800]),
            duration_bounds_ms: millis(&[60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400]),
            last_request,
            whole_seconds: true,
        }
    }
}

/// Times, summed up exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How many.
    pub count: u64,
    /// Their sum, milliseconds.
    pub sum_ms: u128,
    /// For each bound (milliseconds), how many do not exceed it.
    pub le: Vec<(u64, u64)>,
}

impl Times {
    fn new(bounds: &[u64]) -> Self {
        Self { le: bounds.iter().map(|bound| (*bound, 0)).collect(), ..Self::default() }
    }

    fn add(&mut self, millis: u64) {
        self.count += 1;
        self.sum_ms += u128::from(millis);
        self.le.iter_mut().filter(|(bound, _)| millis <= *bound).for_each(|(_, count)| *count += 1);
    }
}

/// The exact totals of one (bot, team). Labels without a count are not in the maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairTotals {
    /// `jelou_conversations_started_total`.
    pub started: BTreeMap<Origin, u64>,
    /// `jelou_conversations_ended_total`.
    pub ended: BTreeMap<(State, Reason), u64>,
    /// `jelou_conversations_unanswered_total`.
    pub unanswered: u64,
    /// `jelou_operator_reply_decided_total{result="met"}`.
    pub met: u64,
    /// `jelou_operator_reply_decided_total{result="missed"}`.
    pub missed: u64,
    /// `jelou_conversations_reopened_total`.
    pub reopened: u64,
    /// `jelou_operator_reply_time_seconds`.
    pub reply: Times,
    /// `jelou_conversation_duration_seconds`.
    pub duration: Times,
    /// `jelou_conversations_active`.
    pub active: u64,
    /// `jelou_conversations_waiting`.
    pub waiting: u64,
    /// `jelou_conversations_oldest_waiting_start_timestamp_seconds`, as the start is listed; `None` when none waits.
    pub oldest_waiting: Option<UnixMillis>,
}

/// The exact totals of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// By the labels `bot` and `team`.
    pub pairs: BTreeMap<(String, String), PairTotals>,
    /// Records that were listed and cannot be counted.
    pub rejected: u64,
}

/// The totals of these stories in the state of the world at `until`.
pub fn totals<'a>(stories: impl IntoIterator<Item = &'a Story>, until: UnixMillis, rules: &OracleRules) -> Totals {
    let mut totals = Totals::default();
    for story in stories {
        // What has vanished was seen until then, and leaves only the facts of the moment.
        let gone = story.vanishes.filter(|vanishes| *vanishes <= until);
        let seen_until = gone.map_or(until, |vanishes| vanishes - 1);
        if !story.is_listed(seen_until) {
            continue;
        }
        if story.flaw.is_some() {
            totals.rejected += 1;
            continue;
        }
        let labels = (bot(story), team(story));
        let pair = totals.pairs.entry(labels).or_insert_with(|| PairTotals {
            reply: Times::new(&rules.reply_bounds_ms),
            duration: Times::new(&rules.duration_bounds_ms),
            ..PairTotals::default()
        });
        let asked = gone.map_or(rules.last_request, |vanishes| rules.last_request.min(vanishes - 1));
        Judge { story, at: seen_until, asked, rules }.add_to(pair, gone.is_none());
    }
    totals
}

fn bot(story: &Story) -> String {
    let name = story.bot.as_deref().unwrap_or("").trim();
    if name.is_empty() { "unknown".to_owned() } else { name.to_owned() }
}

fn team(story: &Story) -> String {
    match &story.team {
        TeamShown::Assigned(name) if !name.trim().is_empty() => name.trim().to_owned(),
        TeamShown::Operator(name) if !name.trim().is_empty() && !name.contains(',') => name.trim().to_owned(),
        _ => "unassigned".to_owned(),
    }
}

struct Judge<'a> {
    story: &'a Story,
    /// The world's state is judged at this instant.
    at: UnixMillis,
    /// When the last request was sent.
    asked: UnixMillis,
    rules: &'a OracleRules,
}

impl Judge<'_> {
    fn add_to(&self, pair: &mut PairTotals, still_listed: bool) {
        let origin = Origin::read(self.story.origin.as_deref());
        let excluded = self.rules.excluded_origins.contains(&origin);
        let reply = self.story.reply_at(self.at);
        let first_end = self.story.endings.first().filter(|end| end.at <= self.at);

        *pair.started.entry(origin).or_default() += 1;
        if let Some(reply) = reply {
            pair.reply.add(reply);
        }
        if let Some(end) = first_end {
            let how = (State::read(Some(&end.state)), Reason::read(end.reason.as_deref()));
            *pair.ended.entry(how).or_default() += 1;
            if let Some(duration) = self.duration(end) {
                pair.duration.add(duration);
            }
            if end.reopened.is_some_and(|reopened| reopened <= self.at) {
                pair.reopened += 1;
            }
        }
        if !excluded {
            self.decide(pair, reply, first_end);
        }
        if still_listed && self.story.ending_at(self.at).is_none() {
            pair.active += 1;
            if !excluded && reply.is_none() {
                pair.waiting += 1;
                let start = self.listed(self.story.start);
                pair.oldest_waiting = Some(pair.oldest_waiting.map_or(start, |oldest| oldest.min(start)));
            }
        }
    }

    /// What becomes of the promise to reply in time, for a conversation that a customer waits in.
    fn decide(&self, pair: &mut PairTotals, reply: Option<u64>, first_end: Option<&Ending>) {
        let target = self.rules.reply_target_ms;
        let reply_came = reply.and_then(|reply| i64::try_from(reply).ok());
        let unanswered_end = first_end.filter(|end| reply_came.is_none_or(|reply| self.story.start + reply > end.at));
        let quickly_handed_on =
            |end: &Ending| is_transfer(end) && self.duration(end).is_some_and(|took| took < target.unsigned_abs());
        match (unanswered_end, reply_came) {
            (Some(end), _) if !quickly_handed_on(end) => {
                pair.unanswered += 1;
                pair.missed += 1;
            }
            // Handed on before anyone could be late: nobody's promise, unless someone did reply after all.
            (_, Some(reply)) if reply <= target => pair.met += 1,
            (_, Some(_)) => pair.missed += 1,
            (Some(_), None) => {}
            (None, None) => {
                let late = self.listed(self.story.start) + target + 60_000;
                pair.missed += u64::from(self.asked >= late);
            }
        }
    }

    /// What the record says about its duration: given, or else the distance of the dates as they are written.
    fn duration(&self, end: &Ending) -> Option<u64> {
        let millis = if end.duration_stated {
            end.at.since(self.story.start)
        } else {
            self.listed(end.at).since(self.listed(self.story.start))
        };
        u64::try_from(millis).ok()
    }

    /// An instant as far as the written date tells it.
    fn listed(&self, at: UnixMillis) -> UnixMillis {
        if self.rules.whole_seconds { UnixMillis(at.0 - at.0.rem_euclid(1000)) } else { at }
    }
}

fn is_transfer(end: &Ending) -> bool {
    let state = end.state.trim().to_ascii_lowercase();
    let reason = end.reason.as_deref().unwrap_or("").trim().to_ascii_lowercase();
    ["transferred", "auto_transfer"].contains(&&*state)
        || ["transferred", "closed_by_auto_transfer"].contains(&&*reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::story::Flaw;

    const MINUTE: i64 = 60_000;
    const START: UnixMillis = UnixMillis(1_700_000_000_700);

    fn judged(stories: &[Story], at: UnixMillis) -> Totals {
        totals(stories, at, &OracleRules::defaults(at))
    }

    /// The totals of one record, so many milliseconds after its start.
    fn alone(story: Story, after: i64) -> PairTotals {
        let judged = judged(&[story.by("Bot", "Ventas")], START + after);
        judged.pairs[&("Bot".to_owned(), "Ventas".to_owned())].clone()
    }

    fn story() -> Story {
        Story::new("a", START)
    }

    #[test]
    fn an_answered_conversation_counts_once_in_everything() {
        let pair = alone(story().replied_after(61_000).closed_after(10 * MINUTE), 20 * MINUTE);
        assert_eq!(pair.started, BTreeMap::from([(Origin::Organic, 1)]));
        assert_eq!(pair.ended, BTreeMap::from([((State::Closed, Reason::ClosedByOperator), 1)]));
        assert_eq!((pair.met, pair.missed, pair.unanswered, pair.active, pair.waiting), (1, 0, 0, 0, 0));
        assert_eq!((pair.reply.count, pair.reply.sum_ms), (1, 61_000));
        assert_eq!(pair.reply.le[4..6], [(60_000, 0), (120_000, 1)]);
        assert_eq!(
            (pair.duration.sum_ms, pair.duration.le[3], pair.duration.le[2]),
            (600_000, (600_000, 1), (300_000, 0))
        );
    }

    #[test]
    fn the_target_is_met_on_time_and_missed_a_millisecond_later() {
        let result = |reply| {
            let pair = alone(story().replied_after(reply), 60 * MINUTE);
            (pair.met, pair.missed)
        };
        assert_eq!([0, 300_000, 300_001].map(result), [(1, 0), (1, 0), (0, 1)]);
    }

    #[test]
    fn the_clock_decides_one_minute_after_the_target_by_the_listed_start() {
        // The start is listed without its 700 ms.
        let missed = |after| alone(story(), after).missed;
        assert_eq!([6 * MINUTE - 701, 6 * MINUTE - 700].map(missed), [0, 1]);
        let pair = alone(story(), 6 * MINUTE);
        assert_eq!((pair.active, pair.waiting, pair.unanswered), (1, 1, 0));
        assert_eq!(pair.oldest_waiting, Some(UnixMillis(1_700_000_000_000)));
    }

    #[test]
    fn an_end_without_a_reply_is_unanswered_and_missed() {
        let pair = alone(story().ended_after(1000, "EXPIRED", "expired"), 2000);
        assert_eq!((pair.unanswered, pair.missed, pair.met), (1, 1, 0));
    }

    #[test]
    fn a_quick_transfer_without_a_reply_is_nobodys_promise() {
        let result = |story: Story| {
            let pair = alone(story, 60 * MINUTE);
            (pair.unanswered, pair.met, pair.missed)
        };
        assert_eq!(result(story().ended_after(5 * MINUTE - 1, "transferred", "")), (0, 0, 0));
        assert_eq!(result(story().ended_after(5 * MINUTE, "transferred", "")), (1, 0, 1));
        assert_eq!(result(story().ended_after(1000, "closed", "closed_by_auto_transfer")), (0, 0, 0));
        assert_eq!(result(story().replied_after(500).ended_after(1000, "AUTO_TRANSFER", "")), (0, 1, 0));
        // Not stated: 300 s as listed, though 299.8 s by the millisecond.
        let mut unstated = story().ended_after(5 * MINUTE - 200, "transferred", "");
        unstated.endings[0].duration_stated = false;
        assert_eq!(result(unstated), (1, 0, 1));
        let mut unstated = story().ended_after(5 * MINUTE - 701, "transferred", "");
        unstated.endings[0].duration_stated = false;
        assert_eq!(result(unstated), (0, 0, 0));
    }

    #[test]
    fn excluded_origins_are_counted_but_promise_nothing() {
        let pair = alone(story().origin("BROADCAST"), 60 * MINUTE);
        assert_eq!((pair.active, pair.waiting, pair.missed, pair.oldest_waiting), (1, 0, 0, None));
        let pair = alone(story().origin("induced_by_operator").replied_after(1).closed_after(2), 60 * MINUTE);
        assert_eq!((pair.reply.count, pair.duration.count, pair.met, pair.unanswered), (1, 1, 0, 0));
    }

    #[test]
    fn a_second_life_is_reopened_once_and_ends_once() {
        let again =
            story().closed_after(1000).reopened_after(2000).replied_after(2500).ended_after(3000, "expired", "");
        let pair = alone(again.clone(), 2600);
        assert_eq!(
            (pair.reopened, pair.active, pair.waiting, pair.unanswered, pair.missed, pair.met),
            (1, 1, 0, 1, 1, 0)
        );
        assert_eq!(pair.reply.count, 1);
        let pair = alone(again, 4000);
        assert_eq!((pair.ended.values().sum::<u64>(), pair.duration.sum_ms, pair.active), (1, 1000, 0));
    }

    #[test]
    fn what_vanished_keeps_its_counts_and_leaves_the_moment() {
        let gone = Story { vanishes: Some(START + 7 * MINUTE), ..story() };
        let pair = alone(gone, 8 * MINUTE);
        assert_eq!((pair.started.len(), pair.active, pair.waiting, pair.missed), (1, 0, 0, 1));
        let early = Story { vanishes: Some(START + 2 * MINUTE), ..story().closed_after(3 * MINUTE) };
        let pair = alone(early, 8 * MINUTE);
        assert_eq!((pair.ended.len(), pair.missed), (0, 0));
    }

    #[test]
    fn labels_flaws_and_unlisted_records() {
        let stories = [
            story(),
            Story { bot: Some(" ".into()), team: TeamShown::Operator("A,B".into()), ..story() },
            Story { team: TeamShown::Operator(" A ".into()), ..story() },
            Story { flaw: Some(Flaw::NoId), ..story() },
            Story { late: 5000, ..story().by("later", "later") },
            Story::new("b", START + 9000).by("future", "future"),
        ];
        let judged = judged(&stories, START + 4999);
        let started = |team: &str| judged.pairs[&("unknown".to_owned(), team.to_owned())].started[&Origin::Organic];
        assert_eq!((judged.rejected, judged.pairs.len()), (1, 2));
        assert_eq!((started("unassigned"), started("A")), (2, 1));
    }
}
