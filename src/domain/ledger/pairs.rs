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

/// What stands in the table of pairs.
#[derive(Clone, Debug)]
pub enum Known {
    /// A pair. One that is shared with a snapshot is copied when it changes next.
    Live(Arc<Pair>),
    /// A pair that was dropped after a long silence (rule **forgetting pairs**). Its place is kept, for conversations that
    /// are remembered may refer to it; when something is to be counted there, it begins anew.
    Forgotten(PairLabels),
}

impl Known {
    /// The pair, unless it is forgotten.
    pub const fn live(&self) -> Option<&Arc<Pair>> {
        match self {
            Self::Live(pair) => Some(pair),
            Self::Forgotten(_) => None,
        }
    }

    /// Its labels.
    pub fn labels(&self) -> &PairLabels {
        match self {
            Self::Live(pair) => &pair.labels,
            Self::Forgotten(labels) => labels,
        }
    }
}

/// Every pair of the account.
#[derive(Debug)]
pub(super) struct Pairs {
    table: Vec<Known>,
    /// How many of these are not forgotten.
    live: usize,
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
        Self { table, live: 0, by_labels, bots, overflow: None, changed, most, reply, duration }
    }

    /// The pairs that were kept, under the bounds of today. None is evicted, whatever the cap.
    pub(super) fn restore(
        most: usize,
        reply: &Layout,
        duration: &Layout,
        kept: Vec<Known>,
        overflow: Option<PairId>,
    ) -> Self {
        let counted = |times: fn(&Pair) -> &Distribution| -> Vec<u64> {
            let live = kept.iter().filter_map(Known::live);
            live.flat_map(|pair| times(pair).layout().counted()).copied().collect()
        };
        let reply = Arc::new(reply.continuing(&counted(|pair| &pair.reply)));
        let duration = Arc::new(duration.continuing(&counted(|pair| &pair.duration)));
        let mut pairs = Self::new(most, Arc::clone(&reply), Arc::clone(&duration));
        for (mut known, id) in kept.into_iter().zip(0..) {
            let PairLabels { bot, team } = known.labels().clone();
            if let Known::Live(pair) = &mut known {
                let pair = Arc::make_mut(pair);
                pair.reply = Distribution::from_parts(pair.reply.parts(), Arc::clone(&reply));
                pair.duration = Distribution::from_parts(pair.duration.parts(), Arc::clone(&duration));
                let shown = pairs.bots.entry(Arc::clone(&bot)).or_default();
                shown.origins.extend(pair.started.iter().map(|(origin, _)| *origin));
                shown.ends.extend(pair.ended.iter().map(|(how, _)| *how));
                pairs.live += 1;
            }
            pairs.by_labels.entry(bot).or_default().insert(team, PairId(id));
            pairs.table.push(known);
        }
        pairs.overflow = overflow;
        pairs
    }

    /// Goes on by other bounds and another cap, as [`Pairs::restore`] does; what differs from what is kept still does.
    pub(super) fn go_on_by(&mut self, most: usize, reply: &Layout, duration: &Layout) {
        self.most = most;
        let same = |mine: &Layout, other: &Layout| *mine == other.continuing(mine.counted());
        if same(&self.reply, reply) && same(&self.duration, duration) {
            return;
        }
        let (table, changed) = (std::mem::take(&mut self.table), std::mem::take(&mut self.changed));
        *self = Self { changed, ..Self::restore(most, reply, duration, table, self.overflow) };
    }

    pub(super) const fn overflow_id(&self) -> Option<PairId> {
        self.overflow
    }

    pub(super) fn changed(&self) -> impl Iterator<Item = (PairId, &Known)> {
        self.changed.iter().map(|id| (*id, &self.table[id.0 as usize]))
    }

    /// Everything is kept as it is now.
    pub(super) fn settle(&mut self) {
        self.changed.clear();
    }

    /// The pair with these labels, admitted if there is room, else the overflow pair (and true). `own` is the pair of the
    /// conversation in question, if it is known: forgotten or not, it stays its own.
    pub(super) fn admit(&mut self, bot: &str, team: &str, own: Option<PairId>, start: UnixMillis) -> (PairId, bool) {
        let known = self.by_labels.get(bot).and_then(|teams| teams.get(team)).copied();
        if let Some(known) = known
            && (own == Some(known) || self.table[known.0 as usize].live().is_some())
        {
            return (known, false);
        }
        if bot == OVERFLOW && team == OVERFLOW {
            // Two pairs of the same labels would be the same series twice.
            return (self.overflow(start), false);
        }
        // The overflow pair is one of the cap, so the last place is kept for it.
        let overflow_lives = self.overflow.is_some_and(|id| self.table[id.0 as usize].live().is_some());
        let taken = self.live - usize::from(overflow_lives);
        if taken + 1 >= self.most {
            return (self.overflow(start), true);
        }
        (known.unwrap_or_else(|| self.insert(bot, team, start)), false)
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
        self.by_labels.entry(bot).or_default().insert(Arc::clone(&labels.team), id);
        self.table.push(Known::Forgotten(labels));
        self.wake(id, start);
        id
    }

    /// Makes sure that the pair is there: a forgotten one begins anew, counting from `start`.
    pub(super) fn wake(&mut self, id: PairId, start: UnixMillis) {
        let Known::Forgotten(labels) = &self.table[id.0 as usize] else { return };
        let labels = labels.clone();
        let shown = self.bots.entry(Arc::clone(&labels.bot)).or_default();
        let mut pair = Pair::new(labels, start, Arc::clone(&self.reply), Arc::clone(&self.duration));
        for origin in &shown.origins {
            pair.started_mut(*origin, start);
        }
        for how in &shown.ends {
            pair.ended_mut(*how, start);
        }
        self.table[id.0 as usize] = Known::Live(Arc::new(pair));
        self.live += 1;
        self.changed.insert(id);
    }

    /// The pair, for something to be counted that was seen at `seen_at`.
    pub(super) fn count_in(&mut self, id: PairId, start: UnixMillis, seen_at: UnixMillis) -> &mut Pair {
        self.wake(id, start);
        let pair = self.change(id).expect("it has just been woken");
        pair.last_event = pair.last_event.max(seen_at);
        pair
    }

    /// The pair, to be changed; `None` if it is forgotten.
    fn change(&mut self, id: PairId) -> Option<&mut Pair> {
        match &mut self.table[id.0 as usize] {
            Known::Live(pair) => {
                self.changed.insert(id);
                Some(Arc::make_mut(pair))
            }
            Known::Forgotten(_) => None,
        }
    }

    /// Drops pairs in which nothing was counted since `silent_since`, but for those `in_use` or `owed`. Returns how many.
    pub(super) fn forget(
        &mut self,
        silent_since: UnixMillis,
        in_use: &BTreeSet<PairId>,
        owed: impl Fn(&Pair) -> bool,
    ) -> usize {
        let mut forgotten = 0;
        for (known, id) in self.table.iter_mut().zip((0..).map(PairId)) {
            let Known::Live(pair) = known else { continue };
            if pair.last_event < silent_since && !in_use.contains(&id) && !owed(pair) {
                *known = Known::Forgotten(pair.labels.clone());
                self.changed.insert(id);
                forgotten += 1;
            }
        }
        self.live -= forgotten;
        forgotten
    }

    /// Makes sure that every pair of this pair's bot has a counter for the origin.
    pub(super) fn show_origin(&mut self, id: PairId, origin: Origin, start: UnixMillis) {
        let known = &self.table[id.0 as usize];
        // What one pair of the bot has, all of them have.
        if known.live().is_some_and(|pair| pair.started.iter().any(|(shown, _)| *shown == origin)) {
            return;
        }
        let bot = Arc::clone(&known.labels().bot);
        if self.bots.entry(Arc::clone(&bot)).or_default().origins.insert(origin) {
            self.each_of(&bot, |pair| {
                pair.started_mut(origin, start);
            });
        }
    }

    /// Makes sure that every pair of this pair's bot has a counter for this end.
    pub(super) fn show_end(&mut self, id: PairId, how: (State, Reason), start: UnixMillis) {
        let known = &self.table[id.0 as usize];
        if known.live().is_some_and(|pair| pair.ended.iter().any(|(shown, _)| *shown == how)) {
            return;
        }
        let bot = Arc::clone(&known.labels().bot);
        if self.bots.entry(Arc::clone(&bot)).or_default().ends.insert(how) {
            self.each_of(&bot, |pair| {
                pair.ended_mut(how, start);
            });
        }
    }

    fn each_of(&mut self, bot: &str, change: impl Fn(&mut Pair)) {
        let teams: Vec<PairId> = self.by_labels.get(bot).into_iter().flat_map(HashMap::values).copied().collect();
        for id in teams {
            if let Some(pair) = self.change(id) {
                change(pair);
            }
        }
    }

    /// Sets every series back to zero, counting from `start`: the zero line is drawn.
    pub(super) fn restart(&mut self, start: UnixMillis) {
        for (known, id) in self.table.iter_mut().zip(0..) {
            let Known::Live(pair) = known else { continue };
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

    /// How many there are, the forgotten ones left out.
    pub(super) const fn live(&self) -> usize {
        self.live
    }

    /// The pairs as they are now, in the order of their ids.
    pub(super) fn table(&self) -> &[Known] {
        &self.table
    }
}
