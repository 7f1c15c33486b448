//! What is remembered of one conversation.

use crate::domain::conversation::{Conversation, Origin, Reason, State};
use crate::domain::time::{Range, UnixMillis};

use super::dated::is_outside;
use super::pairs::PairId;
use super::slim::{PollNumber, SlimMillis, SlimRange};

/// Whether the reply target was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A reply came within the target.
    Met,
    /// It did not.
    Missed,
}

/// A thing that happens to a conversation at most once: whether it was seen, and whether it was counted then.
///
/// What was seen while the zero line was not drawn yet is seen without being counted, and is never counted later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Once {
    /// It has not happened yet.
    #[default]
    Unseen,
    /// It had happened before counting began.
    Seen,
    /// It was counted.
    Counted,
}

impl Once {
    /// Whether it has happened.
    pub const fn seen(self) -> bool {
        !matches!(self, Self::Unseen)
    }

    pub(super) const fn counted(self) -> bool {
        matches!(self, Self::Counted)
    }

    /// Marks the thing; true when it happens for the first time and is to be counted.
    pub(super) const fn happen(&mut self, counting: bool) -> bool {
        if self.seen() {
            return false;
        }
        *self = if counting { Self::Counted } else { Self::Seen };
        counting
    }
}

/// How a record may be asked for once it has left the newest stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Narrow {
    /// Not tried yet.
    #[default]
    Untried,
    /// A narrow walk has shown it at its own start.
    Proven,
    /// A complete narrow walk did not show it: only the range that listed it will.
    Failed,
}

/// Whether it is dated outside the range that listed it (rule **wrong zone**).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outside {
    /// No reading ever dated it so.
    #[default]
    Never,
    /// By the date that it bears now.
    Now,
    /// Not by the date that it bears now; it was counted all the same, and is not counted again.
    Before,
}

impl Outside {
    /// It bears another date.
    pub(super) const fn heal(&mut self) {
        if matches!(self, Self::Now) {
            *self = Self::Before;
        }
    }
}

/// The ledger's memory of one `_id`: the latest reading, and what was counted. Its size is most of the process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `startAt` of the latest reading.
    pub start: UnixMillis,
    /// `endAt` of the latest reading.
    pub end: SlimMillis,
    /// `state` of the latest reading.
    pub state: State,
    /// `endedReason` of the latest reading.
    pub reason: Reason,
    /// `origin` of the latest reading.
    pub origin: Origin,
    /// The pair of the latest reading's labels.
    pub pair: PairId,
    /// `timeRepliedOperator` of the latest reading, milliseconds.
    pub reply: SlimMillis,
    /// Of the latest ended reading.
    pub duration: SlimMillis,
    /// What the latest reading would decide; the first that was counted stands.
    pub decision: Option<Decision>,
    /// The range that listed it last.
    pub listed_in: SlimRange,
    /// The poll that read it last.
    pub read_in: PollNumber,
    /// The poll that first saw it ended, since it was last seen active.
    pub ended_in: Option<PollNumber>,
    /// Whether it was seen at all.
    pub started: Once,
    /// Whether it was seen ended.
    pub ended: Once,
    /// Whether it was seen with a reply.
    pub replied: Once,
    /// Whether it was seen with a duration.
    pub lasted: Once,
    /// Whether the reply target was decided.
    pub decided: Once,
    /// Whether it was seen active after it had ended.
    pub reopened: Once,
    /// How it may be asked for.
    pub narrow: Narrow,
    /// Counted in the overflow pair, for good.
    pub folded: bool,
    /// Whether it is dated outside the range that listed it.
    pub outside: Outside,
    /// Missed by a complete walk that had to show it, and not seen again since.
    pub vanished: bool,
    /// Ended, and read again in a later poll: it is asked for no longer.
    pub settled: bool,
}

impl Entry {
    /// A first memory, in which nothing is counted yet.
    pub fn new(reading: &Conversation, pair: PairId, listed_in: Range, poll: PollNumber) -> Self {
        Self {
            start: reading.start,
            end: reading.end.into(),
            state: reading.state,
            reason: reading.reason,
            origin: reading.origin,
            pair,
            reply: reading.reply.into(),
            duration: SlimMillis::NONE,
            decision: None,
            listed_in: listed_in.into(),
            read_in: poll,
            ended_in: None,
            started: Once::Unseen,
            ended: Once::Unseen,
            replied: Once::Unseen,
            lasted: Once::Unseen,
            decided: Once::Unseen,
            reopened: Once::Unseen,
            narrow: Narrow::Untried,
            folded: false,
            outside: Outside::Never,
            vanished: false,
            settled: false,
        }
    }

    /// Whether it differs by more than that it was read again, which need not be kept: most readings say nothing new.
    pub(super) fn says_other_than(&self, now: &Self) -> bool {
        Self { read_in: now.read_in, listed_in: now.listed_in, ..*self } != *now
    }

    /// Whether the latest reading showed it active.
    pub(super) const fn is_active(&self) -> bool {
        self.ended_in.is_none()
    }

    /// Whether its date is known to be wrong.
    pub(super) const fn is_outside(&self) -> bool {
        matches!(self.outside, Outside::Now)
    }

    /// Whether its start is no help to find it among those that a range lists.
    pub(super) fn lies_elsewhere(&self) -> bool {
        is_outside(self.start, self.listed_in.get())
    }

    /// Its own start, a second to either side.
    pub(super) const fn around_start(&self) -> Range {
        let second = self.start.seconds();
        Range::new(second - 1, second + 1)
    }

    /// Whether it can be asked for at its own start.
    pub(super) const fn asks_narrow(&self) -> bool {
        match self.narrow {
            Narrow::Proven => true,
            Narrow::Failed => false,
            Narrow::Untried => !self.is_outside() && self.listed_in.get().contains(self.start),
        }
    }

    /// The range in which the upstream is known to list it: a complete walk over it that does not show it proves it gone.
    pub(super) const fn known_range(&self) -> Range {
        match self.narrow {
            Narrow::Proven => self.around_start(),
            Narrow::Untried | Narrow::Failed => self.listed_in.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_no_more_room_than_it_must() {
        assert_eq!(size_of::<Entry>(), 72);
    }
}
