//! What a distribution counted since an earlier look at it.

use std::sync::Arc;

use super::{Distribution, Exponential, Layout};
use crate::domain::time::UnixMillis;

impl Distribution {
    /// What windows are reckoned from: the counts, without the percentiles, which take most of the room.
    pub fn counts(&self) -> Self {
        Self {
            layout: Arc::clone(&self.layout),
            at_bound: self.at_bound.clone(),
            exponential: self.exponential.clone(),
            hdr: None,
            exemplars: self.exemplars.newest(),
            ..*self
        }
    }

    /// What was counted since it held what `earlier` holds, with the exemplars of that.
    ///
    /// Count, sum, zeros and every bucket are exact. When bounds or schema were changed in between, which takes a restart,
    /// a bound that `earlier` did not count gets its share of the bucket that it divides, and exponential buckets are as
    /// coarse as the coarser ones of both. Least and greatest are known only of a window that holds everything.
    pub fn since(&self, earlier: &Self) -> Self {
        let count = self.count.saturating_sub(earlier.count);
        let zeros = self.zeros.saturating_sub(earlier.zeros).min(count);
        let (min, max) = if earlier.count == 0 { (self.min, self.max) } else { (u64::MAX, 0) };
        let Exponential { schema, counts: exponential, .. } = self.exponential_since(earlier, count - zeros);
        let layout = if schema == self.layout.schema {
            Arc::clone(&self.layout)
        } else {
            Arc::new(Layout { schema, ..Layout::clone(&self.layout) })
        };
        Self {
            layout,
            start: self.start,
            count,
            sum: self.sum.saturating_sub(earlier.sum),
            min,
            max,
            zeros,
            at_bound: self.at_bound_since(earlier, count),
            exponential,
            hdr: None,
            exemplars: self.exemplars.since(&earlier.exemplars),
        }
    }

    /// The same, told as beginning at `start`.
    pub(in crate::domain) fn starting(self, start: UnixMillis) -> Self {
        Self { start, ..self }
    }

    /// Counts by bound, which together are at most `count`.
    fn at_bound_since(&self, earlier: &Self, count: u64) -> Vec<u64> {
        let mut known = earlier.layout.counted.iter().zip(sums(&earlier.at_bound)).peekable();
        let (mut at_bound, mut divided) = (Vec::with_capacity(self.at_bound.len()), Vec::new());
        // Up to the last bound that both counted: in all, and in the window.
        let (mut all_before, mut before) = (0, 0);
        for (bound, all) in self.layout.counted.iter().zip(sums(&self.at_bound)) {
            while known.next_if(|(at, _)| *at < bound).is_some() {}
            let Some((_, told)) = known.next_if(|(at, _)| *at == bound) else {
                divided.push(all);
                continue;
            };
            // Estimates of a bound that went and came again may contradict each other by a little.
            let now = all.saturating_sub(told).clamp(before, count);
            divide(&mut divided, &mut at_bound, (all_before, all), (before, now));
            (all_before, before) = (all, now);
        }
        let beyond = at_bound.len() + divided.len();
        divide(&mut divided, &mut at_bound, (all_before, self.count), (before, count));
        // What exceeds the last bound is told by the count.
        at_bound.truncate(beyond);
        at_bound
    }

    /// Exponential buckets that together hold `positive`.
    fn exponential_since(&self, earlier: &Self, positive: u64) -> Exponential {
        let schema = self.layout.schema.min(earlier.layout.schema);
        let all = self.coarsened(|shift| shift >= i32::from(self.layout.schema - schema)).counts;
        let told = earlier.coarsened(|shift| shift >= i32::from(earlier.layout.schema - schema)).counts;
        let mut told = told.into_iter().peekable();
        let mut counts = Vec::new();
        let (mut all_below, mut told_below, mut below) = (0, 0, 0);
        for (index, count) in all {
            all_below += count;
            while let Some((_, count)) = told.next_if(|(at, _)| *at <= index) {
                told_below += count;
            }
            // A schema that was made finer began with an estimate, which may contradict what was told by a little.
            let now = u64::saturating_sub(all_below, told_below).clamp(below, positive);
            if now > below {
                counts.push((index, now - below));
            }
            below = now;
        }
        Exponential { schema, zeros: 0, counts }
    }
}

/// Sums of the counts up to each place.
fn sums(counts: &[u64]) -> impl Iterator<Item = u64> + '_ {
    counts.iter().scan(0, |sum, count| {
        *sum += count;
        Some(*sum)
    })
}

