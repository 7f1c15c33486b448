//! A distribution taken apart, to be kept, and put together again under the bounds of today (rule **bounds**).

use std::sync::Arc;

use hdrhistogram::Histogram;

use super::exemplar::Exemplars;
use super::{Distribution, Layout, exponential_index, new_hdr};
use crate::domain::time::UnixMillis;

/// Everything that a distribution holds, as plain values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DistributionParts {
    /// When counting began.
    pub start: UnixMillis,
    /// How many times were counted.
    pub count: u64,
    /// Exact sum, milliseconds.
    pub sum: u128,
    /// Least time, milliseconds; meaningless when nothing was counted.
    pub min: u64,
    /// Greatest time, milliseconds.
    pub max: u64,
    /// Times of exactly 0.
    pub zeros: u64,
    /// Bounds that were counted, ascending, milliseconds.
    pub bounds: Vec<u64>,
    /// For each bound, times above the bound before it.
    pub at_bound: Vec<u64>,
    /// Schema of the exponential buckets.
    pub schema: i8,
    /// Index and count, ascending.
    pub exponential: Vec<(i32, u64)>,
    /// A time of each HDR bin that is not empty, and its count.
    pub hdr: Vec<(u64, u32)>,
}

impl Distribution {
    /// Takes the distribution apart.
    pub fn parts(&self) -> DistributionParts {
        let bins = self.hdr.iter().flat_map(|hdr| hdr.iter_recorded());
        DistributionParts {
            start: self.start,
            count: self.count,
            sum: self.sum,
            min: self.min,
            max: self.max,
            zeros: self.zeros,
            bounds: self.layout.counted.to_vec(),
            at_bound: self.at_bound.clone(),
            schema: self.layout.schema,
            exponential: self.exponential.clone(),
            hdr: bins.map(|bin| (bin.value_iterated_to(), bin.count_at_value())).collect(),
        }
    }

    /// Puts a distribution together, to count on by this layout, which counts at least the bounds of the parts.
    ///
    /// A bound that was not counted before starts from HDR, between its neighbours; it is exact for what comes now.
    pub fn from_parts(parts: DistributionParts, layout: Arc<Layout>) -> Self {
        let mut hdr: Option<Box<Histogram<u32>>> = None;
        for (value, count) in &parts.hdr {
            let hdr = hdr.get_or_insert_with(new_hdr);
            if hdr.record_n(*value, *count).is_err() {
                hdr.saturating_record_n(*value, *count);
            }
        }
        let at_bound = relaid(&parts, &layout, hdr.as_deref());
        let exponential = rescaled(&parts, layout.schema);
        let DistributionParts { start, count, sum, min, max, zeros, .. } = parts;
        let exemplars = Exemplars::default();
        Self { layout, start, count, sum, min, max, zeros, at_bound, exponential, hdr, exemplars }
    }
}

/// Counts by the bounds of `layout`.
fn relaid(parts: &DistributionParts, layout: &Layout, hdr: Option<&Histogram<u32>>) -> Vec<u64> {
    let mut known = parts.bounds.iter().zip(&parts.at_bound).peekable();
    let (mut exact, mut before) = (0, 0);
    layout
        .counted
        .iter()
        .map(|bound| {
            while let Some((_, count)) = known.next_if(|(at, _)| *at <= bound) {
                exact += count;
            }
            let below = if parts.bounds.binary_search(bound).is_ok() {
                exact
            } else {
                let most = known.peek().map_or(parts.count, |(_, count)| exact + *count);
                hdr.map_or(0, |hdr| hdr.count_between(0, *bound)).clamp(before.max(exact), most)
            };
            below - std::mem::replace(&mut before, below)
        })
        .collect()
}

