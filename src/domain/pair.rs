//! What is counted for one (bot, team).

use std::sync::Arc;

use super::conversation::{Origin, Reason, State};
use super::distribution::{Distribution, Layout};
use super::time::UnixMillis;

/// Both labels of the pair that takes in what the cap leaves no room for.
pub const OVERFLOW: &str = "__overflow__";

/// The labels of a pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairLabels {
    /// The `bot` label.
    pub bot: Arc<str>,
    /// The `team` label.
    pub team: Arc<str>,
}

/// A count, and since when it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Never goes down.
    pub value: u64,
    /// When counting began.
    pub start: UnixMillis,
}

/// The counters and distributions of one pair; each is there from the pair's first record on (rule **zero before one**).
#[derive(Clone, Debug)]
pub struct Pair {
    /// The pair's labels.
    pub labels: PairLabels,
    /// Since when the series of the pair count, apart from those that carry a start of their own.
    pub start: UnixMillis,
    /// When something was last counted here; the time of making until then.
    pub last_event: UnixMillis,
    /// `jelou_conversations_started_total` by origin, sorted.
    pub started: Vec<(Origin, Counter)>,
    /// `jelou_conversations_ended_total` by state and reason, sorted.
    pub ended: Vec<((State, Reason), Counter)>,
    /// `jelou_conversations_unanswered_total`.
    pub unanswered: u64,
    /// `jelou_operator_reply_decided_total{result="met"}`.
    pub met: u64,
    /// `jelou_operator_reply_decided_total{result="missed"}`.
    pub missed: u64,
    /// `jelou_conversations_reopened_total`.
    pub reopened: u64,
    /// `jelou_operator_reply_time_seconds`.
    pub reply: Distribution,
    /// `jelou_conversation_duration_seconds`.
    pub duration: Distribution,
}

impl Pair {
    /// A pair with every family at zero, counting from `start`.
    pub fn new(labels: PairLabels, start: UnixMillis, reply: Arc<Layout>, duration: Arc<Layout>) -> Self {
        let zero = Counter { value: 0, start };
        Self {
            labels,
            start,
            last_event: start,
            started: Vec::new(),
            ended: vec![((State::Closed, Reason::ClosedByOperator), zero), ((State::Expired, Reason::Expired), zero)],
            unanswered: 0,
            met: 0,
            missed: 0,
            reopened: 0,
            reply: Distribution::new(reply, start),
            duration: Distribution::new(duration, start),
        }
    }

    /// The counter of conversations started with this origin; made at zero, counting from `start`, if there is none.
    pub fn started_mut(&mut self, origin: Origin, start: UnixMillis) -> &mut Counter {
        counter(&mut self.started, origin, start)
    }

    /// The counter of conversations ended so; made at zero, counting from `start`, if there is none.
    pub fn ended_mut(&mut self, how: (State, Reason), start: UnixMillis) -> &mut Counter {
        counter(&mut self.ended, how, start)
    }
}

fn counter<K: Ord + Copy>(counters: &mut Vec<(K, Counter)>, key: K, start: UnixMillis) -> &mut Counter {
    let at = match counters.binary_search_by_key(&key, |(key, _)| *key) {
        Ok(at) => at,
        Err(at) => {
            counters.insert(at, (key, Counter { value: 0, start }));
            at
        }
    };
    &mut counters[at].1
}
