//! How long things took: an HDR histogram beside what HDR cannot give.
//!
//! HDR keeps no sum, and its bins straddle a bucket bound. So each distribution also holds the exact sum, the exact
//! count at or below every configured bound, and the exact counts of exponential buckets (the native histograms of
//! Prometheus and the exponential ones of OpenTelemetry share their indexing but for an offset of one).

mod exemplar;
mod parts;
mod window;

use std::fmt;
use std::sync::Arc;

use hdrhistogram::Histogram;

use super::time::UnixMillis;
pub use exemplar::{EXEMPLAR_LABEL, Exemplar};
pub use parts::DistributionParts;

/// The longest time that is believed, milliseconds: the largest integer that every JSON reader keeps exact.
pub const MAX_MILLIS: u64 = (1 << 53) - 1;

/// Significant decimal digits of the HDR histogram; two keep every percentile within 1 %.
const HDR_DIGITS: u8 = 2;

/// What a family of distributions counts besides HDR, shared by all of its pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    counted: Box<[u64]>,
    shown: Box<[u64]>,
    schema: i8,
}

impl Layout {
    /// A layout that counts and shows these bounds (milliseconds, any order) and counts exponential buckets at `schema`
    /// (2^schema buckets per doubling, -4 to 8).
    pub fn new(bounds: impl IntoIterator<Item = u64>, schema: i8) -> Self {
        let shown = sorted(bounds);
        Self { counted: shown.clone(), shown, schema: schema.clamp(-4, 8) }
    }

    /// This layout, which goes on counting the bounds that `earlier` counted without showing them (rule **bounds**).
    pub fn continuing(&self, earlier: &[u64]) -> Self {
        let counted = sorted(self.shown.iter().chain(earlier).copied());
        Self { counted, shown: self.shown.clone(), schema: self.schema }
    }

    /// Every bound that is counted, ascending, milliseconds.
    pub fn counted(&self) -> &[u64] {
        &self.counted
    }

    /// The bounds that are shown, ascending, milliseconds.
    pub fn shown(&self) -> &[u64] {
        &self.shown
    }

    /// Schema of the exponential buckets.
    pub const fn schema(&self) -> i8 {
        self.schema
    }
}

fn sorted(bounds: impl IntoIterator<Item = u64>) -> Box<[u64]> {
    let mut bounds: Vec<u64> = bounds.into_iter().collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds.into_boxed_slice()
}

/// Times of one series: count, sum and buckets exact, percentiles within 1 %.
#[derive(Clone)]
pub struct Distribution {
    layout: Arc<Layout>,
    /// When counting began.
    start: UnixMillis,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
    zeros: u64,
    /// One count per counted bound (above the bound before it); what exceeds the last bound is `count` less these.
    at_bound: Vec<u64>,
    /// Sorted by index; index i holds values in (base^i, base^(i+1)] seconds.
    exponential: Vec<(i32, u64)>,
    /// Made at the first value: most pairs are quiet. Its counts are of 32 bits to halve the memory.
    hdr: Option<Box<Histogram<u32>>>,
    /// Of this process only: what a checkpoint keeps has none.
    exemplars: exemplar::Exemplars,
}

impl fmt::Debug for Distribution {
    /// The parts that say something: an HDR histogram has thousands of empty bins.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts().fmt(f)
    }
}

impl Distribution {
    /// An empty distribution that counts from `start`.
    pub fn new(layout: Arc<Layout>, start: UnixMillis) -> Self {
        let at_bound = vec![0; layout.counted.len()];
        Self {
            layout,
            start,
            count: 0,
            sum: 0,
            min: u64::MAX,
            max: 0,
            zeros: 0,
            at_bound,
            exponential: Vec::new(),
            hdr: None,
            exemplars: exemplar::Exemplars::default(),
        }
    }

