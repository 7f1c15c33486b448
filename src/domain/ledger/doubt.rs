//! Ended conversations that a page shows active. Pages and replicas lag behind each other, so within one poll an ended
//! sighting beats an active one, before it or after it: only when the poll is over, it is reopened or it is not.

use super::desk::Place;
use super::entries::Slot;
use super::fold::count_unknown;
use super::{Folded, Ledger};
use crate::domain::conversation::Conversation;
use crate::domain::label::RecordResult;
use crate::domain::time::UnixMillis;

/// An ended conversation as this poll has seen it active, and not ended.
#[derive(Clone, Debug)]
pub(super) struct Reopening {
    reading: Conversation,
    place: Place,
    /// Whether what happened then is counted.
    counting: bool,
    seen_at: UnixMillis,
}

impl Ledger {
    /// Takes in a reading that shows an ended conversation not ended. Nothing of it stands but what it is the first to tell:
    /// that the record is listed, how it is dated there, and a reply. If no reading of the poll shows it ended, all of it
    /// does in the end.
    pub(super) fn doubt(
        &mut self,
        slot: Slot,
        reading: &Conversation,
        place: Place,
        seen_at: UnixMillis,
        folded: &mut Folded,
    ) {
        let read_before = !self.unread.remove(&slot);
        let counting = self.counts_now();
        let Some((mut desk, entry)) = self.desk(slot, (counting, seen_at)) else { return };
        let before = *entry;
        let beaten = read_before && before.read_in == desk.poll && !desk.reopening.contains_key(&slot);
        desk.find(entry, place);
        desk.note_outside(reading, entry, place, folded);
        if reading.reply.is_some() && !entry.replied.seen() {
            // No other reading may ever tell it. What else is known of the conversation is what it was when it had ended.
            let known = Conversation {
                start: entry.start,
                end: entry.end.instant(),
                state: entry.state,
                reason: entry.reason,
                origin: entry.origin,
                stated_duration: entry.duration.duration(),
                ..reading.clone()
            };
            desk.reply(&known, entry);
            desk.decision(&known, entry, Some(&before));
        }
        let mut is_changed = before.reply != entry.reply;
        if !beaten {
            entry.settled = false;
            let reopening = Reopening { reading: reading.clone(), place, counting, seen_at };
            if desk.reopening.insert(slot, reopening).is_none() {
                is_changed = true;
                count_unknown(reading, Some(&before), &mut folded.unknown_values);
            }
        }
        folded.records.count(if is_changed { RecordResult::Changed } else { RecordResult::Unchanged });
        desk.count(reading, entry, folded);
        self.note(slot, &before);
    }

    /// What had ended and was seen active, and not ended, in the poll that is over.
    pub(super) fn reopen(&mut self) {
        for (slot, Reopening { reading, place, counting, seen_at }) in std::mem::take(&mut self.reopening) {
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            entry.ended_in = None;
            // It was told of when it was read.
            self.take(Some(slot), &reading, place, (counting, seen_at), &mut Folded::default());
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            if entry.reopened.happen(counting) {
                self.pairs.count_in(entry.pair, self.series_start, seen_at).reopened += 1;
            }
            self.moments = None;
            self.entries.touch(slot);
        }
    }
}
