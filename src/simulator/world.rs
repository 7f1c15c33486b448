//! Every record there is: the generated ones, and those that a test put, changed or took away.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::options::SimulatorOptions;
use super::story::Story;
use super::traffic::{self, LATEST, LOOKBACK, SLOT, slot_of};
use crate::domain::time::UnixMillis;

/// So many generated records are kept at hand; a story is some 300 bytes.
const KEPT: usize = 200_000;

/// Every record there is, sorted by (start, id).
#[derive(Debug)]
pub(super) struct World {
    options: Arc<SimulatorOptions>,
    /// The generated world holds nothing before this.
    begins: UnixMillis,
    births: HashMap<i64, Arc<[Arc<Story>]>>,
    slots: HashMap<i64, Arc<[Arc<Story>]>>,
    kept: usize,
    /// How many generated records start in a slot; kept when the records themselves are not.
    counts: HashMap<i64, usize>,
    put: HashMap<Box<str>, Arc<Story>>,
    /// The ids of [`World::put`] by slot.
    put_slots: BTreeMap<i64, HashSet<Box<str>>>,
    /// Generated records that were replaced or taken away.
    masked: HashSet<Box<str>>,
    masked_slots: HashSet<i64>,
    /// The slots in which a record was put or masked, as they are now.
    merged: HashMap<i64, Merged>,
}

/// A slot with everything that was put into it.
#[derive(Debug)]
struct Merged {
    stories: Arc<[Arc<Story>]>,
    /// From here (included) to there (excluded) all of them are listed, so that they need no looking at to be counted.
    all_listed: (UnixMillis, UnixMillis),
}

impl Merged {
    fn new(stories: Arc<[Arc<Story>]>) -> Self {
        let listed = stories.iter().map(|story| story.start + story.late.max(0)).max();
        let vanishes = stories.iter().filter_map(|story| story.vanishes).min();
        Self { all_listed: (listed.unwrap_or(UnixMillis(i64::MIN)), vanishes.unwrap_or(UnixMillis(i64::MAX))), stories }
    }
}

impl World {
    /// The world of these options; what is generated begins at `begins`.
    pub(super) fn new(options: Arc<SimulatorOptions>, begins: UnixMillis) -> Self {
        Self {
            options,
            begins,
            births: HashMap::new(),
            slots: HashMap::new(),
            kept: 0,
            counts: HashMap::new(),
            put: HashMap::new(),
            put_slots: BTreeMap::new(),
            masked: HashSet::new(),
            masked_slots: HashSet::new(),
            merged: HashMap::new(),
        }
    }

    /// Adds a record, or replaces the one of the same id.
    pub(super) fn put(&mut self, story: Story) {
        self.remove(&story.id);
        let slot = slot_of(story.start);
        self.merged.remove(&slot);
        self.put_slots.entry(slot).or_default().insert(story.id.clone());
        self.put.insert(story.id.clone(), Arc::new(story));
    }

