//! What to ask the upstream for next (rules under "Ranges and completeness").
//!
//! A poll reads the newest stretch and what is unsettled ([`super::ledger::Ledger::due_stretches`]). In between go
//! slices of two slow works: closing the gaps that downtime left, and sweeping over everything back to the horizon.
//!
//! * `clocks`: what time it is; `newest`: the newest stretches, and where reading begins
//! * `slow`: the slices; `width`: how wide a range may be

mod clocks;
mod newest;
mod slow;
#[cfg(test)]
mod tests;
mod width;

use super::coverage::Coverage;
use super::time::{Range, UnixMillis};
pub use clocks::{AGREEMENT, Clocks};
use slow::WIDEST_SLICE;
pub use slow::{Slice, SliceEnd, Sweep};
pub use width::{NARROWEST, halves};

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
    /// `poll.initial_lookback`.
    pub initial_lookback: i64,
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
    /// What was walked completely while the clocks did not agree, as far as it lies beyond the earlier one, ascending.
    ahead: Vec<Range>,
    sweep: Option<Sweep>,
    /// Whether the sweep under way has left something to the next one.
    left_out: bool,
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
            ahead: Vec::new(),
            sweep: None,
            left_out: false,
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
        // That is not kept. If in doubt, this sweep is not said to have read everything.
        plan.left_out = kept.sweep.is_some();
        plan.sweep_began = kept.sweep_began;
        Some(plan)
    }

    /// Asks by these settings from here on, and finds out again what it learnt of the upstream, which may be another.
    pub fn go_on_by(&mut self, settings: PlanSettings) {
        // How far back the first start reads is settled at the start.
        self.settings = PlanSettings { initial_lookback: self.settings.initial_lookback, ..settings };
        self.widest = None;
        self.deferred.clear();
        self.ahead.clear();
    }

    /// By which settings it asks.
    pub const fn settings(&self) -> PlanSettings {
        self.settings
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
}
