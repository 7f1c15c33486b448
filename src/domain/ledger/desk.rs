//! What a reading moves: the rules under "What is counted".

use std::collections::BTreeMap;

use super::Folded;
use super::LedgerSettings;
use super::dated::{is_outside, likely_offset};
use super::decide::{decide, decides_anew, is_eligible};
use super::doubt::Reopening;
use super::entries::Slot;
use super::entry::{Entry, Narrow, Outside};
use super::news::News;
use super::pairs::{PairId, Pairs};
use super::slim::{PollNumber, SlimMillis};
use crate::domain::conversation::Conversation;
use crate::domain::label::AmendedField;
use crate::domain::snapshot::Tallies;
use crate::domain::time::{Range, UnixMillis};

/// Where a reading was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The range that listed it.
    pub(super) range: Range,
    /// Whether that was chosen by the starts of known records.
    pub(super) narrow: bool,
}

/// Where a reading is turned into counts: all of the ledger but the entries.
pub(super) struct Desk<'a> {
    pub(super) settings: &'a LedgerSettings,
    pub(super) pairs: &'a mut Pairs,
    pub(super) tallies: &'a mut Tallies,
    pub(super) reopening: &'a mut BTreeMap<Slot, Reopening>,
    /// Where the entry stands.
    pub(super) slot: Slot,
    /// Whether what happens now is counted, or only seen.
    pub(super) counting: bool,
    pub(super) series_start: UnixMillis,
    pub(super) poll: PollNumber,
    pub(super) seen_at: UnixMillis,
    /// What is to be counted when all of the reading has been looked at.
    pub(super) news: News,
}

impl Desk<'_> {
    /// Notes by which range it is listed.
    pub(super) fn find(&self, entry: &mut Entry, place: Place) {
        entry.read_in = self.poll;
        entry.listed_in = place.range.into();
        entry.vanished = false;
        // A stretch that is joined of several may show it because of where the others are.
        if place.narrow && entry.around_start().covers(place.range) {
            entry.narrow = Narrow::Proven;
        }
    }

    /// Rule **wrong zone**: where the latest reading dates it.
    pub(super) fn date(&mut self, reading: &Conversation, entry: &mut Entry, place: Place, folded: &mut Folded) {
        if reading.start != entry.start {
            // Dated anew (another zone, or a local time that stands for two): no walk has shown it there, and nothing is
            // wrong with that date yet. A range that shows it only because it is wide clears no date.
            (entry.start, entry.narrow) = (reading.start, Narrow::Untried);
            entry.outside.heal();
        }
        if is_outside(reading.start, place.range) {
            self.note_outside(reading, entry, place, folded);
            entry.outside = Outside::Now;
        }
    }

    /// Counts that a reading dates it outside the range that lists it, the first time.
    pub(super) fn note_outside(
        &mut self,
        reading: &Conversation,
        entry: &mut Entry,
        place: Place,
        folded: &mut Folded,
    ) {
        if entry.outside == Outside::Never && is_outside(reading.start, place.range) {
            entry.outside = Outside::Before;
            self.tallies.outside_window += 1;
            folded.outside_by.get_or_insert_with(|| likely_offset(reading.start, place.range));
        }
    }

    /// Rules **started**, **labels**.
    pub(super) fn start(&mut self, reading: &Conversation, entry: &mut Entry, pair: PairId) {
        if pair != entry.pair && entry.started.counted() {
            self.tallies.amendments.count(AmendedField::Labels);
        }
        entry.pair = pair;
        entry.origin = reading.origin;
        self.pairs.show_origin(pair, reading.origin, self.series_start);
        if entry.started.happen(self.counting) {
            self.news.started = Some(reading.origin);
        }
    }

    /// Rules **reply**, **amended**.
    pub(super) fn reply(&mut self, reading: &Conversation, entry: &mut Entry) {
        let now = SlimMillis::from(reading.reply);
        let before = std::mem::replace(&mut entry.reply, now);
        match reading.reply {
            // The first one is no amendment, whether it counts or not.
            Some(reply) if !entry.replied.seen() => {
                self.news.reply = entry.replied.happen(self.counting).then_some(reply);
            }
            _ if !before.is_none() && now != before && entry.replied.counted() => {
                self.tallies.amendments.count(AmendedField::ReplyTime);
            }
            _ => {}
        }
    }

    /// Rules **ended**, **settled**.
    pub(super) fn state(&mut self, reading: &Conversation, entry: &mut Entry) {
        if reading.is_ended() {
            self.end(reading, entry);
            match entry.ended_in {
                None => (entry.ended_in, entry.settled) = (Some(self.poll), false),
                // Read again, in a later poll than the one that first saw it ended.
                Some(poll) => entry.settled |= poll != self.poll,
            }
            self.reopening.remove(&self.slot);
        }
        (entry.end, entry.state, entry.reason) = (reading.end.into(), reading.state, reading.reason);
    }

    /// Rules **ended**, **unanswered**, **duration**.
    fn end(&mut self, reading: &Conversation, entry: &mut Entry) {
        let how = (reading.state, reading.reason);
        self.pairs.show_end(entry.pair, how, self.series_start);
        if entry.ended.happen(self.counting) {
            self.news.ended = Some(how);
            self.news.unanswered = reading.reply.is_none() && is_eligible(reading, self.settings);
        }
        let duration = reading.duration();
        let now = SlimMillis::from(duration);
        let before = std::mem::replace(&mut entry.duration, now);
        match duration {
            Some(duration) if !entry.lasted.seen() => {
                self.news.duration = entry.lasted.happen(self.counting).then_some(duration);
            }
            _ if !before.is_none() && now != before && entry.lasted.counted() => {
                self.tallies.amendments.count(AmendedField::Duration);
            }
            _ => {}
        }
    }

    /// Rule **decided**; `known` is the entry before this reading.
    pub(super) fn decision(&mut self, reading: &Conversation, entry: &mut Entry, known: Option<&Entry>) {
        let Some(decision) = decide(reading, entry, self.settings, self.seen_at) else { return };
        let before = entry.decision.replace(decision);
        if entry.decided.happen(self.counting) {
            self.news.decided = Some(decision);
        } else if entry.decided.counted()
            && before.is_some_and(|before| before != decision)
            // Another target decides otherwise, too, and amends nothing.
            && known.is_some_and(|known| decides_anew(known, entry))
        {
            self.tallies.amendments.count(AmendedField::Decision);
        }
    }

    /// Counts what the reading brought.
    pub(super) fn count(&mut self, reading: &Conversation, entry: &Entry, folded: &mut Folded) {
        if !self.news.is_none() {
            let pair = self.pairs.count_in(entry.pair, self.series_start, self.seen_at);
            self.news.count_in(pair, self.series_start, reading, self.seen_at);
            folded.events.add(self.news.events());
        } else if !entry.settled {
            // Its gauges are to be seen.
            self.pairs.wake(entry.pair, self.series_start);
        }
    }
}
