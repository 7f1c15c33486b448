//! Data points: one of a snapshot to one of the OTLP data model.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, DataPointFlags, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
    Histogram, HistogramDataPoint, NumberDataPoint, Sum, exemplar, number_data_point,
};
use prost::Message;

use super::{Export, HistogramKind, Temporality, attribute};
use crate::domain::catalog::{Family, Kind};
use crate::domain::distribution::{Distribution, EXEMPLAR_LABEL};
use crate::domain::gone::Gone;
use crate::domain::snapshot::{Point, Value};
use crate::domain::time::UnixMillis;

/// The most buckets of an exponential histogram (the SDK's default `MaxSize`, and what receivers expect).
const MOST_BUCKETS: usize = 160;

/// The flag of a point that says that its series has left.
const NO_RECORDED_VALUE: u32 = DataPointFlags::NoRecordedValueMask as u32;

/// A data point of any kind.
pub(super) enum AnyPoint {
    Gauge(NumberDataPoint),
    Sum(NumberDataPoint),
    Explicit(HistogramDataPoint),
    Exponential(ExponentialHistogramDataPoint),
}

impl AnyPoint {
    pub(super) fn new(family: &Family, point: &Point<'_>, histograms: HistogramKind, export: &Export<'_>) -> Self {
        let kind = family.kind;
        let attributes = point.labels.iter().map(|(key, value)| attribute(key, (*value).to_owned())).collect();
        let now = export.time(kind);
        let start = match export.temporality {
            // What began while the clock was ahead seems to begin after its points. By the data model a point without a start
            // is a right one and one that ends before it begins is not; a start that moved would be a counter's reset.
            Temporality::Cumulative => point.start.filter(|start| *start <= now),
            // Of pairs the window tells. A series that began while the clock was ahead still begins before its window ends.
            Temporality::Delta { until, .. } if family.of_pairs => point.start.map(|start| start.min(until)),
            Temporality::Delta { since, until } => {
                point.start.map(|start| since.map_or(start, |since| start.max(since)).min(until))
            }
        };
        let start = start.map_or(0, UnixMillis::as_nanos);
        match point.value {
            Value::Distribution(times) => match histograms {
                HistogramKind::Explicit => Self::Explicit(explicit(attributes, times, start, now)),
                HistogramKind::Exponential => Self::Exponential(exponential(attributes, times, start, now)),
            },
            Value::Whole(value) => number(kind, attributes, whole(value), start, now),
            Value::Number(value) => number(kind, attributes, number_data_point::Value::AsDouble(value), start, now),
        }
    }

    /// The last point of a series, which tells that it has left: without a value, by the data model's flag for that.
    pub(super) fn gone(gone: &Gone, histograms: HistogramKind, at: UnixMillis) -> Self {
        let attributes = gone.labels.iter().map(|(key, value)| attribute(key, value.clone())).collect();
        let (time_unix_nano, flags) = (at.as_nanos(), NO_RECORDED_VALUE);
        let number = |attributes| NumberDataPoint { attributes, time_unix_nano, flags, ..Default::default() };
        match (gone.family.kind, histograms) {
            (Kind::Gauge, _) => Self::Gauge(number(attributes)),
            (Kind::Counter, _) => Self::Sum(number(attributes)),
            (Kind::Histogram, HistogramKind::Explicit) => {
                let explicit_bounds: Vec<f64> = gone.bounds.iter().map(|bound| *bound as f64 / 1000.0).collect();
                let bucket_counts = vec![0; explicit_bounds.len() + 1];
                let point = HistogramDataPoint { attributes, time_unix_nano, flags, ..Default::default() };
                Self::Explicit(HistogramDataPoint { explicit_bounds, bucket_counts, ..point })
            }
            (Kind::Histogram, HistogramKind::Exponential) => Self::Exponential(ExponentialHistogramDataPoint {
                attributes,
                time_unix_nano,
                flags,
                ..Default::default()
            }),
        }
    }

    /// Bytes of the encoded point.
    pub(super) fn encoded_len(&self) -> usize {
        match self {
            Self::Gauge(point) | Self::Sum(point) => point.encoded_len(),
            Self::Explicit(point) => point.encoded_len(),
            Self::Exponential(point) => point.encoded_len(),
        }
    }