    /// Takes a record away as if it had never been; whether there was one.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        let Some(story) = self.find(id) else { return false };
        let slot = slot_of(story.start);
        self.merged.remove(&slot);
        if self.put.remove(id).is_none() {
            self.masked.insert(id.into());
            self.masked_slots.insert(slot);
        } else if let Some(ids) = self.put_slots.get_mut(&slot) {
            ids.remove(id);
            if ids.is_empty() {
                self.put_slots.remove(&slot);
            }
        }
        true
    }

    /// The record of this id.
    pub(super) fn find(&mut self, id: &str) -> Option<Arc<Story>> {
        if let Some(story) = self.put.get(id) {
            return Some(story.clone());
        }
        if self.masked.contains(id) {
            return None;
        }
        // Generated ids begin with the second of their start, as those of MongoDB do.
        let second = i64::from(u32::from_str_radix(id.get(..8)?, 16).ok()?);
        let slot = slot_of(UnixMillis::from_seconds(second));
        self.generated(slot).iter().find(|story| *story.id == *id).cloned()
    }

    /// Every record that starts between these instants, both included; listed at the time or not.
    pub(super) fn between(&mut self, from: UnixMillis, until: UnixMillis) -> Vec<Arc<Story>> {
        self.slots_between(from, until)
            .into_iter()
            .flat_map(|slot| self.slot(slot).to_vec())
            .filter(|story| from <= story.start && story.start <= until)
            .collect()
    }

    /// How many records are listed at `now` that start between these instants, both included, and those numbered
    /// `skip..skip + take` of them (counted from the newest if that is wanted).
    pub(super) fn page(&mut self, asked: (UnixMillis, UnixMillis), now: UnixMillis, skip: u64, take: u64) -> Listing {
        let (from, until) = (asked.0, asked.1.min(now));
        let slots = self.slots_between(from, until);
        let lengths: Vec<u64> = slots.iter().map(|slot| self.listed_in(*slot, from, until, now)).collect();
        let total: u64 = lengths.iter().sum();
        let end = skip.saturating_add(take).min(total);
        let skip = skip.min(end);
        let (first, last) = if self.options.newest_first { (total - end, total - skip) } else { (skip, end) };
        let mut rows = Vec::new();
        let mut number = 0;
        for (slot, length) in slots.into_iter().zip(lengths) {
            if number + length > first && number < last {
                let listed = self.slot(slot);
                let listed = listed.iter().filter(|story| is_asked(story, from, until, now));
                let skipped = first.saturating_sub(number);
                rows.extend(listed.skip(skipped as usize).take((last - number - skipped) as usize).cloned());
            }
            number += length;
        }
        if self.options.newest_first {
            rows.reverse();
        }
        Listing { total, rows }
    }

    fn listed_in(&mut self, slot: i64, from: UnixMillis, until: UnixMillis, now: UnixMillis) -> u64 {
        let (begin, end) = (slot * SLOT, (slot + 1) * SLOT);
        let whole = from.0 <= begin && end <= until.0;
        if whole && end + LATEST <= now.0 && !self.is_touched(slot) {
            if !self.counts.contains_key(&slot) {
                self.generated(slot);
            }
            return self.counts.get(&slot).copied().unwrap_or(0) as u64;
        }
        if whole
            && let Some(Merged { stories, all_listed: (from, until) }) = self.merged.get(&slot)
            && *from <= now
            && now < *until
        {
            return stories.len() as u64;
        }
        self.slot(slot).iter().filter(|story| is_asked(story, from, until, now)).count() as u64
    }

    fn is_touched(&self, slot: i64) -> bool {
        self.masked_slots.contains(&slot) || self.put_slots.contains_key(&slot)
    }

    /// The slots in which something may start between these instants, ascending.
    fn slots_between(&self, from: UnixMillis, until: UnixMillis) -> Vec<i64> {
        if from > until {
            return Vec::new();
        }
        let (first, last) = (slot_of(from), slot_of(until));
        let put = self.put_slots.range(first..=last).map(|(slot, _)| *slot);
        let generated = slot_of(self.begins).max(first)..=last;
        if self.options.per_hour > 0.0 {
            put.chain(generated).collect::<BTreeSet<_>>().into_iter().collect()
        } else {
            put.collect::<BTreeSet<_>>().into_iter().collect()
        }
    }

    /// Every record that starts in the slot, sorted.
    fn slot(&mut self, slot: i64) -> Arc<[Arc<Story>]> {
        if !self.is_touched(slot) {
            return self.generated(slot);
        }
        if let Some(merged) = self.merged.get(&slot) {
            return merged.stories.clone();
        }
        let generated = self.generated(slot);
        let mut all: Vec<_> = generated.iter().filter(|story| !self.masked.contains(&story.id)).cloned().collect();
        let put = self.put_slots.get(&slot).into_iter().flatten();
        all.extend(put.filter_map(|id| self.put.get(id)).cloned());
        all.sort_by(|a, b| (a.start, &a.id).cmp(&(b.start, &b.id)));
        let all: Arc<[Arc<Story>]> = all.into();
        self.merged.insert(slot, Merged::new(all.clone()));
        all
    }

    fn generated(&mut self, slot: i64) -> Arc<[Arc<Story>]> {
        if self.options.per_hour <= 0.0 || (slot + 1) * SLOT <= self.begins.0 {
            return Arc::new([]);
        }
        if let Some(stories) = self.slots.get(&slot) {
            return stories.clone();
        }
        let mut stories = Vec::new();
        for born in slot - LOOKBACK..=slot {
            let births = self.births.entry(born).or_insert_with(|| {
                traffic::births(&self.options, born).into_iter().map(Arc::new).collect::<Vec<_>>().into()
            });
            stories.extend(births.iter().filter(|s| slot_of(s.start) == slot && s.start >= self.begins).cloned());
        }
        stories.sort_by(|a, b| (a.start, &a.id).cmp(&(b.start, &b.id)));
        self.kept += stories.len();
        if self.kept > KEPT {
            self.slots.clear();
            self.births.clear();
            self.kept = stories.len();
        }
        let stories: Arc<[Arc<Story>]> = stories.into();
        self.counts.insert(slot, stories.len());
        self.slots.insert(slot, stories.clone());
        stories
    }
}

