//! What is new about a conversation.

use super::entry::Decision;
use crate::domain::conversation::{Conversation, Origin, Reason, State};
use crate::domain::history::Events;
use crate::domain::pair::Pair;
use crate::domain::time::UnixMillis;

/// What one reading brings to be counted in the conversation's pair; most bring nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    pub(super) started: Option<Origin>,
    pub(super) ended: Option<(State, Reason)>,
    pub(super) unanswered: bool,
    pub(super) decided: Option<Decision>,
    /// Reply time, milliseconds.
    pub(super) reply: Option<u64>,
    /// Milliseconds.
    pub(super) duration: Option<u64>,
}

impl News {
    pub(super) fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// What of it is told of a poll.
    pub(super) fn events(&self) -> Events {
        Events {
            started: u64::from(self.started.is_some()),
            replied: u64::from(self.reply.is_some()),
            ended: u64::from(self.ended.is_some()),
        }
    }

    /// Counts it all, as seen in this reading at `seen_at`. Series that the pair has not shown yet count from
    /// `series_start`.
    pub(super) fn count_in(
        &self,
        pair: &mut Pair,
        series_start: UnixMillis,
        reading: &Conversation,
        seen_at: UnixMillis,
    ) {
        if let Some(origin) = self.started {
            pair.started_mut(origin, series_start).value += 1;
        }
        if let Some(how) = self.ended {
            pair.ended_mut(how, series_start).value += 1;
        }
        pair.unanswered += u64::from(self.unanswered);
        match self.decided {
            Some(Decision::Met) => pair.met += 1,
            Some(Decision::Missed) => pair.missed += 1,
            None => {}
        }
        if let Some(reply) = self.reply {
            pair.reply.record_conversation(reply, &reading.id, reading.start, seen_at);
        }
        if let Some(duration) = self.duration {
            pair.duration.record_conversation(duration, &reading.id, reading.start, seen_at);
        }
    }
}
