//! Which conversation starts have been read completely.

use super::time::Range;

/// Ranges that were walked completely since they ended, from a first second on.
///
/// Neighbouring ranges share their border second, so `[a, b]` and `[b, c]` are one stretch, and a gap is what lies
/// between the end of one stretch and the start of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Disjoint and ascending; the first one begins where coverage began and may be empty.
    stretches: Vec<Range>,
}

impl Coverage {
    /// Nothing covered yet, from this second on.
    pub fn new(start: i64) -> Self {
        Self { stretches: vec![Range::new(start, start)] }
    }

    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.stretches.iter().all(|stretch| stretch.width() == 0)
    }

    /// What is covered, ascending; the first stretch begins where coverage began.
    pub fn stretches(&self) -> &[Range] {
        &self.stretches
    }

    /// Where coverage began.
    pub fn start(&self) -> i64 {
        self.stretches[0].start
    }

    /// Up to which second everything is covered.
    pub fn frontier(&self) -> i64 {
        self.stretches[0].end
    }

    /// Up to which second the stretch reaches that covers `second`, if one does.
    pub fn reach(&self, second: i64) -> Option<i64> {
        self.stretches
            .iter()
            .find(|stretch| stretch.start <= second && second <= stretch.end)
            .map(|stretch| stretch.end)
    }

    /// Takes in a range that was walked completely; what lies before the start of coverage does not count.
    pub fn cover(&mut self, range: Range) {
        let start = range.start.max(self.start());
        if range.end <= start {
            return;
        }
        let mut joined = Range::new(start, range.end);
        let mut kept = Vec::with_capacity(self.stretches.len() + 1);
        for stretch in self.stretches.drain(..) {
            if stretch.end < joined.start || joined.end < stretch.start {
                kept.push(stretch);
            } else {
                joined = Range::new(joined.start.min(stretch.start), joined.end.max(stretch.end));
            }
        }
        kept.push(joined);
        kept.sort_unstable();
        self.stretches = kept;
    }

    /// The oldest gap that begins before `until`, cut off there.
    pub fn oldest_gap(&self, until: i64) -> Option<Range> {
        let start = self.frontier();
        let end = self.stretches.get(1).map_or(until, |next| next.start.min(until));
        (start < end).then(|| Range::new(start, end))
    }

    /// How many seconds before `until` are not covered.
    pub fn uncovered(&self, until: i64) -> i64 {
        let ends = self.stretches.iter().map(|stretch| stretch.end);
        let next = self.stretches.iter().skip(1).map(|stretch| stretch.start).chain([until]);
        ends.zip(next).map(|(end, next)| (next.min(until) - end).max(0)).sum()
    }

    /// Gives up what lies unread before `second` and says how many seconds these were.
    pub fn give_up_before(&mut self, second: i64) -> i64 {
        let mut lost = 0;
        while let Some(gap) = self.oldest_gap(second) {
            lost += gap.width();
            self.cover(gap);
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn border_seconds_are_shared() {
        let mut coverage = Coverage::new(0);
        coverage.cover(Range::new(20, 30));
        coverage.cover(Range::new(0, 10));
        assert_eq!(coverage.frontier(), 10);
        assert_eq!(coverage.oldest_gap(100), Some(Range::new(10, 20)));
        coverage.cover(Range::new(10, 20));
        assert_eq!(coverage.frontier(), 30);
        assert_eq!(coverage.oldest_gap(30), None);
        assert_eq!(coverage.oldest_gap(40), Some(Range::new(30, 40)));
    }

    #[test]
    fn the_oldest_gap_comes_first() {
        let mut coverage = Coverage::new(0);
        coverage.cover(Range::new(-50, 5));
        coverage.cover(Range::new(10, 20));
        coverage.cover(Range::new(30, 40));
        assert_eq!(coverage.oldest_gap(100), Some(Range::new(5, 10)));
        coverage.cover(Range::new(4, 12));
        assert_eq!(coverage.oldest_gap(100), Some(Range::new(20, 30)));
        assert_eq!(coverage.reach(35), Some(40));
        assert_eq!(coverage.reach(25), None);
    }

    #[test]
    fn what_is_uncovered_is_the_sum_of_the_gaps() {
        let mut coverage = Coverage::new(0);
        assert_eq!((coverage.uncovered(-1), coverage.uncovered(0), coverage.uncovered(50)), (0, 0, 50));
        coverage.cover(Range::new(0, 5));
        coverage.cover(Range::new(10, 20));
        coverage.cover(Range::new(30, 40));
        assert_eq!((coverage.uncovered(40), coverage.uncovered(47), coverage.uncovered(12)), (15, 22, 5));
        coverage.cover(Range::new(0, 47));
        assert_eq!(coverage.uncovered(47), 0);
    }

    #[test]
    fn what_is_given_up_is_told() {
        let mut coverage = Coverage::new(0);
        coverage.cover(Range::new(10, 20));
        coverage.cover(Range::new(30, 40));
        assert_eq!(coverage.give_up_before(25), 15);
        assert_eq!(coverage.frontier(), 25);
        assert_eq!(coverage.give_up_before(25), 0);
    }
}