fn is_asked(story: &Story, from: UnixMillis, until: UnixMillis, now: UnixMillis) -> bool {
    from <= story.start && story.start <= until && story.is_listed(now)
}

/// A part of a range.
#[derive(Debug)]
pub(super) struct Listing {
    /// How many records the whole range lists.
    pub(super) total: u64,
    /// The part, in the order in which the server lists it.
    pub(super) rows: Vec<Arc<Story>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn world(per_hour: f64, newest_first: bool) -> World {
        let options = SimulatorOptions { per_hour, newest_first, quirks: true, ..SimulatorOptions::default() };
        World::new(Arc::new(options), NOW - 24 * 3_600_000)
    }

    fn everything(world: &mut World, from: UnixMillis, now: UnixMillis, page: u64) -> Vec<Box<str>> {
        let mut ids = Vec::new();
        loop {
            let listing = world.page((from, now), now, ids.len() as u64, page);
            if listing.rows.is_empty() {
                assert_eq!(listing.total, ids.len() as u64);
                return ids;
            }
            ids.extend(listing.rows.iter().map(|story| story.id.clone()));
        }
    }

    #[test]
    fn pages_add_up_to_what_is_listed_whatever_their_size_and_order() {
        let from = NOW - 5 * 3_600_000 - 1234;
        let mut truth: Vec<_> = world(300.0, false).between(from, NOW);
        truth.retain(|story| story.is_listed(NOW));
        let truth: Vec<_> = truth.iter().map(|story| story.id.clone()).collect();
        assert!(truth.len() > 500);
        assert_eq!(everything(&mut world(300.0, false), from, NOW, 50), truth);
        assert_eq!(everything(&mut world(300.0, false), from, NOW, 7), truth);
        let mut backwards = everything(&mut world(300.0, true), from, NOW, 13);
        backwards.reverse();
        assert_eq!(backwards, truth);
    }

    #[test]
    fn the_world_begins_and_nothing_starts_in_the_future() {
        let mut world = world(300.0, true);
        let all = world.between(UnixMillis(0), NOW);
        assert!(all[0].start >= NOW - 24 * 3_600_000);
        let listing = world.page((UnixMillis(0), NOW + 3_600_000), NOW, 0, 1);
        assert!(listing.rows[0].start <= NOW);
    }

    #[test]
    fn generated_records_can_be_found_changed_and_taken_away() {
        let mut world = world(300.0, true);
        let from = NOW - 3 * 3_600_000;
        let before = everything(&mut world, from, NOW, 50);
        let id = before[40].clone();
        let story = world.find(&id).unwrap();
        world.put(Story { start: story.start - 1_800_000, ..(*story).clone() });
        assert_eq!(world.find(&id).unwrap().start, story.start - 1_800_000);
        let after = everything(&mut world, from, NOW, 50);
        assert_eq!(after.len(), before.len());
        assert_eq!(after.iter().filter(|known| **known == id).count(), 1);
        assert!(world.remove(&id) && !world.remove(&id));
        assert!(world.find(&id).is_none());
        assert_eq!(everything(&mut world, from, NOW, 50).len(), before.len() - 1);
    }

    #[test]
    fn a_scripted_world_holds_only_what_was_put() {
        let mut world = world(0.0, false);
        for (id, start) in [("b", 5), ("a", 5), ("c", 4), ("d", 6)] {
            world.put(Story::new(id, UnixMillis(start)));
        }
        assert_eq!(everything(&mut world, UnixMillis(0), UnixMillis(5), 2), ["c", "a", "b"].map(Box::from));
        // Asked twice: the second answer comes from what is remembered of the slot.
        let total = |world: &mut World, now| {
            let mut ask = || world.page((UnixMillis(0), UnixMillis(600_000)), UnixMillis(now), 0, 9).total;
            assert_eq!(ask(), ask(), "{now}");
            ask()
        };
        assert_eq!([3, 4, 5, 6, 700_000].map(|now| total(&mut world, now)), [0, 1, 3, 4, 4]);
        world.put(Story { vanishes: Some(UnixMillis(800_000)), late: 100, ..Story::new("b", UnixMillis(5)) });
        assert_eq!([104, 105, 799_999, 800_000].map(|now| total(&mut world, now)), [3, 4, 4, 3]);
        world.put(Story::new("b", UnixMillis(5)));
        world.put(Story::new("a", UnixMillis(3)));
        assert_eq!(everything(&mut world, UnixMillis(0), UnixMillis(9), 9), ["a", "c", "b", "d"].map(Box::from));
    }
}
