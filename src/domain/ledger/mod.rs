//! The ledger: every conversation that was seen, and what was counted of it, so that nothing is counted twice.
//!
//! Readings go in by [`Ledger::fold`], one walk at a time and as often as they come: folding the same reading again
//! changes nothing. What is shown comes out by [`Ledger::show`].
//!
//! * `entry`: what is remembered of one conversation; `entries`: all of these
//! * `fold`: how a walk is taken in; `desk`: what a reading moves; `doubt`: what one moves that shows an ended conversation
//!   active; `dated`: whether a date can be right; `decide`: whether the reply target was met; `news`: what of all that is counted
//! * `pairs`: the counters it moves, by bot and team
//! * `moments`: gauges and recent percentiles
//! * `stretches`: what has to be asked for again; `starts`: how many pages that takes
//! * `kept`: what a checkpoint keeps; `renew`: other settings

mod dated;
mod decide;
mod desk;
mod doubt;
mod entries;
mod entry;
mod fold;
mod kept;
mod moments;
mod news;
mod pairs;
mod renew;
mod slim;
mod starts;
mod stretches;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::conversation::Origin;
use super::distribution::Layout;
use super::history::Events;
use super::label::{RecordResult, Tally, UnknownField};
use super::pair::Pair;
use super::reading::Page;
use super::snapshot::{Conversations, Moment, Tallies};
use super::time::{Range, UnixMillis};
use doubt::Reopening;
use entries::{Entries, Slot};
pub use entry::{Decision, Entry, Narrow, Once, Outside};
pub use kept::{Changes, Kept};
use moments::Recent;
use pairs::Pairs;
pub use pairs::{Known, PairId};
pub use slim::{PollNumber, SlimMillis, SlimRange};
use starts::Starts;
pub use stretches::Stretch;

/// At least how many conversations are looked at in one poll for those that have passed the horizon: a look at all of them
/// takes longer the more there are, and a settled one that stays a little longer only takes room.
const LOOKED_AT: usize = 10_000;
/// After so many polls all have been looked at, however many come in between two polls.
const LOOK_ROUND: usize = 64;

/// By which rules the ledger counts.
#[derive(Clone, Debug)]
pub struct LedgerSettings {
    /// Bounds of reply times; the target is one of them.
    pub reply: Arc<Layout>,
    /// Bounds of durations.
    pub duration: Arc<Layout>,
    /// The promised reply time, milliseconds.
    pub reply_target: u64,
    /// Origins in which no customer is waiting.
    pub excluded_origins: Vec<Origin>,
    /// Window of the recent percentiles, milliseconds.
    pub recent_window: i64,
    /// (bot, team) pairs, the overflow pair included.
    pub max_label_sets: usize,
    /// How long facts of the moment outlive the last successful poll, milliseconds.
    pub stale_after: i64,
    /// Whether the initial range is counted.
    pub count_initial: bool,
}

/// What one walk brought.
#[derive(Debug)]
pub struct Walked {
    /// The range that was asked for.
    pub range: Range,
    /// Whether the range was chosen by the starts of known records, not by the clock.
    pub narrow: bool,
    /// Whether the walk showed everything that the upstream lists in the range.
    pub complete: bool,
    /// The pages, in the order in which they came.
    pub pages: Vec<Page>,
}

impl Walked {
    /// How many rows the upstream puts on a page, if the walk tells: there are more in all than on the first one.
    pub fn rows_on_a_full_page(&self) -> Option<u32> {
        let first = self.pages.first()?;
        let rows = u32::try_from(first.rows.len()).ok()?;
        (rows > 0 && first.total? > u64::from(rows)).then_some(rows)
    }
}

/// What folding a walk did.
#[derive(Debug, Default)]
pub struct Folded {
    /// Rows by what became of them.
    pub records: Tally<RecordResult>,
    /// Values that became `other`.
    pub unknown_values: Tally<UnknownField>,
    /// What was counted.
    pub events: Events,
    /// By how much the first record that is newly found outside its range seems to be dated wrongly, milliseconds; negative
    /// when too early.
    pub outside_by: Option<i64>,
    /// Conversations newly found for whose bot and team there was no room.
    pub overflowed: u64,
}