    /// Counts one time in milliseconds; above [`MAX_MILLIS`] it counts as that.
    pub fn record(&mut self, millis: u64) {
        let millis = millis.min(MAX_MILLIS);
        self.count += 1;
        self.sum += u128::from(millis);
        self.min = self.min.min(millis);
        self.max = self.max.max(millis);
        let bound = self.layout.counted.partition_point(|bound| *bound < millis);
        if let Some(count) = self.at_bound.get_mut(bound) {
            *count += 1;
        }
        if millis == 0 {
            self.zeros += 1;
        } else {
            let index = exponential_index(millis, self.layout.schema);
            match self.exponential.binary_search_by_key(&index, |(index, _)| *index) {
                Ok(at) => self.exponential[at].1 += 1,
                Err(at) => self.exponential.insert(at, (index, 1)),
            }
        }
        record(self.hdr.get_or_insert_with(new_hdr), millis);
    }

    /// When counting began.
    pub const fn start(&self) -> UnixMillis {
        self.start
    }

    /// The layout by which it counts.
    pub const fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// How many times were counted.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Exact sum, milliseconds.
    pub const fn sum_millis(&self) -> u128 {
        self.sum
    }

    /// The sum in seconds, the nearest number to the exact one.
    pub fn sum_seconds(&self) -> f64 {
        self.sum as f64 / 1000.0
    }

    /// Least and greatest time in milliseconds; `None` when nothing was counted, or they are not known of a window.
    pub fn extremes(&self) -> Option<(u64, u64)> {
        (self.count > 0 && self.min <= self.max).then_some((self.min, self.max))
    }

    /// The shown bounds in milliseconds, ascending, each with the exact count of times at or below it. The count of
    /// `+Inf` is [`Distribution::count`].
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut counted = self.layout.counted.iter().zip(&self.at_bound).peekable();
        let mut below = 0;
        self.layout.shown.iter().map(move |bound| {
            while let Some((_, count)) = counted.next_if(|(at, _)| *at <= bound) {
                below += count;
            }
            (*bound, below)
        })
    }

    /// The time at this quantile (0 to 1) in milliseconds, within 1 %; `None` when nothing was counted.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let hdr = self.hdr.as_ref()?;
        Some(hdr.value_at_quantile(quantile).clamp(self.min, self.max))
    }

    /// The times at these quantiles, which ascend, each as [`Distribution::quantile`] tells it, in one pass; nothing when
    /// nothing was counted.
    pub fn quantiles<'a>(&'a self, quantiles: &'a [f64]) -> impl Iterator<Item = u64> + 'a {
        let hdr = self.hdr.iter().filter(|_| self.count > 0);
        let told = hdr.flat_map(|hdr| hdr.value_at_quantiles(quantiles.iter().copied()));
        told.map(|millis| millis.clamp(self.min, self.max))
    }

    /// Exponential buckets at the layout's schema, or coarser where there would be more than `most` from the first to the
    /// last, empty ones between included: they are to be written one after the other.
    pub fn exponential(&self, most: usize) -> Exponential {
        self.coarsened(|shift| match (self.exponential.first(), self.exponential.last()) {
            (Some((first, _)), Some((last, _))) => (((last >> shift) - (first >> shift)) as usize) < most.max(2),
            _ => true,
        })
    }

    /// Exponential buckets at the layout's schema, or coarser where more than `most` of them would have a count: empty
    /// ones need not be written.
    pub fn exponential_sparse(&self, most: usize) -> Exponential {
        self.coarsened(|shift| {
            let indices = self.exponential.iter().map(|(index, _)| index >> shift);
            let steps = indices.clone().zip(indices.skip(1)).filter(|(before, after)| before != after).count();
            steps < most
        })
    }

    /// Exponential buckets, each 2^shift of those that are counted, by the least shift that fits or the coarsest schema.
    fn coarsened(&self, fits: impl Fn(i32) -> bool) -> Exponential {
        let (mut schema, mut shift) = (self.layout.schema, 0);
        while schema > -4 && !fits(shift) {
            shift += 1;
            schema -= 1;
        }
        let mut counts: Vec<(i32, u64)> = Vec::new();
        for (index, count) in &self.exponential {
            match counts.last_mut() {
                Some((at, sum)) if *at == index >> shift => *sum += count,
                _ => counts.push((index >> shift, *count)),
            }
        }
        Exponential { schema, zeros: self.zeros, counts }
    }
}

