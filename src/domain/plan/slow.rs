//! Slow work, a slice at a time: closing the gaps that downtime left, and sweeping.

use super::{Clocks, NARROWEST, Plan};
use crate::domain::time::{Range, UnixMillis};

/// A slice is cut so that it takes about this many pages: few enough to fit between polls, enough not to waste them.
pub(super) const SLICE_PAGES: u64 = 8;
/// No slice spans more, seconds.
pub(super) const WIDEST_SLICE: i64 = 6 * 3600;
/// Failed walks in a row after which a slice is left to the next sweep.
const STRIKES: u32 = 3;

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

/// How the walk of a slice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceEnd {
    /// Everything was shown.
    Complete,
    /// Something in this range keeps it from being read.
    Unreadable,
    /// The upstream, the way to it or the disk failed, which says nothing about the range.
    Interrupted,
}

impl Plan {
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
            self.left_out = false;
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

    /// A slice was walked at the cost of so many pages. True when this was the end of a sweep that has read everything.
    pub fn slice_walked(&mut self, slice: Slice, end: SliceEnd, pages: u64, clocks: Clocks) -> bool {
        if end == SliceEnd::Complete {
            self.read(slice.range, clocks);
            self.caught_up_to = (!slice.sweep).then_some(slice.range.end).or(self.caught_up_to);
        }
        self.slice_width = match end {
            // What takes so long is interrupted time and again, and begun anew each time.
            SliceEnd::Interrupted if pages > 2 * SLICE_PAGES => self.slice_width / 2,
            SliceEnd::Interrupted => self.slice_width,
            SliceEnd::Unreadable => self.slice_width / 2,
            SliceEnd::Complete if pages < SLICE_PAGES => self.slice_width * 2,
            SliceEnd::Complete if pages > 2 * SLICE_PAGES => self.slice_width / 2,
            SliceEnd::Complete => self.slice_width,
        }
        .clamp(NARROWEST, WIDEST_SLICE);
        if slice.sweep {
            return self.swept(slice.range.end, end);
        }
        if end == SliceEnd::Unreadable {
            self.deferred.push(slice.range);
        }
        false
    }

    fn swept(&mut self, up_to: i64, end: SliceEnd) -> bool {
        let Some(sweep) = self.sweep.as_mut() else { return false };
        match end {
            SliceEnd::Complete => {}
            SliceEnd::Interrupted => return false,
            SliceEnd::Unreadable => {
                sweep.failures += 1;
                if sweep.failures < STRIKES {
                    return false;
                }
                // One bad page must not keep the rest from being read.
                self.left_out = true;
            }
        }
        sweep.cursor = up_to;
        sweep.failures = 0;
        if sweep.cursor < sweep.end {
            return false;
        }
        self.sweep = None;
        !self.left_out
    }
}
