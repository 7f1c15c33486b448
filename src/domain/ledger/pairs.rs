//! The (bot, team) pairs: admitted by first sight up to a cap, each with every family from its first record on.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::HashMap;

use crate::domain::conversation::{Origin, Reason, State};
use crate::domain::distribution::{Distribution, Layout};
use crate::domain::pair::{OVERFLOW, Pair, PairLabels};
use crate::domain::time::UnixMillis;

/// Where a pair stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairId(pub u32);

/// The combinations of further labels that a bot has shown in any team (rule **zero before one**).
#[derive(Debug, Default)]
struct Shown {
    origins: BTreeSet<Origin>,
    ends: BTreeSet<(State, Reason)>,
}

/// Every pair of the account. A pair that is shared with a snapshot is copied when it changes next.
#[derive(Debug)]
pub(super) struct Pairs {
    table: Vec<Arc<Pair>>,
    /// Team within bot, so that a look-up needs no new strings.
    by_labels: HashMap<Arc<str>, HashMap<Arc<str>, PairId>>,
    bots: HashMap<Arc<str>, Shown>,
    overflow: Option<PairId>,
    /// What differs from what is kept.
    changed: BTreeSet<PairId>,
    most: usize,
    reply: Arc<Layout>,
    duration: Arc<Layout>,
}

impl Pairs {
    pub(super) fn new(most: usize, reply: Arc<Layout>, duration: Arc<Layout>) -> Self {
        let (table, by_labels, bots, changed) = Default::default();
        Self { table, by_labels, bots, overflow: None, changed, most, reply, duration }
    }

    /// The pairs that were kept, under the bounds of today. None is evicted, whatever the cap.
    pub(super) fn restore(
        most: usize,
        reply: &Layout,
        duration: &Layout,
        kept: Vec<Pair>,
        overflow: Option<PairId>,
    ) -> Self {
        let counted = |times: fn(&Pair) -> &Distribution| -> Vec<u64> {
            kept.iter().flat_map(|pair| times(pair).layout().counted()).copied().collect()
        };
        let reply = Arc::new(reply.continuing(&counted(|pair| &pair.reply)));
        let duration = Arc::new(duration.continuing(&counted(|pair| &pair.duration)));
        let mut pairs = Self::new(most, Arc::clone(&reply), Arc::clone(&duration));
        for (mut pair, id) in kept.into_iter().zip(0..) {
            pair.reply = Distribution::from_parts(pair.reply.parts(), Arc::clone(&reply));
            pair.duration = Distribution::from_parts(pair.duration.parts(), Arc::clone(&duration));
            let shown = pairs.bots.entry(Arc::clone(&pair.labels.bot)).or_default();
            shown.origins.extend(pair.started.iter().map(|(origin, _)| *origin));
            shown.ends.extend(pair.ended.iter().map(|(how, _)| *how));
            let teams = pairs.by_labels.entry(Arc::clone(&pair.labels.bot)).or_default();
            teams.insert(Arc::clone(&pair.labels.team), PairId(id));
            pairs.table.push(Arc::new(pair));
        }
        pairs.overflow = overflow;
        pairs
    }

