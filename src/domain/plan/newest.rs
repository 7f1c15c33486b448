//! The newest stretches and where reading begins, by two clocks of which either may be wrong.

use super::Plan;
use super::clocks::{AGREEMENT, Clocks};
use crate::domain::coverage::Coverage;
use crate::domain::time::Range;

impl Plan {
    /// Once it is known what time it is, reading begins no later than the lookback before that: a local clock that was ahead
    /// when the state was made must not put it off. Where it begins now, if that is earlier than before.
    ///
    /// Only as long as nothing has been read, and only before the zero line.
    pub fn begin_by(&mut self, clocks: Clocks) -> Option<i64> {
        let earlier = clocks.earlier().seconds();
        let start = earlier - self.settings.initial_lookback;
        // What was read before it happened does not count.
        let nothing_read = self.coverage.is_empty() || self.coverage.start() > earlier;
        // What was forgotten is never asked for again, so where reading begins is not to be moved before it.
        let nothing_forgotten = self.floor <= self.coverage.start();
        if start >= self.coverage.start() || !nothing_read || !nothing_forgotten {
            return None;
        }
        self.coverage = Coverage::new(start);
        self.floor = start;
        self.newest_end = start - 1;
        Some(start)
    }

    /// No range begins before this second.
    pub fn begins(&self) -> i64 {
        self.coverage.start().max(self.floor)
    }

    /// What is to be read at every poll: the newest stretch.
    ///
    /// It reaches back by the overlap, and further to join what was read before if that is a matter of two intervals.
    /// Where the clocks differ there is one that ends at either of their ideas of now, so that the right one is read
    /// whichever is wrong; these are one stretch if they touch.
    ///
    /// As long as no zero line is drawn (`counting` is false), what lies between the two is read as well, as far back as
    /// will ever be asked for: else it would be new when the clocks agree again.
    pub fn newest(&self, clocks: Clocks, counting: bool) -> Vec<Range> {
        let (earlier, later) = (clocks.earlier().seconds(), clocks.later().seconds());
        let begins = self.begins();
        let overlap = self.settings.overlap;
        let read = self.coverage.reach(earlier - overlap).unwrap_or(self.newest_end);
        let start = self.joining(earlier - overlap, read);
        let start_of_later = match (counting, self.ahead.last()) {
            (false, _) => later - self.settings.horizon,
            (true, Some(read)) => self.joining(later - overlap, read.end),
            (true, None) => later - overlap,
        };
        // A clock that went back behind the floor finds nothing to ask for but the floor itself.
        let from = |start: i64, end: i64| Range::new(start.max(begins), end.max(start).max(begins));
        if start_of_later <= earlier {
            return vec![from(start, later)];
        }
        let mut stretches = vec![from(start_of_later, later)];
        if earlier >= begins {
            stretches.insert(0, from(start, earlier));
        }
        stretches
    }

    /// Where to begin instead of at `start` to join what was read until `read`. That is read again for as long as the
    /// overlap, for what was listed late is still out.
    fn joining(&self, start: i64, read: i64) -> i64 {
        if read < start && start - read <= 2 * self.settings.interval { read - self.settings.overlap } else { start }
    }

    /// Whether these stretches end at what both clocks show now. If not, the clocks turned out otherwise as they were read.
    pub fn are_newest(&self, stretches: &[Range], clocks: Clocks) -> bool {
        let (earlier, later) = (clocks.earlier().seconds(), clocks.later().seconds());
        let read = |second: i64| stretches.iter().any(|range| range.start <= second && second <= range.end);
        (earlier < self.begins() || read(earlier)) && (later < self.begins() || read(later))
    }

    /// The newest stretches have been walked completely; the walks began at `clocks`.
    pub fn newest_read(&mut self, stretches: &[Range], clocks: Clocks, counting: bool) {
        let earlier = clocks.earlier().seconds();
        for stretch in stretches {
            self.read(*stretch, clocks);
        }
        if let Some(last) = stretches.last() {
            self.newest_end = last.end.min(earlier);
        }
        if clocks.agree() {
            return;
        }
        // Its last minutes are left out: by so much the clocks may differ that are said to agree.
        let sure = clocks.later().seconds() - AGREEMENT / 1000;
        for stretch in stretches {
            // If the later clock is right, what lies before the first reading has passed the horizon.
            let start = if counting { stretch.start.max(earlier) } else { earlier };
            let end = stretch.end.min(sure);
            match self.ahead.last_mut() {
                _ if start >= end => {}
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => self.ahead.push(Range::new(start, end)),
            }
        }
    }

    /// The clocks agree again. If it was the later one that was right all along, what was read by it is read.
    pub fn clocks_agree(&mut self, later_was_right: bool, clocks: Clocks) {
        for range in std::mem::take(&mut self.ahead) {
            if later_was_right {
                self.read(range, clocks);
            }
        }
    }
}