/// Exponential buckets at another schema: exact when it is coarser, from HDR when it is finer.
fn rescaled(parts: &DistributionParts, schema: i8) -> Vec<(i32, u64)> {
    let moved: Vec<(i32, u64)> = if schema <= parts.schema {
        let shift = parts.schema - schema;
        parts.exponential.iter().map(|(index, count)| (index >> shift, *count)).collect()
    } else {
        let bins = parts.hdr.iter().filter(|(value, _)| *value > 0);
        bins.map(|(value, count)| (exponential_index(*value, schema), u64::from(*count))).collect()
    };
    let mut buckets: Vec<(i32, u64)> = Vec::with_capacity(moved.len());
    for (index, count) in moved {
        match buckets.last_mut() {
            Some((at, sum)) if *at == index => *sum += count,
            _ => buckets.push((index, count)),
        }
    }
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(layout: &Arc<Layout>, values: &[u64]) -> Distribution {
        let mut counted = Distribution::new(Arc::clone(layout), UnixMillis(7));
        values.iter().for_each(|value| counted.record(*value));
        counted
    }

    #[test]
    fn bounds_once_counted_stay_exact_and_new_ones_start_between_their_neighbours() {
        let old = Arc::new(Layout::new([1_000, 10_000], 3));
        let parts = counted(&old, &[500, 2_000, 3_000, 9_000, 20_000]).parts();
        let new = Arc::new(Layout::new([2_500, 10_000, 60_000], 3).continuing(&parts.bounds));
        let mut now = Distribution::from_parts(parts, new);
        assert_eq!(now.buckets().collect::<Vec<_>>(), [(2_500, 2), (10_000, 4), (60_000, 5)]);
        now.record(2_600);
        assert_eq!(now.buckets().collect::<Vec<_>>(), [(2_500, 2), (10_000, 5), (60_000, 6)]);
        assert_eq!(now.start(), UnixMillis(7));
        // The bound that is shown no longer is exact when it is shown again.
        let again = Arc::new(Layout::new([1_000], 3).continuing(&now.parts().bounds));
        assert_eq!(Distribution::from_parts(now.parts(), again).buckets().collect::<Vec<_>>(), [(1_000, 1)]);
    }

    proptest! {
        #[test]
        fn taking_apart_and_putting_together_changes_nothing(values in prop::collection::vec(0..super::super::MAX_MILLIS, 0..100)) {
            let layout = Arc::new(Layout::new([1_000, 100_000], 3));
            let before = counted(&layout, &values);
            let after = Distribution::from_parts(before.parts(), layout);
            prop_assert_eq!(before.parts(), after.parts());
            prop_assert_eq!(before.quantile(0.5), after.quantile(0.5));
        }

        #[test]
        fn bounds_of_any_kind_stay_monotone_and_end_at_the_count(
            values in prop::collection::vec(0..1_000_000u64, 0..100),
            old in prop::collection::vec(0..1_000_000u64, 0..6),
            new in prop::collection::vec(0..1_000_000u64, 0..6),
        ) {
            let parts = counted(&Arc::new(Layout::new(old.clone(), 3)), &values).parts();
            let now = Distribution::from_parts(parts.clone(), Arc::new(Layout::new(new, 3).continuing(&parts.bounds)));
            let mut before = 0;
            for (bound, count) in now.buckets() {
                prop_assert!(before <= count && count <= now.count());
                if old.contains(&bound) {
                    prop_assert_eq!(count, values.iter().filter(|value| **value <= bound).count() as u64);
                }
                before = count;
            }
        }

        #[test]
        fn another_schema_keeps_the_count(values in prop::collection::vec(0..1_000_000u64, 0..100), old in -4..=8i8, new in -4..=8i8) {
            let parts = counted(&Arc::new(Layout::new([], old)), &values).parts();
            let now = Distribution::from_parts(parts, Arc::new(Layout::new([], new)));
            let buckets = now.exponential(160);
            prop_assert_eq!(buckets.zeros + buckets.counts.iter().map(|(_, count)| count).sum::<u64>(), values.len() as u64);
            prop_assert!(buckets.counts.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
}