fn new_hdr() -> Box<Histogram<u32>> {
    // Two digits are in the range that the crate allows (0 to 5), so this cannot fail; it grows with what it is given.
    Box::new(Histogram::new(HDR_DIGITS).expect("two significant digits are allowed"))
}

/// Counts a time; the histogram grows as far as it needs to.
fn record(hdr: &mut Histogram<u32>, millis: u64) {
    let bins = hdr.distinct_values();
    // Growing fails only where a count of bins does not fit a usize: not below MAX_MILLIS.
    if hdr.record(millis).is_err() {
        hdr.saturating_record(millis);
    }
    if hdr.distinct_values() > bins {
        // It grew, which it does a few times in its life, and to more than it needs; a copy has no room to spare.
        *hdr = hdr.clone();
    }
}

/// Exponential buckets of positive times in seconds.
///
/// Bucket `i` holds `base^i < t <= base^(i+1)` with `base = 2^(2^-schema)`: the indexing of the OpenTelemetry data
/// model. Prometheus calls the same bucket `i + 1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exponential {
    /// 2^schema buckets per doubling.
    pub schema: i8,
    /// Times of exactly 0.
    pub zeros: u64,
    /// Index and count, ascending; an index without a count is left out.
    pub counts: Vec<(i32, u64)>,
}

/// The index of the bucket that holds this time (above 0).
///
/// No time of whole milliseconds but a power of two lies on a bound, and for these `log2` is exact.
fn exponential_index(millis: u64, schema: i8) -> i32 {
    let seconds = millis as f64 / 1000.0;
    // 2^schema, written as what a float of that value is made of: this is done for every time that is counted.
    let scale = f64::from_bits(u64::from((1023 + i16::from(schema)).unsigned_abs()) << 52);
    // Times reach from 2^-10 to 2^44 seconds: within an i32 at every schema.
    (seconds.log2() * scale).ceil() as i32 - 1
}