/// A record names another company than the one whose conversations are counted: nothing of its walk was folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignCompany {
    /// The company of the state.
    pub known: Arc<str>,
    /// The company that the record names.
    pub found: Arc<str>,
}

impl fmt::Display for ForeignCompany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the upstream lists conversations of company {}, but company {} is being counted: check api.client_id and \
             its secret, or give the other company its own api.account and state.path",
            self.found, self.known
        )
    }
}

impl std::error::Error for ForeignCompany {}

/// What left the ledger because it passed the horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// How many conversations.
    pub entries: u64,
    /// Those of them that were not settled.
    pub unsettled: u64,
    /// The first second that may still be asked for; `None` when nothing was forgotten.
    pub floor: Option<i64>,
}

/// Every conversation within the horizon, and what was counted.
#[derive(Debug)]
pub struct Ledger {
    settings: LedgerSettings,
    entries: Entries,
    /// By start: those that are asked for again.
    unsettled: BTreeSet<(UnixMillis, Slot)>,
    starts: Starts,
    pairs: Pairs,
    tallies: Tallies,
    company: Option<Arc<str>>,
    recent: Recent,
    /// When counting began; `None` until the initial range has been walked completely.
    zero_line: Option<UnixMillis>,
    /// Since when series count that are made now.
    series_start: UnixMillis,
    last_success: Option<UnixMillis>,
    poll: PollNumber,
    /// Unsettled ones that a complete walk over their range did not show in this poll.
    missing: Vec<Slot>,
    /// Unsettled ones that were dated outside the range that listed them last when this poll began.
    elsewhere: Vec<Slot>,
    /// Those of whom this poll has seen nothing but that they are listed.
    unread: BTreeSet<Slot>,
    /// Ended ones that this poll has seen active and not ended: by its end they are reopened.
    reopening: BTreeMap<Slot, Reopening>,
    /// The facts of the moment by pair, as long as they hold.
    moments: Option<Arc<[Moment]>>,
}

impl Ledger {
    /// An empty ledger made at `now`, whose initial range begins at `initial_start`.
    pub fn new(settings: LedgerSettings, now: UnixMillis, initial_start: UnixMillis) -> Self {
        let pairs = Pairs::new(settings.max_label_sets, Arc::clone(&settings.reply), Arc::clone(&settings.duration));
        Self {
            settings,
            entries: Entries::default(),
            unsettled: BTreeSet::new(),
            starts: Starts::default(),
            pairs,
            tallies: Tallies { start: now, ..Tallies::default() },
            company: None,
            recent: Recent::default(),
            zero_line: None,
            series_start: initial_start,
            last_success: None,
            poll: PollNumber::FIRST,
            missing: Vec::new(),
            elsewhere: Vec::new(),
            unread: BTreeSet::new(),
            reopening: BTreeMap::new(),
            moments: None,
        }
    }

    /// A new poll begins: what is read from now on belongs to it.
    pub fn begin_poll(&mut self) {
        self.poll = self.poll.next();
        self.missing.clear();
        self.unread.clear();
        self.reopening.clear();
        let lies_elsewhere = |slot: &Slot| self.entries.get(*slot).is_some_and(Entry::lies_elsewhere);
        self.elsewhere = self.unsettled.iter().map(|(_, slot)| *slot).filter(lies_elsewhere).collect();
    }

    /// The poll is over. What had ended and was seen active all through it is reopened. What a complete walk missed and
    /// nothing else showed has vanished; it leaves the gauges.
    pub fn end_poll(&mut self) {
        self.reopen();
        for slot in std::mem::take(&mut self.missing) {
            let Some(entry) = self.entries.get_mut(slot) else { continue };
            if entry.read_in != self.poll && !entry.vanished {
                entry.vanished = true;
                self.entries.touch(slot);
                self.tallies.vanished += 1;
                self.moments = None;
            }
        }
    }

    /// The poll succeeded, at `now`: facts of the moment are as of then.
    pub fn succeed(&mut self, now: UnixMillis) {
        self.last_success = Some(now);
        self.moments = None;
        self.recent.settle(now, self.settings.recent_window, self.pairs.table().len(), &self.entries);
    }

