//! What a checkpoint keeps of the ledger, and the ledger that comes back from it.
//!
//! Facts of the moment are not kept (rule **stale**): the recent percentiles are worked out again from the entries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::entries::Entries;
use super::entry::Entry;
use super::moments::Recent;
use super::pairs::{Known, PairId, Pairs};
use super::starts::Starts;
use super::{Ledger, LedgerSettings, PollNumber};
use crate::domain::conversation::ConversationId;
use crate::domain::snapshot::Tallies;
use crate::domain::time::UnixMillis;

/// The ledger but for its entries and pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The company whose conversations these are.
    pub company: Option<Arc<str>>,
    /// Counts that are kept with the conversations.
    pub tallies: Tallies,
    /// When counting began.
    pub zero_line: Option<UnixMillis>,
    /// Since when series count that are made next.
    pub series_start: UnixMillis,
    /// The number of the latest poll.
    pub poll: PollNumber,
    /// The overflow pair, if there is one.
    pub overflow: Option<PairId>,
}

impl Kept {
    /// Whether this is worth no commit of its own after `earlier`: the numbers of polls and publications go on all the
    /// time, and an older one does no harm.
    pub fn says_no_more_than(&self, earlier: &Self) -> bool {
        *self == Self { series_start: self.series_start, poll: self.poll, ..earlier.clone() }
    }
}

/// What has changed since the last commit.
#[derive(Debug)]
pub struct Changes<'a> {
    /// Entries that are new or differ.
    pub entries: Vec<(&'a ConversationId, &'a Entry)>,
    /// Entries that are gone. One may be among `entries` too, if its id came back: remove first.
    pub gone: &'a [ConversationId],
    /// Pairs that are new or differ.
    pub pairs: Vec<(PairId, &'a Known)>,
    /// All the rest, changed or not.
    pub kept: Kept,
}

impl Ledger {
    /// What has changed since [`Ledger::committed`].
    pub fn changes(&self) -> Changes<'_> {
        Changes {
            entries: self.entries.changed().collect(),
            gone: self.entries.gone(),
            pairs: self.pairs.changed().collect(),
            kept: Kept {
                company: self.company.clone(),
                tallies: self.tallies.clone(),
                zero_line: self.zero_line,
                series_start: self.series_start,
                poll: self.poll,
                overflow: self.pairs.overflow_id(),
            },
        }
    }

    /// All changes so far are kept now.
    pub fn committed(&mut self) {
        self.entries.settle();
        self.pairs.settle();
    }

    /// The ledger that was kept, counting on by these settings, but for its conversations: they are handed over one by
    /// one to [`Ledger::take_back`], as they are too many to be held twice. There are `conversations` of them.
    ///
    /// `pairs` stand in the order of their ids.
    pub fn restore(settings: LedgerSettings, kept: Kept, pairs: Vec<Known>, conversations: usize) -> Self {
        let pairs = Pairs::restore(settings.max_label_sets, &settings.reply, &settings.duration, pairs, kept.overflow);
        Self {
            entries: Entries::with_room_for(conversations),
            unsettled: BTreeSet::new(),
            starts: Starts::default(),
            pairs,
            tallies: kept.tallies,
            company: kept.company,
            recent: Recent::default(),
            zero_line: kept.zero_line,
            series_start: kept.series_start,
            last_success: None,
            poll: kept.poll,
            missing: Vec::new(),
            elsewhere: Vec::new(),
            unread: BTreeSet::new(),
            reopening: BTreeMap::new(),
            moments: None,
            settings,
        }
    }

    /// Takes back a conversation that was kept; one that refers to no pair is not taken in. What happened within the
    /// recent window until `now` counts in the recent percentiles again.
    pub fn take_back(&mut self, id: ConversationId, entry: Entry, now: UnixMillis) {
        if entry.pair.0 as usize >= self.pairs.table().len() {
            return;
        }
        self.starts.add(entry.start.seconds());
        let slot = self.entries.take_back(id, entry);
        self.recent.recall(slot, &entry, now - self.settings.recent_window);
        if !entry.settled {
            self.unsettled.insert((entry.start, slot));
        }
    }
}
