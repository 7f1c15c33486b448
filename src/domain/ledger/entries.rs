//! The table of entries: found by id, referred to by a small number.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::entry::Entry;
use crate::domain::conversation::ConversationId;

/// Where an entry stands in the table, for as long as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(u32);

impl Slot {
    pub(super) const FIRST: Self = Self(0);
}

#[derive(Debug)]
struct Held {
    id: ConversationId,
    entry: Entry,
    /// Whether it differs from what is kept.
    changed: bool,
}

/// Entries stand in one array and the hash table holds but their numbers: a new one is written to where the last one
/// was, and growing moves numbers.
#[derive(Debug, Default)]
pub(super) struct Entries {
    held: Vec<Option<Held>>,
    free: Vec<Slot>,
    by_id: HashTable<Slot>,
    hasher: RandomState,
    /// Where entries differ from what is kept; some may be gone by now, and one that came in their place be named twice.
    changed: Vec<Slot>,
    gone: Vec<ConversationId>,
    /// How far [`Entries::look_on`] has come.
    looked_at: usize,
}

impl Entries {
    /// An empty table that need not grow for so many.
    pub(super) fn with_room_for(many: usize) -> Self {
        Self { held: Vec::with_capacity(many), by_id: HashTable::with_capacity(many), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Entry> {
        self.held.get(slot.0 as usize)?.as_ref().map(|held| &held.entry)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Entry> {
        self.held.get_mut(slot.0 as usize)?.as_mut().map(|held| &mut held.entry)
    }

    /// What [`Entries::find`] and [`Entries::insert`] want to be told of an id.
    pub(super) fn hash(&self, id: &ConversationId) -> u64 {
        self.hasher.hash_one(id)
    }

    pub(super) fn find(&self, hash: u64, id: &ConversationId) -> Option<Slot> {
        let held = &self.held;
        self.by_id.find(hash, |slot| is(held, *slot, id)).copied()
    }

    /// Notes that the entry differs from what is kept.
    pub(super) fn touch(&mut self, slot: Slot) {
        if let Some(Some(held)) = self.held.get_mut(slot.0 as usize)
            && !std::mem::replace(&mut held.changed, true)
        {
            self.changed.push(slot);
        }
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = (&ConversationId, &Entry)> {
        let held = self.changed.iter().filter_map(|slot| self.held[slot.0 as usize].as_ref());
        held.filter(|held| held.changed).map(|held| (&held.id, &held.entry))
    }

    pub(super) fn gone(&self) -> &[ConversationId] {
        &self.gone
    }

    /// Everything is kept as it is now.
    pub(super) fn settle(&mut self) {
        for slot in self.changed.drain(..) {
            if let Some(Some(held)) = self.held.get_mut(slot.0 as usize) {
                held.changed = false;
            }
        }
        self.gone.clear();
    }

    /// Puts in an entry for an id that has none; it is not kept yet.
    pub(super) fn insert(&mut self, hash: u64, id: ConversationId, entry: Entry) -> Slot {
        let slot = self.place(hash, Held { id, entry, changed: true });
        self.changed.push(slot);
        slot
    }

    /// Puts in an entry as it is kept.
    pub(super) fn take_back(&mut self, id: ConversationId, entry: Entry) -> Slot {
        self.place(self.hash(&id), Held { id, entry, changed: false })
    }

    fn place(&mut self, hash: u64, new: Held) -> Slot {
        let Self { held, free, by_id, hasher, .. } = self;
        let rehash = |slot: &Slot| held[slot.0 as usize].as_ref().map_or(0, |held| hasher.hash_one(&held.id));
        let slot = free.pop().unwrap_or(Slot(u32::try_from(held.len()).expect("memory ends before 2^32 entries do")));
        by_id.insert_unique(hash, slot, rehash);
        match held.get_mut(slot.0 as usize) {
            Some(place) => *place = Some(new),
            None => held.push(Some(new)),
        }
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Option<Entry> {
        let Held { id, entry, .. } = self.held.get_mut(slot.0 as usize)?.take()?;
        let hash = self.hasher.hash_one(&id);
        // Not by `entry`: that makes room for one more first, even where it is to be taken away.
        if let Ok(place) = self.by_id.find_entry(hash, |other| *other == slot) {
            place.remove();
        }
        self.free.push(slot);
        self.gone.push(id);
        Some(entry)
    }

    /// All entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Slot, &Entry)> {
        numbered(&self.held, 0)
    }

    /// The entries in the next so many places, from where the last look ended; after the last place comes the first.
    pub(super) fn look_on(&mut self, most: usize) -> impl Iterator<Item = (Slot, &Entry)> {
        let from = self.looked_at;
        let until = from.saturating_add(most).min(self.held.len());
        self.looked_at = if until == self.held.len() { 0 } else { until };
        numbered(&self.held[from..until], from)
    }
}

/// The entries that stand here, the first place having this number.
fn numbered(held: &[Option<Held>], from: usize) -> impl Iterator<Item = (Slot, &Entry)> {
    let numbered = held.iter().zip(u32::try_from(from).unwrap_or(u32::MAX)..);
    numbered.filter_map(|(held, slot)| held.as_ref().map(|held| (Slot(slot), &held.entry)))
}

fn is(held: &[Option<Held>], slot: Slot, id: &ConversationId) -> bool {
    held[slot.0 as usize].as_ref().is_some_and(|held| held.id == *id)
}

#[cfg(test)]
mod tests {
    use super::super::pairs::PairId;
    use super::super::slim::PollNumber;
    use super::*;
    use crate::domain::conversation::{Conversation, Origin, Reason, State};
    use crate::domain::time::{Range, UnixMillis};

    fn insert(entries: &mut Entries, number: usize) -> Slot {
        let reading = Conversation {
            id: format!("id-{number}").as_str().into(),
            start: UnixMillis(0),
            end: None,
            state: State::Active,
            reason: Reason::None,
            origin: Origin::Organic,
            bot: "bot".into(),
            team: "team".into(),
            company: None,
            reply: None,
            stated_duration: None,
        };
        let hash = entries.hash(&reading.id);
        entries.insert(hash, reading.id.clone(), Entry::new(&reading, PairId(0), Range::new(0, 0), PollNumber::FIRST))
    }

    #[test]
    fn entries_can_be_taken_from_a_table_of_any_fullness() {
        for many in 1..100 {
            let mut entries = Entries::default();
            let slots: Vec<Slot> = (0..many).map(|number| insert(&mut entries, number)).collect();
            assert!(entries.remove(slots[many / 2]).is_some());
            assert_eq!(entries.len(), many - 1, "the table was full to the last place at some of these");
        }
    }
}
