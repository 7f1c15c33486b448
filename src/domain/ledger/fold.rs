//! What a reading moves: the rules under "What is counted".

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decide::{decide, decides_anew, is_eligible};
use super::entries::Slot;
use super::entry::{Entry, Narrow};
use super::news::News;
use super::pairs::{PairId, Pairs};
use super::slim::{PollNumber, SlimMillis};
use super::{Folded, ForeignCompany, Ledger, LedgerSettings, Walked};
use crate::domain::conversation::{Conversation, ConversationId, Origin, Reason, State};
use crate::domain::label::{AmendedField, RecordResult, Tally, UnknownField};
use crate::domain::reading::{Page, Row};
use crate::domain::snapshot::Tallies;
use crate::domain::time::{Range, UnixMillis};

/// A zone-less date is rounded to the second, so a record may seem to lie a second outside.
const ROUNDING: i64 = 1_000;

impl Ledger {
    /// Folds what a walk brought, whether it was complete or not.
    ///
    /// # Errors
    ///
    /// When a record names another company than the ledger's; then nothing of the walk is folded.
    pub fn fold(&mut self, walked: &Walked) -> Result<Folded, ForeignCompany> {
        self.check_company(walked)?;
        let mut folded = Folded::default();
        for page in &walked.pages {
            let seen_at = seen_at(page);
            for row in &page.rows {
                match row {
                    Row::Rejected(rejected) => {
                        folded.records.count(RecordResult::Rejected);
                        self.see(&rejected.identity);
                    }
                    Row::Conversation(reading) => self.read(reading, walked, seen_at, &mut folded),
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
        for slot in near.chain(self.outside.iter().copied()) {
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

    fn read(&mut self, reading: &Conversation, walked: &Walked, seen_at: UnixMillis, folded: &mut Folded) {
        let start = self.series_start;
        let hash = self.entries.hash(&reading.id);
        let known = self.entries.find(hash, &reading.id);
        let (pair, full) = match known.and_then(|slot| self.entries.get(slot)) {
            // A folded conversation stays folded, even if there is room for its labels by now.
            Some(entry) if entry.folded => (self.pairs.overflow(start), true),
            own => self.pairs.admit(&reading.bot, &reading.team, own.map(|entry| entry.pair), start),
        };
        let slot = known.unwrap_or_else(|| {
            self.starts.add(reading.start.seconds());
            self.tallies.overflowed += u64::from(full);
            folded.overflowed += u64::from(full);
            let slot =
                self.entries.insert(hash, reading.id.clone(), Entry::new(reading, pair, walked.range, self.poll));
            self.unsettled.insert((reading.start, slot));
            slot
        });
        let reopening = self.reopening.len();
        let Some(entry) = self.entries.get_mut(slot) else { return };
        entry.folded = full;
        // Not of a new one, which has nothing before: reading it back as a whole, right after it was written field by
        // field, would keep the processor waiting.
        let before = known.map(|_| *entry);
        let mut desk = Desk {
            settings: &self.settings,
            pairs: &mut self.pairs,
            tallies: &mut self.tallies,
            reopening: &mut self.reopening,
            slot,
            counting: self.zero_line.is_some() || self.settings.count_initial,
            series_start: start,
            poll: self.poll,
            seen_at,
            news: News::default(),
        };
        let again = before.is_some_and(|before| before.read_in == desk.poll) && !self.unread.remove(&slot);
        if desk.locate(reading, entry, walked) {
            folded.outside_by.get_or_insert_with(|| likely_offset(reading.start, walked.range));
        }
        desk.start(reading, entry, pair);
        desk.reply(reading, entry);
        desk.state(reading, entry, again);
        desk.decision(reading, entry, before.as_ref());
        let news = desk.news;
        if !news.is_none() {
            let pair = self.pairs.count_in(entry.pair, start, seen_at);
            news.count_in(pair, start, reading, seen_at);
            folded.events.add(news.events());
        } else if !entry.settled {
            // Its gauges are to be seen.
            self.pairs.wake(entry.pair, start);
        }

        count_unknown(reading, before.as_ref(), &mut folded.unknown_values);
        let Some(before) = before else {
            // It was noted as it came in.
            folded.records.count(RecordResult::New);
            if entry.is_active() {
                self.moments = None;
            }
            self.recent.note(slot, entry);
            return;
        };
        let (settled, differs) = (entry.settled, before.says_other_than(entry));
        let is_changed = is_changed(&before, entry) || self.reopening.len() > reopening;
        folded.records.count(if is_changed { RecordResult::Changed } else { RecordResult::Unchanged });
        if differs {
            if entry.is_active() || before.is_active() {
                self.moments = None;
            }
            self.recent.note(slot, entry);
            self.entries.touch(slot);
        }
        self.index(slot, &before, reading.start, settled);
    }

    /// What had ended and was seen active, and not ended, in the poll that is over.
    pub(super) fn reopen(&mut self) {
        for (slot, Reopening { end, state, reason, counting, seen_at }) in std::mem::take(&mut self.reopening) {
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            (entry.ended_in, entry.end, entry.state, entry.reason) = (None, end, state, reason);
            if entry.reopened.happen(counting) {
                self.pairs.count_in(entry.pair, self.series_start, seen_at).reopened += 1;
            }
            self.moments = None;
            self.entries.touch(slot);
        }
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

/// An ended conversation as it was seen active.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reopening {
    end: SlimMillis,
    state: State,
    reason: Reason,
    /// Whether what happened then is counted.
    counting: bool,
    seen_at: UnixMillis,
}

/// Where a reading is turned into counts: all of the ledger but the entries.
struct Desk<'a> {
    settings: &'a LedgerSettings,
    pairs: &'a mut Pairs,
    tallies: &'a mut Tallies,
    reopening: &'a mut BTreeMap<Slot, Reopening>,
    /// Where the entry stands.
    slot: Slot,
    /// Whether what happens now is counted, or only seen.
    counting: bool,
    series_start: UnixMillis,
    poll: PollNumber,
    seen_at: UnixMillis,
    /// What is to be counted when all of the reading has been looked at.
    news: News,
}

impl Desk<'_> {
    /// Notes where the record was found; true when it is newly found to be dated outside the range that listed it.
    fn locate(&mut self, reading: &Conversation, entry: &mut Entry, walked: &Walked) -> bool {
        entry.read_in = self.poll;
        entry.listed_in = walked.range.into();
        entry.vanished = false;
        if reading.start != entry.start {
            // Dated anew (another zone, or a local time that stands for two): no walk has shown it there.
            (entry.start, entry.narrow) = (reading.start, Narrow::Untried);
        }
        // A stretch that is joined of several may show it because of where the others are.
        if walked.narrow && entry.around_start().covers(walked.range) {
            entry.narrow = Narrow::Proven;
        }
        if entry.outside || distance(reading.start, walked.range).abs() <= ROUNDING {
            return false;
        }
        entry.outside = true;
        self.tallies.outside_window += 1;
        true
    }

    /// Rules **started**, **labels**.
    fn start(&mut self, reading: &Conversation, entry: &mut Entry, pair: PairId) {
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
    fn reply(&mut self, reading: &Conversation, entry: &mut Entry) {
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

    /// Rules **ended**, **settled**, **reopened**; `again` when this poll has read the conversation before.
    fn state(&mut self, reading: &Conversation, entry: &mut Entry, again: bool) {
        let (end, state, reason) = (reading.end.into(), reading.state, reading.reason);
        if reading.is_ended() {
            self.end(reading, entry);
            match entry.ended_in {
                None => (entry.ended_in, entry.settled) = (Some(self.poll), false),
                // Read again, in a later poll than the one that first saw it ended.
                Some(poll) => entry.settled |= poll != self.poll,
            }
            self.reopening.remove(&self.slot);
        } else if entry.ended_in.is_some() {
            // Within one poll an ended sighting beats an active one, before it or after it: pages and replicas lag behind
            // each other. So the end of the poll decides.
            if again && !self.reopening.contains_key(&self.slot) {
                return;
            }
            entry.settled = false;
            let (counting, seen_at) = (self.counting, self.seen_at);
            self.reopening.insert(self.slot, Reopening { end, state, reason, counting, seen_at });
            return;
        }
        (entry.end, entry.state, entry.reason) = (end, state, reason);
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
    fn decision(&mut self, reading: &Conversation, entry: &mut Entry, known: Option<&Entry>) {
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
}

/// When the upstream was as the page shows it: when the request was sent, by whichever clock is behind, so that a local
/// clock that runs ahead decides nothing too early.
fn seen_at(page: &Page) -> UnixMillis {
    // The Date header is cut to the second.
    page.server_date.map_or(page.sent_at, |date| page.sent_at.min(date + 999))
}

/// How far an instant lies outside a range, milliseconds; negative when before it, 0 when inside.
fn distance(instant: UnixMillis, range: Range) -> i64 {
    let (first, last) = (UnixMillis::from_seconds(range.start), UnixMillis::from_seconds(range.end));
    if instant < first { instant.since(first) } else { instant.since(last).max(0) }
}

/// By how much a date outside the range that listed it seems to be off: the conversation began somewhere in the range, and
/// most zones differ by whole hours, all by quarters of one.
fn likely_offset(dated: UnixMillis, range: Range) -> i64 {
    let least = distance(dated, range);
    let (near, far) = (least.abs(), least.abs().saturating_add(range.width().saturating_mul(1000)));
    let whole = |minutes: i64| near.saturating_add(minutes * 60_000 - 1) / (minutes * 60_000) * (minutes * 60_000);
    [60, 30, 15].map(whole).into_iter().find(|offset| *offset <= far).map_or(least, |offset| offset * least.signum())
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
fn count_unknown(reading: &Conversation, before: Option<&Entry>, unknown: &mut Tally<UnknownField>) {
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
