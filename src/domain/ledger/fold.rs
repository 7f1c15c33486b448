//! Walks are taken in, row by row, and what is worked out from entries kept in step with them.

use std::sync::Arc;

use super::desk::{Desk, Place};
use super::entries::Slot;
use super::entry::{Entry, Narrow};
use super::news::News;
use super::{Folded, ForeignCompany, Ledger, Walked};
use crate::domain::conversation::{Conversation, ConversationId, Origin, Reason, State};
use crate::domain::label::{RecordResult, Tally, UnknownField};
use crate::domain::reading::{Page, Row};
use crate::domain::time::{Range, UnixMillis};

impl Ledger {
    /// Folds what a walk brought, whether it was complete or not.
    ///
    /// # Errors
    ///
    /// When a record names another company than the ledger's; then nothing of the walk is folded.
    pub fn fold(&mut self, walked: &Walked) -> Result<Folded, ForeignCompany> {
        self.check_company(walked)?;
        let mut folded = Folded::default();
        let place = Place { range: walked.range, narrow: walked.narrow };
        for page in &walked.pages {
            let seen_at = seen_at(page);
            for row in &page.rows {
                match row {
                    Row::Rejected(rejected) => {
                        folded.records.count(RecordResult::Rejected);
                        self.see(&rejected.identity);
                    }
                    Row::Conversation(reading) => self.read(reading, place, seen_at, &mut folded),
                }
            }
        }
        if walked.complete {
            self.note_missing(walked.range, walked.narrow);
        }
        Ok(folded)
    }

    /// The upstream lists it, though nothing else can be read of it: what is known of it stands (rules **rejected**,
    /// **vanished**).
    fn see(&mut self, id: &ConversationId) {
        let Some(slot) = self.entries.find(self.entries.hash(id), id) else { return };
        let Some(entry) = self.entries.get_mut(slot) else { return };
        if entry.read_in == self.poll {
            return;
        }
        entry.read_in = self.poll;
        self.unread.insert(slot);
        if std::mem::take(&mut entry.vanished) {
            self.entries.touch(slot);
            self.moments = None;
        }
    }

    fn check_company(&mut self, walked: &Walked) -> Result<(), ForeignCompany> {
        let mut known = self.company.clone();
        for row in walked.pages.iter().flat_map(|page| &page.rows) {
            let Row::Conversation(Conversation { company: Some(found), .. }) = row else { continue };
            match &known {
                None => known = Some(Arc::clone(found)),
                Some(known) if **known == **found => {}
                Some(known) => return Err(ForeignCompany { known: Arc::clone(known), found: Arc::clone(found) }),
            }
        }
        self.company = known;
        Ok(())
    }

    /// Every part of this range has been walked completely in this poll: what the range had to show and no part showed
    /// is missing.
    pub fn read_in_parts(&mut self, range: Range) {
        self.note_missing(range, false);
    }

    /// Unsettled ones that a complete walk over this range had to show and did not.
    fn note_missing(&mut self, range: Range, narrow: bool) {
        // There may be a million unsettled ones. Those that the range can concern started in it, by a second more or less,
        // or are known to lie elsewhere than they should.
        let (first, beyond) = (range.start.saturating_sub(1), range.end.saturating_add(2));
        let bound = |second| (UnixMillis::from_seconds(second), Slot::FIRST);
        let near = self.unsettled.range(bound(first)..bound(beyond)).map(|(_, slot)| *slot);
        for slot in near.chain(self.elsewhere.iter().copied()) {
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            if entry.read_in == self.poll || entry.vanished {
                continue;
            }
            if range.covers(entry.known_range()) {
                self.missing.push(slot);
            } else if narrow && range.contains(entry.start) {
                // Asking by its start does not find it: from now on by the range that did.
                entry.narrow = Narrow::Failed;
                self.entries.touch(slot);
            }
        }
    }

    fn read(&mut self, reading: &Conversation, place: Place, seen_at: UnixMillis, folded: &mut Folded) {
        let known = self.entries.find(self.entries.hash(&reading.id), &reading.id);
        match known {
            Some(slot) if !reading.is_ended() && self.entries.get(slot).is_some_and(|entry| !entry.is_active()) => {
                self.doubt(slot, reading, place, seen_at, folded);
            }
            _ => self.take(known, reading, place, (self.counts_now(), seen_at), folded),
        }
    }