/// Percentiles of a handful of recent times, by HDR; `None` for each when there are none.
pub fn percentiles<const N: usize>(times: impl IntoIterator<Item = u64>, percentiles: [f64; N]) -> [Option<u64>; N] {
    let mut hdr = None;
    let (mut least, mut greatest) = (u64::MAX, 0);
    for millis in times {
        let millis = millis.min(MAX_MILLIS);
        (least, greatest) = (least.min(millis), greatest.max(millis));
        record(hdr.get_or_insert_with(new_hdr), millis);
    }
    // A bin tells its upper end, which may lie beyond what was measured.
    percentiles.map(|percentile| hdr.as_ref().map(|hdr| hdr.value_at_percentile(percentile).clamp(least, greatest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn distribution(bounds: &[u64], schema: i8, values: &[u64]) -> Distribution {
        let mut distribution = Distribution::new(Arc::new(Layout::new(bounds.iter().copied(), schema)), UnixMillis(0));
        values.iter().for_each(|value| distribution.record(*value));
        distribution
    }

    #[test]
    fn a_value_on_a_bound_belongs_to_it() {
        let counted = distribution(&[1000, 2000], 3, &[0, 1000, 1001, 2000, 2001]);
        assert_eq!(counted.buckets().collect::<Vec<_>>(), [(1000, 2), (2000, 4)]);
        assert_eq!(counted.count(), 5);
    }

    #[test]
    fn powers_of_two_lie_in_the_bucket_below_them() {
        // 1 s = base^0 is the upper, inclusive end of bucket -1 (OpenTelemetry data model, "exponential scale").
        for schema in -4..=8 {
            assert_eq!(exponential_index(1000, schema), -1, "1 s at schema {schema}");
        }
        assert_eq!(exponential_index(2000, 3), 7);
        assert_eq!(exponential_index(2001, 3), 8);
        assert_eq!(exponential_index(125, 0), -4);
    }

    #[test]
    fn bounds_that_are_no_longer_shown_are_still_counted() {
        let layout = Layout::new([1000, 3000], 3).continuing(&[2000]);
        assert_eq!(layout.counted(), [1000, 2000, 3000]);
        let mut counted = Distribution::new(Arc::new(layout), UnixMillis(0));
        [500, 1500, 2500].into_iter().for_each(|value| counted.record(value));
        assert_eq!(counted.buckets().collect::<Vec<_>>(), [(1000, 1), (3000, 3)]);
    }

    proptest! {
        #[test]
        fn count_sum_and_buckets_are_exact(values in prop::collection::vec(0..MAX_MILLIS, 0..200), bounds in prop::collection::vec(0..100_000u64, 0..12)) {
            let counted = distribution(&bounds, 3, &values);
            prop_assert_eq!(counted.sum_millis(), values.iter().map(|v| u128::from(*v)).sum::<u128>());
            for (bound, count) in counted.buckets() {
                prop_assert_eq!(count, values.iter().filter(|v| **v <= bound).count() as u64);
            }
        }

        #[test]
        fn quantiles_are_within_one_percent(mut values in prop::collection::vec(0..MAX_MILLIS, 1..300), at in 0..300usize) {
            let counted = distribution(&[], 3, &values);
            values.sort_unstable();
            let rank = at % values.len();
            let exact = values[rank] as f64;
            // The middle of the rank's share, where no rounding of the quantile can reach the next value.
            let told = counted.quantile((rank as f64 + 0.5) / values.len() as f64).unwrap() as f64;
            prop_assert!((told - exact).abs() <= exact * 0.01, "told {told}, exact {exact}");
        }

        #[test]
        fn quantiles_are_told_together_as_alone(values in prop::collection::vec(0..MAX_MILLIS, 0..200), mut quantiles in prop::collection::vec(0.0..=1.0f64, 0..40)) {
            quantiles.sort_by(f64::total_cmp);
            let counted = distribution(&[], 3, &values);
            let alone: Vec<u64> = quantiles.iter().filter_map(|quantile| counted.quantile(*quantile)).collect();
            prop_assert_eq!(counted.quantiles(&quantiles).collect::<Vec<_>>(), alone);
        }

        #[test]
        fn exponential_buckets_hold_what_they_say(values in prop::collection::vec(0..MAX_MILLIS, 1..300), schema in -4..=8i8, most in 20..200usize) {
            let counted = distribution(&[], schema, &values);
            let (buckets, sparse) = (counted.exponential(most), counted.exponential_sparse(most));
            prop_assert!(buckets.schema <= sparse.schema && sparse.schema <= schema);
            // The same times as the other's, in buckets that are parts of these.
            let mut merged: Vec<(i32, u64)> = Vec::new();
            for (index, count) in &sparse.counts {
                let index = index >> (sparse.schema - buckets.schema);
                match merged.last_mut() {
                    Some((at, sum)) if *at == index => *sum += count,
                    _ => merged.push((index, *count)),
                }
            }
            prop_assert_eq!((&merged, sparse.zeros), (&buckets.counts, buckets.zeros));
            prop_assert!(sparse.counts.len() <= most || sparse.schema == -4);
            // No coarser than need be.
            let finer: std::collections::BTreeSet<i32> = values.iter().filter(|v| **v > 0).map(|v| exponential_index(*v, sparse.schema + 1)).collect();
            prop_assert!(sparse.schema == schema || finer.len() > most);
            let total = buckets.counts.iter().map(|(_, count)| count).sum::<u64>() + buckets.zeros;
            prop_assert_eq!(total, values.len() as u64);
            if let (Some(first), Some(last)) = (buckets.counts.first(), buckets.counts.last()) {
                prop_assert!(((last.0 - first.0) as usize) < most || buckets.schema == -4);
            }
            let step = 2f64.powi(-i32::from(buckets.schema));
            for (index, count) in &buckets.counts {
                let (low, high) = (f64::from(*index) * step, f64::from(index + 1) * step);
                let inside = values.iter().filter(|v| **v > 0).map(|v| (*v as f64 / 1000.0).log2()).filter(|log| *log > low && *log <= high).count();
                prop_assert_eq!(inside as u64, *count, "bucket {}", index);
            }
        }
    }
}
