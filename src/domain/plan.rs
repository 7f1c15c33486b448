//! What to ask the upstream for next (rules under "Ranges and completeness").
//!
//! A poll reads the newest stretch and what is unsettled ([`super::ledger::Ledger::due_stretches`]). In between go
//! slices of two slow works: closing the gaps that downtime left, and sweeping over everything back to the horizon.

use super::coverage::Coverage;
use super::time::{Range, UnixMillis};

/// No range is halved below this many seconds.
pub const NARROWEST: i64 = 60;
/// A slice is cut so that it takes about this many pages: few enough to fit between polls, enough not to waste them.
const SLICE_PAGES: u64 = 8;
/// No slice spans more, seconds.
const WIDEST_SLICE: i64 = 6 * 3600;
/// Within how many milliseconds two clocks agree (rule **floor**).
const AGREEMENT: i64 = 5 * 60 * 1000;

/// The settings that shape the plan, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanSettings {
    /// `poll.interval`.
    pub interval: i64,
    /// `poll.overlap`.
    pub overlap: i64,
    /// `poll.horizon`.
    pub horizon: i64,
    /// `poll.sweep_interval`.
    pub sweep_interval: i64,
}

/// The two clocks: the local one, and the upstream's as far as its `Date` header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The local clock.
    pub now: UnixMillis,
    /// The upstream's clock less the local one, milliseconds.
    pub offset: Option<i64>,
}

impl Clocks {
    /// The instant that both clocks have passed: no range is complete beyond it.
    pub fn earlier(self) -> UnixMillis {
        self.now + self.offset().min(0)
    }

    /// The instant that the clock shows which is ahead: nothing lies beyond it.
    pub fn later(self) -> UnixMillis {
        self.now + self.offset().max(0)
    }

    /// Whether the upstream's clock is known and within five minutes of the local one.
    pub fn agree(self) -> bool {
        self.offset.is_some_and(|offset| offset.abs() <= AGREEMENT)
    }

    fn offset(self) -> i64 {
        // The header is cut to the second and was written on the way: less than two seconds says nothing.
        self.offset.filter(|offset| offset.abs() >= 2000).unwrap_or(0)
    }
}

/// A slice of slow work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// What to ask for.
    pub range: Range,
    /// Whether it belongs to the sweep; else it closes a gap.
    pub sweep: bool,
}

/// A sweep under way, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Up to which second it has come.
    pub cursor: i64,
    /// Where it ends.
    pub end: i64,
    /// Failed walks at this cursor in a row.
    pub failures: u32,
}

/// How far reading has come, in seconds of conversation starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToRead {
    /// From where reading begins to the end of the newest stretch.
    pub whole: u64,
    /// What of that has not been read completely yet.
    pub unread: u64,
}

/// What a checkpoint keeps of a plan. The rest is found out again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPlan {
    /// Ranges that were walked completely, ascending; the first begins where coverage began.
    pub covered: Vec<Range>,
    /// No range begins before this second.
    pub floor: i64,
    /// Where the newest stretch ended that was walked completely last.
    pub newest_end: i64,
    /// The sweep under way.
    pub sweep: Option<Sweep>,
    /// When the last sweep began.
    pub sweep_began: Option<i64>,
}

/// What has been read, and what is to be read next.
#[derive(Clone, Debug)]
pub struct Plan {
    settings: PlanSettings,
    coverage: Coverage,
    /// No range begins before this second.
    floor: i64,
    /// Where the newest stretch ended that was walked completely last; before the start of coverage if none was.
    newest_end: i64,
    sweep: Option<Sweep>,
    /// When the last sweep began; the reading of the initial range counts as one.
    sweep_began: Option<i64>,
    /// Where the last slice ended that closed a part of a gap.
    caught_up_to: Option<i64>,
    /// Gaps that could not be closed: the others have precedence.
    deferred: Vec<Range>,
    slice_width: i64,
    /// The widest range that the upstream was found to answer, if it refused a wider one.
    widest: Option<i64>,
}

impl Plan {
    /// A plan that reads everything from `initial_start` (a second) on.
    pub fn new(settings: PlanSettings, initial_start: i64) -> Self {
        Self {
            settings,
            coverage: Coverage::new(initial_start),
            floor: initial_start,
            newest_end: initial_start - 1,
            sweep: None,
            sweep_began: None,
            caught_up_to: None,
            deferred: Vec::new(),
            slice_width: settings.overlap.clamp(NARROWEST, WIDEST_SLICE),
            widest: None,
        }
    }