    /// A metric's data that holds this point alone.
    pub(super) fn into_data(self, temporality: Temporality) -> Data {
        let aggregation_temporality = match temporality {
            Temporality::Cumulative => AggregationTemporality::Cumulative as i32,
            Temporality::Delta { .. } => AggregationTemporality::Delta as i32,
        };
        match self {
            Self::Gauge(point) => Data::Gauge(Gauge { data_points: vec![point] }),
            Self::Sum(point) => {
                Data::Sum(Sum { data_points: vec![point], aggregation_temporality, is_monotonic: true })
            }
            Self::Explicit(point) => Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality }),
            Self::Exponential(point) => {
                Data::ExponentialHistogram(ExponentialHistogram { data_points: vec![point], aggregation_temporality })
            }
        }
    }

    /// Puts the point beside those of its family; hands it back if these are of another kind.
    pub(super) fn push_to(self, data: &mut Data) -> Option<Self> {
        match (data, self) {
            (Data::Gauge(gauge), Self::Gauge(point)) => gauge.data_points.push(point),
            (Data::Sum(sum), Self::Sum(point)) => sum.data_points.push(point),
            (Data::Histogram(histogram), Self::Explicit(point)) => histogram.data_points.push(point),
            (Data::ExponentialHistogram(histogram), Self::Exponential(point)) => histogram.data_points.push(point),
            (_, point) => return Some(point),
        }
        None
    }
}

/// OTLP integers are signed.
fn whole(value: u64) -> number_data_point::Value {
    match i64::try_from(value) {
        Ok(value) => number_data_point::Value::AsInt(value),
        Err(_) => number_data_point::Value::AsDouble(value as f64),
    }
}

fn number(
    kind: Kind,
    attributes: Vec<KeyValue>,
    value: number_data_point::Value,
    start: u64,
    now: UnixMillis,
) -> AnyPoint {
    let point = NumberDataPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: now.as_nanos(),
        value: Some(value),
        ..Default::default()
    };
    if kind == Kind::Counter { AnyPoint::Sum(point) } else { AnyPoint::Gauge(point) }
}

fn explicit(attributes: Vec<KeyValue>, times: &Distribution, start: u64, now: UnixMillis) -> HistogramDataPoint {
    let (mut explicit_bounds, mut bucket_counts, mut below) = (Vec::new(), Vec::new(), 0);
    for (bound, cumulative) in times.buckets() {
        explicit_bounds.push(bound as f64 / 1000.0);
        bucket_counts.push(cumulative - below);
        below = cumulative;
    }
    // The last bucket reaches from the last bound to infinity: always one more than there are bounds.
    bucket_counts.push(times.count() - below);
    let (min, max) = extremes(times);
    HistogramDataPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: now.as_nanos(),
        count: times.count(),
        sum: Some(times.sum_seconds()),
        bucket_counts,
        explicit_bounds,
        exemplars: exemplars(times),
        min,
        max,
        ..Default::default()
    }
}

fn exponential(
    attributes: Vec<KeyValue>,
    times: &Distribution,
    start: u64,
    now: UnixMillis,
) -> ExponentialHistogramDataPoint {
    let sparse = times.exponential(MOST_BUCKETS);
    let mut positive = Buckets::default();
    // Buckets are dense on the wire: from the first index to the last, zeros included.
    if let (Some((first, _)), Some((last, _))) = (sparse.counts.first(), sparse.counts.last()) {
        positive.offset = *first;
        positive.bucket_counts = vec![0; (last - first) as usize + 1];
        for (index, count) in &sparse.counts {
            positive.bucket_counts[(index - first) as usize] = *count;
        }
    }
    let (min, max) = extremes(times);
    ExponentialHistogramDataPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: now.as_nanos(),
        count: times.count(),
        sum: Some(times.sum_seconds()),
        scale: i32::from(sparse.schema),
        zero_count: sparse.zeros,
        positive: Some(positive),
        exemplars: exemplars(times),
        min,
        max,
        ..Default::default()
    }
}

fn extremes(times: &Distribution) -> (Option<f64>, Option<f64>) {
    times.extremes().map_or((None, None), |(min, max)| (Some(min as f64 / 1000.0), Some(max as f64 / 1000.0)))
}

/// The newest conversation of each bucket that has one; buckets ascend, so the values do.
fn exemplars(times: &Distribution) -> Vec<Exemplar> {
    let exemplar = |exemplar: &crate::domain::distribution::Exemplar| Exemplar {
        filtered_attributes: vec![attribute(EXEMPLAR_LABEL, exemplar.conversation.to_string())],
        time_unix_nano: exemplar.counted_at.as_nanos(),
        value: Some(exemplar::Value::AsDouble(exemplar.millis as f64 / 1000.0)),
        ..Default::default()
    };
    times.exemplars().map(exemplar).collect()
}