    pub(super) const fn overflow_id(&self) -> Option<PairId> {
        self.overflow
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = (PairId, &Pair)> {
        self.changed.iter().map(|id| (*id, &*self.table[id.0 as usize]))
    }

    /// Everything is kept as it is now.
    pub(super) fn settle(&mut self) {
        self.changed.clear();
    }

    /// The pair with these labels, admitted if there is room, else the overflow pair (and true).
    pub(super) fn admit(&mut self, bot: &str, team: &str, start: UnixMillis) -> (PairId, bool) {
        if let Some(known) = self.by_labels.get(bot).and_then(|teams| teams.get(team)) {
            return (*known, false);
        }
        if bot == OVERFLOW && team == OVERFLOW {
            // Two pairs of the same labels would be the same series twice.
            return (self.overflow(start), false);
        }
        // The overflow pair is one of the cap, so the last place is kept for it.
        let taken = self.table.len() - usize::from(self.overflow.is_some());
        if taken + 1 < self.most {
            return (self.insert(bot, team, start), false);
        }
        (self.overflow(start), true)
    }

    /// The overflow pair, made if need be.
    pub(super) fn overflow(&mut self, start: UnixMillis) -> PairId {
        if let Some(known) = self.overflow {
            return known;
        }
        let made = self.insert(OVERFLOW, OVERFLOW, start);
        self.overflow = Some(made);
        made
    }

    fn insert(&mut self, bot: &str, team: &str, start: UnixMillis) -> PairId {
        let id = PairId(u32::try_from(self.table.len()).expect("the cap keeps pairs far below 2^32"));
        let bot = self.bots.get_key_value(bot).map_or_else(|| Arc::from(bot), |(known, _)| Arc::clone(known));
        let labels = PairLabels { bot: Arc::clone(&bot), team: Arc::from(team) };
        let mut pair = Pair::new(labels.clone(), start, Arc::clone(&self.reply), Arc::clone(&self.duration));
        let shown = self.bots.entry(Arc::clone(&bot)).or_default();
        for origin in &shown.origins {
            pair.started_mut(*origin, start);
        }
        for how in &shown.ends {
            pair.ended_mut(*how, start);
        }
        self.table.push(Arc::new(pair));
        self.changed.insert(id);
        self.by_labels.entry(bot).or_default().insert(labels.team, id);
        id
    }

    /// The pair, to be changed.
    pub(super) fn change(&mut self, id: PairId) -> &mut Pair {
        self.changed.insert(id);
        Arc::make_mut(&mut self.table[id.0 as usize])
    }

    /// Makes sure that every pair of this pair's bot has a counter for the origin.
    pub(super) fn show_origin(&mut self, id: PairId, origin: Origin, start: UnixMillis) {
        let pair = &self.table[id.0 as usize];
        // What one pair of the bot has, all of them have.
        if pair.started.iter().any(|(shown, _)| *shown == origin) {
            return;
        }
        let bot = Arc::clone(&pair.labels.bot);
        if self.bots.entry(Arc::clone(&bot)).or_default().origins.insert(origin) {
            self.each_of(&bot, |pair| {
                pair.started_mut(origin, start);
            });
        }
    }

    /// Makes sure that every pair of this pair's bot has a counter for this end.
    pub(super) fn show_end(&mut self, id: PairId, how: (State, Reason), start: UnixMillis) {
        let pair = &self.table[id.0 as usize];
        if pair.ended.iter().any(|(shown, _)| *shown == how) {
            return;
        }
        let bot = Arc::clone(&pair.labels.bot);
        if self.bots.entry(Arc::clone(&bot)).or_default().ends.insert(how) {
            self.each_of(&bot, |pair| {
                pair.ended_mut(how, start);
            });
        }
    }

    fn each_of(&mut self, bot: &str, change: impl Fn(&mut Pair)) {
        let teams: Vec<PairId> = self.by_labels.get(bot).into_iter().flat_map(HashMap::values).copied().collect();
        for id in teams {
            change(self.change(id));
        }
    }

    /// Sets every series back to zero, counting from `start`: the zero line is drawn.
    pub(super) fn restart(&mut self, start: UnixMillis) {
        for (pair, id) in self.table.iter_mut().zip(0..) {
            self.changed.insert(PairId(id));
            let mut fresh = Pair::new(pair.labels.clone(), start, Arc::clone(&self.reply), Arc::clone(&self.duration));
            for (origin, _) in &pair.started {
                fresh.started_mut(*origin, start);
            }
            for (how, _) in &pair.ended {
                fresh.ended_mut(*how, start);
            }
            *pair = Arc::new(fresh);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The pairs as they are now, in the order of their ids.
    pub(super) fn table(&self) -> &[Arc<Pair>] {
        &self.table
    }
}