    /// Takes in a reading that has a say in everything: `seen` tells whether what happens is counted, and when it was so.
    pub(super) fn take(
        &mut self,
        known: Option<Slot>,
        reading: &Conversation,
        place: Place,
        seen: (bool, UnixMillis),
        folded: &mut Folded,
    ) {
        let start = self.series_start;
        let (pair, full) = match known.and_then(|slot| self.entries.get(slot)) {
            // A folded conversation stays folded, even if there is room for its labels by now.
            Some(entry) if entry.folded => (self.pairs.overflow(start), true),
            own => self.pairs.admit(&reading.bot, &reading.team, own.map(|entry| entry.pair), start),
        };
        let slot = known.unwrap_or_else(|| {
            self.starts.add(reading.start.seconds());
            self.tallies.overflowed += u64::from(full);
            folded.overflowed += u64::from(full);
            let entry = Entry::new(reading, pair, place.range, self.poll);
            let slot = self.entries.insert(self.entries.hash(&reading.id), reading.id.clone(), entry);
            self.unsettled.insert((reading.start, slot));
            slot
        });
        self.unread.remove(&slot);
        let Some((mut desk, entry)) = self.desk(slot, seen) else { return };
        entry.folded = full;
        // Not of a new one, which has nothing before: reading it back as a whole, right after it was written field by
        // field, would keep the processor waiting.
        let before = known.map(|_| *entry);
        desk.date(reading, entry, place, folded);
        desk.find(entry, place);
        desk.start(reading, entry, pair);
        desk.reply(reading, entry);
        desk.state(reading, entry);
        desk.decision(reading, entry, before.as_ref());
        desk.count(reading, entry, folded);
        count_unknown(reading, before.as_ref(), &mut folded.unknown_values);
        let Some(before) = before else {
            // It was noted as it came in.
            folded.records.count(RecordResult::New);
            if entry.is_active() {
                self.moments = None;
            }
            if let Some(entry) = self.entries.get(slot) {
                self.recent.note(slot, entry);
            }
            return;
        };
        let is_changed = is_changed(&before, entry);
        folded.records.count(if is_changed { RecordResult::Changed } else { RecordResult::Unchanged });
        self.note(slot, &before);
    }

    /// Whether what happens now is counted, or only seen.
    pub(super) const fn counts_now(&self) -> bool {
        self.zero_line.is_some() || self.settings.count_initial
    }

    /// An entry, and all of the ledger that a reading of it may move.
    pub(super) fn desk(
        &mut self,
        slot: Slot,
        (counting, seen_at): (bool, UnixMillis),
    ) -> Option<(Desk<'_>, &mut Entry)> {
        let entry = self.entries.get_mut(slot)?;
        let desk = Desk {
            settings: &self.settings,
            pairs: &mut self.pairs,
            tallies: &mut self.tallies,
            reopening: &mut self.reopening,
            slot,
            counting,
            series_start: self.series_start,
            poll: self.poll,
            seen_at,
            news: News::default(),
        };
        Some((desk, entry))
    }

    /// Keeps what is worked out from entries in step with one that was `before` what it is now.
    pub(super) fn note(&mut self, slot: Slot, before: &Entry) {
        let Some(entry) = self.entries.get(slot) else { return };
        let (start, settled) = (entry.start, entry.settled);
        if before.says_other_than(entry) {
            if entry.is_active() || before.is_active() {
                self.moments = None;
            }
            self.recent.note(slot, entry);
            self.entries.touch(slot);
        }
        self.index(slot, before, start, settled);
    }

    /// Keeps the look-ups by start in step with the entry.
    fn index(&mut self, slot: Slot, before: &Entry, start: UnixMillis, settled: bool) {
        if before.start != start {
            self.starts.take(before.start.seconds());
            self.starts.add(start.seconds());
            self.unsettled.remove(&(before.start, slot));
        }
        if settled {
            self.unsettled.remove(&(start, slot));
        } else if before.settled || before.start != start {
            self.unsettled.insert((start, slot));
        }
    }
}

/// When the upstream was as the page shows it: when the request was sent, by whichever clock is behind, so that a local
/// clock that runs ahead decides nothing too early.
fn seen_at(page: &Page) -> UnixMillis {
    // The Date header is cut to the second.
    page.server_date.map_or(page.sent_at, |date| page.sent_at.min(date + 999))
}

fn is_changed(before: &Entry, now: &Entry) -> bool {
    before.start != now.start
        || before.end != now.end
        || before.state != now.state
        || before.reason != now.reason
        || before.origin != now.origin
        || before.pair != now.pair
        || before.reply != now.reply
        || before.duration != now.duration
}

/// Counts what became `other`, when it is first seen to do so.
pub(super) fn count_unknown(reading: &Conversation, before: Option<&Entry>, unknown: &mut Tally<UnknownField>) {
    let newly = |is: bool, was: Option<bool>| is && was != Some(true);
    if newly(reading.state == State::Other, before.map(|entry| entry.state == State::Other)) {
        unknown.count(UnknownField::State);
    }
    if newly(reading.reason == Reason::Other, before.map(|entry| entry.reason == Reason::Other)) {
        unknown.count(UnknownField::Reason);
    }
    if newly(reading.origin == Origin::Other, before.map(|entry| entry.origin == Origin::Other)) {
        unknown.count(UnknownField::Origin);
    }
}
