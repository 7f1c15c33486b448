//! The polls of late: what each did and how it ended, for whoever looks after the exporter.

use std::collections::VecDeque;
use std::sync::Arc;

use super::label::{Outcome, RecordResult, Tally, WalkResult};
use super::time::UnixMillis;

/// How many polls are remembered, however they ended.
pub const RECENT: usize = 60;
/// How many failures are remembered that are older than these: they are what is looked for later.
pub const OLDER_FAILURES: usize = 20;

/// Events that were counted (rules **started**, **reply**, **ended**).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Conversations started.
    pub started: u64,
    /// First replies.
    pub replied: u64,
    /// Conversations ended.
    pub ended: u64,
}

impl Events {
    /// Counts these as well.
    pub const fn add(&mut self, more: Self) {
        self.started += more.started;
        self.replied += more.replied;
        self.ended += more.ended;
    }

    const fn since(self, earlier: Self) -> Self {
        Self {
            started: self.started - earlier.started,
            replied: self.replied - earlier.replied,
            ended: self.ended - earlier.ended,
        }
    }
}

/// What was done: since the process started, or between two moments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Requests by outcome.
    pub requests: Tally<Outcome>,
    /// Requests that repeated a failed one.
    pub retries: u64,
    /// Milliseconds spent waiting for the request budget.
    pub budget_wait: u64,
    /// Walks by result.
    pub walks: Tally<WalkResult>,
    /// Rows by what became of them.
    pub records: Tally<RecordResult>,
    /// What was counted.
    pub events: Events,
}

impl Work {
    /// What of this was done since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.since(&earlier.requests),
            retries: self.retries - earlier.retries,
            budget_wait: self.budget_wait - earlier.budget_wait,
            walks: self.walks.since(&earlier.walks),
            records: self.records.since(&earlier.records),
            events: self.events.since(earlier.events),
        }
    }
}

/// Why a poll failed, in words that anyone may read: the only one that comes from the upstream is the id of a foreign company.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The kind, in a word.
    pub kind: &'static str,
    /// What went wrong and what to look at.
    pub why: String,
    /// Whether the request was refused as such: five of these in a row slow the polling down.
    pub refused: bool,
}

/// One poll that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollRecord {
    /// Which poll of the process it was, from 1.
    pub number: u64,
    /// When it began.
    pub began: UnixMillis,
    /// How long it took, milliseconds.
    pub took: u64,
    /// Why it failed; `None` when it succeeded.
    pub failure: Option<Failure>,
    /// What it did.
    pub work: Work,
    /// What catch-up and sweep did after it, before the next poll.
    pub slow_work: Work,
}

/// The last [`RECENT`] polls, and the last [`OLDER_FAILURES`] failed ones before these.
#[derive(Clone, Debug, Default)]
pub struct History {
    recent: VecDeque<Arc<PollRecord>>,
    failures: VecDeque<Arc<PollRecord>>,
}

impl History {
    /// Remembers a poll that has ended.
    pub fn push(&mut self, poll: PollRecord) {
        self.recent.push_back(Arc::new(poll));
        if self.recent.len() > RECENT
            && let Some(old) = self.recent.pop_front()
            && old.failure.is_some()
        {
            self.failures.push_back(old);
        }
        if self.failures.len() > OLDER_FAILURES {
            self.failures.pop_front();
        }
    }

    /// Slow work was done after the last poll.
    pub fn add_slow_work(&mut self, work: Work) {
        if let Some(last) = self.recent.back_mut() {
            Arc::make_mut(last).slow_work = work;
        }
    }

    /// The recent polls, oldest first.
    pub fn recent(&self) -> impl DoubleEndedIterator<Item = &PollRecord> + ExactSizeIterator {
        self.recent.iter().map(AsRef::as_ref)
    }

    /// Failed polls before these, oldest first.
    pub fn older_failures(&self) -> impl DoubleEndedIterator<Item = &PollRecord> + ExactSizeIterator {
        self.failures.iter().map(AsRef::as_ref)
    }

    /// The poll that ended last.
    pub fn last(&self) -> Option<&PollRecord> {
        self.recent.back().map(AsRef::as_ref)
    }

    /// How many polls have failed in a row up to now, as far as is remembered; and the first of these.
    pub fn failing(&self) -> Option<(usize, &PollRecord)> {
        let streak = self.recent().rev().take_while(|poll| poll.failure.is_some());
        streak.enumerate().last().map(|(before, first)| (before + 1, first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(number: u64, failed: bool) -> PollRecord {
        let failure = Failure { kind: "timeout", why: "no answer".into(), refused: false };
        PollRecord {
            number,
            began: UnixMillis(0),
            took: 5,
            failure: failed.then_some(failure),
            work: Work::default(),
            slow_work: Work::default(),
        }
    }

    fn numbers<'a>(polls: impl Iterator<Item = &'a PollRecord>) -> Vec<u64> {
        polls.map(|poll| poll.number).collect()
    }

    #[test]
    fn failures_are_kept_longer_than_what_went_well() {
        let mut history = History::default();
        // Every tenth fails.
        (1..=400).for_each(|number| history.push(poll(number, number % 10 == 0)));
        assert_eq!(numbers(history.recent()), (341..=400).collect::<Vec<_>>());
        assert_eq!(numbers(history.older_failures()), (15..=34).map(|n| n * 10).collect::<Vec<_>>());
        assert_eq!(history.last().map(|poll| poll.number), Some(400));
    }

    #[test]
    fn a_streak_of_failures_is_known_by_its_first() {
        let mut history = History::default();
        assert!(history.failing().is_none());
        for (number, failed) in [(1, true), (2, false), (3, true), (4, true)] {
            history.push(poll(number, failed));
        }
        assert_eq!(history.failing().map(|(many, first)| (many, first.number)), Some((2, 3)));
        history.push(poll(5, false));
        assert!(history.failing().is_none());
        (6..=200).for_each(|number| history.push(poll(number, true)));
        assert_eq!(history.failing().map(|(many, _)| many), Some(RECENT));
    }

    #[test]
    fn slow_work_goes_to_the_last_poll_and_what_was_shown_stays() {
        let mut history = History::default();
        history.add_slow_work(Work { retries: 9, ..Work::default() });
        history.push(poll(1, false));
        let shown = history.clone();
        history.add_slow_work(Work { retries: 2, ..Work::default() });
        assert_eq!(history.last().map(|poll| poll.slow_work.retries), Some(2));
        assert_eq!(shown.last().map(|poll| poll.slow_work.retries), Some(0));
    }

    #[test]
    fn work_is_a_difference() {
        let mut earlier = Work { retries: 1, budget_wait: 100, ..Work::default() };
        earlier.requests.add(Outcome::Ok, 5);
        let mut now = earlier.clone();
        now.requests.add(Outcome::Ok, 2);
        now.requests.count(Outcome::Timeout);
        now.events.add(Events { started: 3, replied: 2, ended: 1 });
        now.budget_wait = 350;
        let work = now.since(&earlier);
        assert_eq!((work.requests.get(Outcome::Ok), work.requests.total()), (2, 3));
        assert_eq!((work.retries, work.budget_wait, work.events.replied), (0, 250, 2));
    }
}