    /// The plan that was kept, going on by these settings; `None` if it never began anywhere.
    pub fn restore(settings: PlanSettings, kept: KeptPlan) -> Option<Self> {
        let start = kept.covered.first()?.start;
        let mut plan = Self::new(settings, start);
        kept.covered.into_iter().for_each(|range| plan.coverage.cover(range));
        plan.floor = kept.floor;
        plan.newest_end = kept.newest_end;
        plan.sweep = kept.sweep;
        plan.sweep_began = kept.sweep_began;
        Some(plan)
    }

    /// Asks by these settings from here on, and finds out again what it learnt of the upstream, which may be another.
    pub fn go_on_by(&mut self, settings: PlanSettings) {
        self.settings = settings;
        self.widest = None;
        self.deferred.clear();
    }

    /// What a checkpoint is to keep.
    pub fn kept(&self) -> KeptPlan {
        KeptPlan {
            covered: self.coverage.stretches().to_vec(),
            floor: self.floor,
            newest_end: self.newest_end,
            sweep: self.sweep,
            sweep_began: self.sweep_began,
        }
    }

    /// The newest stretch.
    ///
    /// It reaches back by the overlap, and further to join what was read before if that is a matter of two intervals.
    /// Where the clocks differ it spans both of their ideas of now, so that it is right whichever is wrong.
    pub fn newest(&self, clocks: Clocks) -> Range {
        let end = clocks.later().seconds();
        let mut start = clocks.earlier().seconds() - self.settings.overlap;
        if self.coverage.reach(start).is_none() && self.newest_end < start {
            let back = start - self.newest_end;
            if back <= 2 * self.settings.interval {
                start = self.newest_end;
            }
        }
        let start = start.max(self.coverage.start()).max(self.floor);
        // A clock that went back behind the floor finds nothing to ask for but the floor itself.
        Range::new(start, end.max(start))
    }

    /// The newest stretch has been walked completely; the walk began at `clocks`.
    pub fn newest_read(&mut self, range: Range, clocks: Clocks) {
        self.newest_end = range.end.min(clocks.earlier().seconds());
        self.read(range, clocks);
    }

    /// A range has been walked completely; the walk began at `clocks`.
    pub fn read(&mut self, range: Range, clocks: Clocks) {
        let end = range.end.min(clocks.earlier().seconds());
        if range.start < end {
            self.coverage.cover(Range::new(range.start, end));
        }
    }

    /// The first second that may be asked for now.
    pub fn oldest(&self, now: UnixMillis) -> i64 {
        self.floor.max(self.horizon(now))
    }

    fn horizon(&self, now: UnixMillis) -> i64 {
        now.seconds() - self.settings.horizon
    }

    /// The second before which everything may be forgotten now.
    pub fn forget_before(&self, clocks: Clocks) -> Option<i64> {
        clocks.agree().then(|| self.horizon(clocks.earlier()))
    }

    /// Whether everything up to the end of the newest stretch has been read.
    pub fn is_gapless(&self) -> bool {
        self.coverage.frontier() >= self.newest_end && self.newest_end >= self.coverage.start()
    }

    /// How far reading has come up to the end of the newest stretch.
    pub fn to_read(&self) -> ToRead {
        let seconds = |seconds: i64| u64::try_from(seconds).unwrap_or(0);
        ToRead {
            whole: seconds(self.newest_end - self.coverage.start()),
            unread: seconds(self.coverage.uncovered(self.newest_end)),
        }
    }

    /// Up to when every range has been walked completely.
    pub fn complete_until(&self) -> UnixMillis {
        UnixMillis::from_seconds(self.coverage.frontier())
    }

    /// Gives up the gaps that passed the horizon unread; seconds lost.
    pub fn give_up_old_gaps(&mut self, now: UnixMillis) -> i64 {
        self.coverage.give_up_before(self.horizon(now))
    }

    /// Ids were forgotten: no range begins before `floor` any more.
    pub fn raise_floor(&mut self, floor: i64) {
        self.floor = self.floor.max(floor);
    }

