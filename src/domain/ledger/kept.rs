//! What a checkpoint keeps of the ledger, and the ledger that comes back from it.
//!
//! Facts of the moment are not kept (rule **stale**): the recent percentiles are worked out again from the entries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::entries::Entries;
use super::entry::Entry;
use super::moments::{Kind, Recent};
use super::pairs::{PairId, Pairs};
use super::{Ledger, LedgerSettings};
use crate::domain::conversation::ConversationId;
use crate::domain::pair::Pair;
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
    pub poll: u64,
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
    pub pairs: Vec<(PairId, &'a Pair)>,
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

    /// The ledger that was kept, counting on by these settings.
    ///
    /// `pairs` stand in the order of their ids; entries that refer to none of them are not taken in.
    pub fn restore(
        settings: LedgerSettings,
        kept: Kept,
        pairs: Vec<Pair>,
        entries: impl IntoIterator<Item = (ConversationId, Entry)>,
        now: UnixMillis,
    ) -> Self {
        let pairs = Pairs::restore(settings.max_label_sets, &settings.reply, &settings.duration, pairs, kept.overflow);
        let mut ledger = Self {
            entries: Entries::default(),
            unsettled: BTreeSet::new(),
            starts: BTreeMap::new(),
            pairs,
            tallies: kept.tallies,
            company: kept.company,
            recent: Recent::default(),
            zero_line: kept.zero_line,
            series_start: kept.series_start,
            last_success: None,
            poll: kept.poll,
            missing: Vec::new(),
            outside: Vec::new(),
            moments: None,
            settings,
        };
        for (id, entry) in entries {
            if (entry.pair.0 as usize) < ledger.pairs.len() {
                ledger.take_back(id, entry, now);
            }
        }
        ledger.committed();
        ledger
    }

    fn take_back(&mut self, id: ConversationId, entry: Entry, now: UnixMillis) {
        let since = now - self.settings.recent_window;
        let mut recall = |kind, at: UnixMillis, millis| {
            if !entry.outside && at > since {
                self.recent.push(kind, entry.pair, at, millis);
            }
        };
        if let Some(reply) = entry.reply {
            recall(Kind::Reply, entry.start + i64::try_from(reply).unwrap_or(i64::MAX), reply);
        }
        if let Some(duration) = entry.duration {
            let worked_out = entry.start + i64::try_from(duration).unwrap_or(i64::MAX);
            recall(Kind::Duration, entry.end.unwrap_or(worked_out), duration);
        }
        self.count_start(entry.start);
        let (start, settled) = (entry.start, entry.settled);
        let slot = self.entries.insert(self.entries.hash(&id), id, entry);
        if !settled {
            self.unsettled.insert((start, slot));
        }
    }
}
