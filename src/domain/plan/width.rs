//! How wide a range may be.

use super::Plan;
use crate::domain::time::Range;

/// No range is halved below this many seconds.
pub const NARROWEST: i64 = 60;

/// The halves of a range, unless it is too narrow to be halved. They share their border second; where they would be
/// narrower than [`NARROWEST`] they overlap, and what both show counts once.
pub fn halves(range: Range) -> Option<[Range; 2]> {
    let width = (range.width() / 2).max(NARROWEST);
    let second = (range.start + width).min(range.end - NARROWEST);
    (range.width() > NARROWEST).then(|| [Range::new(range.start, range.start + width), Range::new(second, range.end)])
}

impl Plan {
    /// The upstream refused this range as too wide, and answered both of its halves.
    pub fn too_wide(&mut self, range: Range) {
        let half = (range.width() / 2).max(NARROWEST);
        self.widest = Some(self.widest.map_or(half, |widest| widest.min(half)));
    }

    /// The parts in which to ask for a range, given what the upstream was found to answer; they share border seconds.
    pub fn parts(&self, range: Range) -> Vec<Range> {
        let widest = self.widest.unwrap_or(i64::MAX);
        let mut parts = Vec::new();
        let mut start = range.start;
        loop {
            let end = range.end.min(start.saturating_add(widest));
            // What is left at the end may be narrower than a range is ever halved to: then it overlaps.
            let from = if end == range.end { start.min(end - NARROWEST).max(range.start) } else { start };
            parts.push(Range::new(from, end));
            if end == range.end {
                return parts;
            }
            start = end;
        }
    }

    /// How wide the next slice is to be.
    pub(super) fn width(&self) -> i64 {
        self.slice_width.min(self.widest.unwrap_or(i64::MAX)).max(NARROWEST)
    }
}