    /// The initial range begins earlier than was thought.
    pub fn begin_by(&mut self, initial_start: UnixMillis) {
        if self.zero_line.is_none() {
            self.series_start = self.series_start.min(initial_start);
        }
    }

    /// The initial range has been walked completely: counting begins (rule **zero-line**).
    pub fn draw_zero_line(&mut self, now: UnixMillis) {
        if self.zero_line.is_some() {
            return;
        }
        self.zero_line = Some(now);
        if !self.settings.count_initial {
            self.pairs.restart(now);
        }
    }

    /// Whether the initial range has been walked completely.
    pub const fn is_counting(&self) -> bool {
        self.zero_line.is_some()
    }

    /// Whether what the initial range holds counts.
    pub const fn counts_initial(&self) -> bool {
        self.settings.count_initial
    }

    /// What to show at `now`. Series made after this count from `now`, for then they were not there.
    pub fn show(&mut self, now: UnixMillis) -> Option<Conversations> {
        self.zero_line?;
        self.series_start = now;
        let facts = self.last_success.is_some().then(|| self.moments());
        let live = self.pairs.table().iter().enumerate();
        let mut order: Vec<(usize, &Arc<Pair>)> = live.filter_map(|(at, known)| Some((at, known.live()?))).collect();
        order.sort_unstable_by(|(_, a), (_, b)| a.labels.cmp(&b.labels));
        let moments = facts.map(|facts| order.iter().map(|(at, _)| facts[*at]).collect());
        let pairs = order.into_iter().map(|(_, pair)| Arc::clone(pair)).collect();
        let moments_until = self.last_success.unwrap_or(now) + self.settings.stale_after;
        Some(Conversations { pairs, moments, moments_until })
    }

    /// Counts that are kept with the conversations.
    pub const fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    /// The company whose conversations these are.
    pub const fn company(&self) -> Option<&Arc<str>> {
        self.company.as_ref()
    }

    /// How many conversations are remembered.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many conversations are asked for again.
    pub fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    /// How many (bot, team) pairs there are.
    pub const fn label_sets(&self) -> usize {
        self.pairs.live()
    }

    /// Drops the pairs in which nothing was counted since `silent_since` and no unsettled conversation is (rule
    /// **forgetting pairs**), but for those that are `owed` to a receiver of deltas. Returns how many.
    pub fn forget_pairs(&mut self, silent_since: UnixMillis, owed: impl Fn(&Pair) -> bool) -> usize {
        let unsettled = self.unsettled.iter().filter_map(|(_, slot)| self.entries.get(*slot));
        let in_use = unsettled.map(|entry| entry.pair).collect();
        self.pairs.forget(silent_since, &in_use, owed)
    }

    /// Drops what was listed last by a range that ended before `horizon` (rules **aged out**, **floor**).
    ///
    /// All that is unsettled, and of the rest what is found among the next few thousand: call it at every poll.
    pub fn forget_before(&mut self, horizon: i64) -> Forgotten {
        let mut forgotten = Forgotten::default();
        let is_old = |entry: &Entry| entry.known_range().end < horizon;
        let looked_at = self.entries.look_on(LOOKED_AT.max(self.entries.len().div_ceil(LOOK_ROUND)));
        let mut old: Vec<Slot> = looked_at.filter(|(_, entry)| is_old(entry)).map(|(slot, _)| slot).collect();
        let unsettled = self.unsettled.iter().map(|(_, slot)| *slot);
        old.extend(unsettled.filter(|slot| self.entries.get(*slot).is_some_and(is_old)));
        for slot in old {
            let Some(entry) = self.entries.remove(slot) else { continue };
            let end = entry.known_range().end;
            // The place may be another's before the poll is over.
            self.unread.remove(&slot);
            self.reopening.remove(&slot);
            self.starts.take(entry.start.seconds());
            forgotten.entries += 1;
            // One second later: a range shares its border second, and what lies there would come back unknown.
            forgotten.floor = forgotten.floor.max(Some(end + 1));
            if self.unsettled.remove(&(entry.start, slot)) && !entry.vanished {
                forgotten.unsettled += 1;
                self.tallies.aged_out += 1;
                self.moments = None;
            }
        }
        forgotten
    }
}