    /// The next gap to close, if there is one.
    pub fn catch_up(&mut self, now: UnixMillis) -> Option<Slice> {
        let oldest = self.oldest(now);
        let mut reachable = self.coverage.clone();
        // What lies before cannot be asked for and must not stand before what can.
        reachable.cover(Range::new(reachable.start(), oldest.max(reachable.start())));
        let mut pending = reachable.clone();
        self.deferred.iter().for_each(|range| pending.cover(*range));
        let gap = pending.oldest_gap(self.newest_end).or_else(|| {
            self.deferred.clear();
            reachable.oldest_gap(self.newest_end)
        })?;
        // Where polling stopped, the last minutes were read only once or twice; what was listed late is still out.
        let back = if self.stopped_at(gap.start) { self.settings.overlap } else { 0 };
        let start = (gap.start - back).max(self.coverage.start()).max(oldest);
        let end = gap.end.min(start.max(gap.start) + self.width());
        (start < end).then(|| Slice { range: Range::new(start, end), sweep: false })
    }

    /// Whether coverage ends here because polling stopped, and not because the initial range begins here or a slice of
    /// a gap ended here.
    fn stopped_at(&self, second: i64) -> bool {
        second == self.coverage.frontier() && second != self.coverage.start() && self.caught_up_to != Some(second)
    }

    /// The next slice of the sweep, if one is under way or due.
    pub fn sweep(&mut self, now: UnixMillis) -> Option<Slice> {
        let oldest = self.oldest(now).max(self.coverage.start());
        let second = now.seconds();
        if self.sweep.is_none() {
            let began = *self.sweep_began.get_or_insert(second);
            // A clock that went back must not put the sweep off for as long as it went.
            if (second - began).abs() < self.settings.sweep_interval {
                return None;
            }
            self.sweep_began = Some(second);
            self.sweep = Some(Sweep { cursor: oldest, end: second - self.settings.overlap, failures: 0 });
            // The upstream may have grown kinder.
            self.widest = None;
        }
        let width = self.width();
        let sweep = self.sweep.as_mut()?;
        sweep.cursor = sweep.cursor.max(oldest);
        let end = sweep.end.min(sweep.cursor + width);
        if sweep.cursor >= end {
            // All that was left of it has passed the horizon.
            self.sweep = None;
            return None;
        }
        Some(Slice { range: Range::new(sweep.cursor, end), sweep: true })
    }

    /// A slice was walked at the cost of so many pages. True when this was the end of a sweep.
    pub fn slice_walked(&mut self, slice: Slice, complete: bool, pages: u64, clocks: Clocks) -> bool {
        if complete {
            self.read(slice.range, clocks);
            self.caught_up_to = (!slice.sweep).then_some(slice.range.end).or(self.caught_up_to);
        }
        self.slice_width = match pages {
            _ if !complete => self.slice_width / 2,
            0..SLICE_PAGES => self.slice_width * 2,
            _ if pages > 2 * SLICE_PAGES => self.slice_width / 2,
            _ => self.slice_width,
        }
        .clamp(NARROWEST, WIDEST_SLICE);
        let Some(sweep) = self.sweep.as_mut().filter(|_| slice.sweep) else {
            if !complete && !slice.sweep {
                self.deferred.push(slice.range);
            }
            return false;
        };
        sweep.failures = if complete { 0 } else { sweep.failures + 1 };
        // What fails thrice is left to the next sweep: one bad page must not keep the rest from being read.
        if complete || sweep.failures == 3 {
            sweep.cursor = slice.range.end;
            sweep.failures = 0;
        }
        let over = sweep.cursor >= sweep.end;
        if over {
            self.sweep = None;
        }
        over
    }

    /// The upstream refused this range as too wide.
    pub fn too_wide(&mut self, range: Range) {
        self.widest = Some((range.width() / 2).max(NARROWEST));
    }

    /// The parts in which to ask for a range, given what the upstream was found to answer; they share border seconds.
    pub fn parts(&self, range: Range) -> Vec<Range> {
        let widest = self.widest.unwrap_or(i64::MAX);
        if range.width() <= widest {
            return vec![range];
        }
        let mut parts = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let end = range.end.min(start.saturating_add(widest));
            parts.push(Range::new(start, end));
            start = end;
        }
        parts
    }

    fn width(&self) -> i64 {
        self.slice_width.min(self.widest.unwrap_or(i64::MAX)).max(NARROWEST)
    }
}

#[cfg(test)]
mod tests;