/// Adds the counts at the bounds between two that both counted, and at the latter: `divided` holds how many are at or
/// below each in all, and of the window's the same share is.
fn divide(divided: &mut Vec<u64>, at_bound: &mut Vec<u64>, (all_before, all): (u64, u64), (before, now): (u64, u64)) {
    let mut last = before;
    for at_most in divided.drain(..) {
        let share = u128::from(now - before) * u128::from(at_most.saturating_sub(all_before));
        let share = share.checked_div(u128::from(all - all_before)).unwrap_or(0);
        let sum = before + u64::try_from(share).unwrap_or(u64::MAX).min(now - before);
        at_bound.push(sum - last);
        last = sum;
    }
    at_bound.push(now - last);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::UnixMillis;
    use proptest::prelude::*;

    fn counted(bounds: &[u64], schema: i8, values: &[u64]) -> Distribution {
        let layout = Arc::new(Layout::new(bounds.iter().copied(), schema));
        let mut counted = Distribution::new(layout, UnixMillis(7));
        values.iter().for_each(|value| counted.record(*value));
        counted
    }

    /// The same counts by other settings, as a restart makes it.
    fn restarted(before: &Distribution, bounds: &[u64], schema: i8) -> Distribution {
        let layout = Layout::new(bounds.iter().copied(), schema).continuing(before.layout.counted());
        Distribution::from_parts(before.parts(), Arc::new(layout))
    }

    /// What must hold of every window, whatever was changed.
    fn is_sound(window: &Distribution) -> Result<(), TestCaseError> {
        let below: Vec<u64> = window.buckets().map(|(_, count)| count).collect();
        prop_assert!(below.is_sorted() && below.last().is_none_or(|last| *last <= window.count()));
        let buckets = window.exponential(160);
        prop_assert_eq!(buckets.zeros + buckets.counts.iter().map(|(_, count)| count).sum::<u64>(), window.count());
        Ok(())
    }

    #[test]
    fn a_window_tells_its_extremes_only_when_it_holds_everything() {
        let all = counted(&[1_000], 3, &[5, 2_000]);
        let nothing = counted(&[1_000], 3, &[]);
        assert_eq!(all.since(&nothing).extremes(), Some((5, 2_000)));
        assert_eq!(all.since(&counted(&[1_000], 3, &[5])).extremes(), None);
        assert_eq!(nothing.since(&nothing).extremes(), None);
    }

    #[test]
    fn a_bound_that_was_not_counted_before_gets_its_share() {
        let before = counted(&[1_000, 9_000], 3, &[2_000; 4]);
        let mut now = restarted(&before, &[5_000], 3);
        (0..3).for_each(|_| now.record(8_000));
        now.record(20_000);
        let window = now.since(&before.counts());
        // Of seven between 1 s and 9 s four were at most 5 s, so of three that are new one is taken to be.
        assert_eq!(window.buckets().collect::<Vec<_>>(), [(5_000, 1)]);
        assert_eq!((window.count(), window.at_bound.clone()), (4, vec![0, 1, 2]));
    }

    #[test]
    fn exemplars_are_those_of_the_window() {
        let mut times = counted(&[1_000, 2_000], 3, &[]);
        let mut count = |millis, id: &str, now| {
            let before = times.counts();
            times.record_conversation(millis, &id.into(), UnixMillis(now), UnixMillis(now));
            let window = times.since(&before);
            window.exemplars().map(|exemplar| exemplar.conversation.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(count(500, "a", 10), ["a"]);
        assert_eq!(count(1_500, "b", 11), ["b"]);
    }

    proptest! {
        #[test]
        fn windows_add_up(values in prop::collection::vec(0..super::super::MAX_MILLIS, 0..120), cut in 0..120usize, schema in -4..=8i8) {
            let (bounds, cut) = ([250, 1_000, 300_000], cut.min(values.len()));
            let (before, all) = (counted(&bounds, schema, &values[..cut]), counted(&bounds, schema, &values));
            let window = all.since(&before.counts());
            let alone = counted(&bounds, schema, &values[cut..]);
            prop_assert_eq!(window.count(), alone.count());
            prop_assert_eq!(window.sum_millis(), alone.sum_millis());
            prop_assert_eq!(window.buckets().collect::<Vec<_>>(), alone.buckets().collect::<Vec<_>>());
            prop_assert_eq!(window.exponential(160), alone.exponential(160));
        }

        #[test]
        fn windows_over_changed_settings_are_sound(
            values in prop::collection::vec(0..1_000_000u64, 0..60),
            cuts in (0..60usize, 0..60usize),
            bounds in (prop::collection::vec(0..1_000_000u64, 0..5), prop::collection::vec(0..1_000_000u64, 0..5)),
            schemas in (-4..=8i8, -4..=8i8),
        ) {
            let (told, first) = (cuts.0.min(cuts.1).min(values.len()), cuts.0.max(cuts.1).min(values.len()));
            let mut before = counted(&bounds.0, schemas.0, &values[..told]);
            let earlier = before.counts();
            values[told..first].iter().for_each(|value| before.record(*value));
            let mut now = restarted(&before, &bounds.1, schemas.1);
            values[first..].iter().for_each(|value| now.record(*value));
            let window = now.since(&earlier);
            prop_assert_eq!(window.count(), (values.len() - told) as u64);
            prop_assert_eq!(window.sum_millis(), values[told..].iter().map(|value| u128::from(*value)).sum::<u128>());
            is_sound(&window)?;
            // What both counted is exact.
            for bound in earlier.layout.counted() {
                let window = Layout { shown: [*bound].into(), ..Layout::clone(&window.layout) };
                let below = Distribution { layout: Arc::new(window), ..now.since(&earlier) };
                let exact = values[told..].iter().filter(|value| *value <= bound).count() as u64;
                prop_assert_eq!(below.buckets().next(), Some((*bound, exact)));
            }
        }
    }
}
