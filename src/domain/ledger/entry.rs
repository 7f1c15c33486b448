//! What is remembered of one conversation.

use crate::domain::conversation::{Conversation, Origin, Reason, State};
use crate::domain::time::{Range, UnixMillis};

use super::pairs::PairId;

/// Whether the reply target was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// A reply came within the target.
    Met,
    /// It did not.
    Missed,
}

/// A thing that happens to a conversation at most once: whether it was seen, and whether it was counted then.
///
/// What was seen while the zero line was not drawn yet is seen without being counted, and is never counted later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Once {
    #[default]
    Unseen,
    Seen,
    Counted,
}

impl Once {
    pub(super) const fn seen(self) -> bool {
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
pub(super) enum Narrow {
    /// Not tried yet.
    #[default]
    Untried,
    /// A narrow walk has shown it at its own start.
    Proven,
    /// A complete narrow walk did not show it: only the range that listed it will.
    Failed,
}

/// The ledger's memory of one `_id`: the latest reading, and what was counted.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) start: UnixMillis,
    pub(super) end: Option<UnixMillis>,
    pub(super) state: State,
    pub(super) reason: Reason,
    pub(super) origin: Origin,
    pub(super) pair: PairId,
    pub(super) reply: Option<u64>,
    /// Of the latest ended reading.
    pub(super) duration: Option<u64>,
    /// What the latest reading would decide; the first that was counted stands.
    pub(super) decision: Option<Decision>,
    /// The range that listed it last.
    pub(super) listed_in: Range,
    /// The poll that read it last.
    pub(super) read_in: u64,
    /// The poll that first saw it ended, since it was last seen active.
    pub(super) ended_in: Option<u64>,
    pub(super) started: Once,
    pub(super) ended: Once,
    pub(super) replied: Once,
    pub(super) lasted: Once,
    pub(super) decided: Once,
    pub(super) reopened: Once,
    pub(super) narrow: Narrow,
    /// Counted in the overflow pair, for good.
    pub(super) folded: bool,
    /// Dated outside the range that listed it.
    pub(super) outside: bool,
    pub(super) vanished: bool,
    pub(super) settled: bool,
}

impl Entry {
    /// A first memory, in which nothing is counted yet.
    pub(super) fn new(reading: &Conversation, pair: PairId, listed_in: Range, poll: u64) -> Self {
        Self {
            start: reading.start,
            end: reading.end,
            state: reading.state,
            reason: reading.reason,
            origin: reading.origin,
            pair,
            reply: reading.reply,
            duration: None,
            decision: None,
            listed_in,
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
            outside: false,
            vanished: false,
            settled: false,
        }
    }

    /// Whether the latest reading showed it active.
    pub(super) const fn is_active(&self) -> bool {
        self.ended_in.is_none()
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
            Narrow::Untried => !self.outside && self.listed_in.contains(self.start),
        }
    }

    /// The range in which the upstream is known to list it: a complete walk over it that does not show it proves it gone.
    pub(super) const fn known_range(&self) -> Range {
        match self.narrow {
            Narrow::Proven => self.around_start(),
            Narrow::Untried | Narrow::Failed => self.listed_in,
        }
    }
}
