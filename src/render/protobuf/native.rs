//! Native histograms: from exponential buckets to spans and differences.
//!
//! Source: "Native Histograms", the specification on prometheus.io.

use super::messages::BucketSpan;
use crate::domain::distribution::Exponential;

/// The most buckets of a native histogram, as of the exponential ones in OTLP; with more of them it gets coarser. Here only
/// those count that are written: a short time and a long one take two, however far apart they lie.
pub(super) const MOST_BUCKETS: usize = 160;

/// Up to where a time counts as zero: 2^-128 s, as Prometheus' own libraries have it, and below the millisecond that is the
/// least time above zero. Were it 0, a histogram without an observation would be taken for a classic one.
pub(super) const ZERO_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);

/// So many empty buckets in a row cost less than a new span, and may be filled as long as there are not too many in all.
const GAP: i32 = 2;

/// Spans of buckets, and their counts as differences.
pub(super) fn spans(exponential: &Exponential) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas) = (Vec::<BucketSpan>::new(), Vec::with_capacity(exponential.counts.len()));
    let steps = exponential.counts.windows(2).map(|pair| pair[1].0 - pair[0].0 - 1);
    let filled: usize = steps.filter(|gap| *gap <= GAP).map(|gap| gap.unsigned_abs() as usize).sum();
    let widest = if exponential.counts.len() + filled <= MOST_BUCKETS { GAP } else { 0 };
    // The index after the last bucket, and its count.
    let (mut next, mut before) = (0, 0);
    for (index, count) in &exponential.counts {
        // Prometheus names a bucket by its upper bound, OpenTelemetry by its lower one.
        let index = index + 1;
        match spans.last_mut() {
            Some(span) if index - next <= widest => {
                for _ in next..index {
                    deltas.push(-before);
                    before = 0;
                }
                span.length = span.length.map(|length| length + (index - next).unsigned_abs() + 1);
            }
            _ => spans.push(BucketSpan { offset: Some(index - next), length: Some(1) }),
        }
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        deltas.push(count - before);
        (next, before) = (index + 1, count);
    }
    if spans.is_empty() {
        // Says that the histogram is native though it has no bucket yet.
        spans.push(BucketSpan { offset: Some(0), length: Some(0) });
    }
    (spans, deltas)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::distribution::{Distribution, Layout, MAX_MILLIS};
    use crate::domain::time::UnixMillis;

    /// Index and count of every bucket, read as the specification says.
    fn read((spans, deltas): (Vec<BucketSpan>, Vec<i64>)) -> Vec<(i32, i64)> {
        let (mut at, mut count, mut deltas) = (0, 0, deltas.into_iter());
        let mut buckets = Vec::new();
        for span in spans {
            at += span.offset.unwrap();
            for _ in 0..span.length.unwrap() {
                count += deltas.next().unwrap();
                buckets.push((at, count));
                at += 1;
            }
        }
        assert_eq!(deltas.next(), None);
        buckets
    }

    fn exponential(counts: &[(i32, u64)]) -> Exponential {
        Exponential { schema: 3, zeros: 0, counts: counts.to_vec() }
    }

    #[test]
    fn small_gaps_are_filled_and_large_ones_begin_a_span() {
        let (spans, deltas) = spans(&exponential(&[(-5, 3), (-2, 1), (1, 4), (5, 4), (6, 2)]));
        let told: Vec<_> = spans.iter().map(|span| (span.offset.unwrap(), span.length.unwrap())).collect();
        assert_eq!(told, [(-4, 7), (3, 2)]);
        assert_eq!(deltas, [3, -3, 0, 1, -1, 0, 4, 0, -2]);
    }

    #[test]
    fn an_empty_one_has_a_span_that_holds_nothing() {
        assert_eq!(spans(&exponential(&[])), (vec![BucketSpan { offset: Some(0), length: Some(0) }], vec![]));
        assert_eq!(ZERO_THRESHOLD, 2f64.powi(-128));
    }

    #[test]
    fn gaps_stay_open_where_filling_them_would_make_too_many() {
        let every_other: Vec<(i32, u64)> = (0..150).map(|at| (at * 2, 1)).collect();
        let (spans, deltas) = spans(&exponential(&every_other));
        assert_eq!((spans.len(), deltas.len()), (150, 150));
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_counted(values in prop::collection::vec(0..MAX_MILLIS, 0..200), schema in -4..=8i8) {
            let mut times = Distribution::new(Arc::new(Layout::new([], schema)), UnixMillis(0));
            values.iter().for_each(|value| times.record(*value));
            let exponential = times.exponential_sparse(MOST_BUCKETS);
            let buckets = read(spans(&exponential));
            prop_assert!(buckets.len() <= MOST_BUCKETS);
            let base = 2f64.powf(2f64.powi(-i32::from(exponential.schema)));
            for (index, count) in &buckets {
                // Bucket i of Prometheus holds what is above base^(i-1) and at most base^i.
                let (above, most) = (base.powi(index - 1) * 1000.0, base.powi(*index) * 1000.0);
                let inside = |slack: f64| {
                    let (above, most) = (above * (1.0 + slack), most * (1.0 - slack));
                    values.iter().filter(|value| (**value as f64) > above && **value as f64 <= most).count() as i64
                };
                // The bounds as computed here are only nearly those: what lies that close may be in either.
                prop_assert!(inside(1e-9) <= *count && *count <= inside(-1e-9), "bucket {}", index);
            }
            let total: i64 = buckets.iter().map(|(_, count)| count).sum();
            prop_assert_eq!(total as u64 + exponential.zeros, values.len() as u64);
        }
    }
}
