//! Prometheus protobuf: each family a message of `io.prometheus.client.MetricFamily` with its length before it.
//!
//! Histograms are native and classic at once; counters and histograms tell since when they count.

use prost::Message as _;
use prost::{encode_length_delimiter, length_delimiter_len};

use super::exposition::Encoder;
use super::family::Head;
use crate::domain::catalog::Kind;
use crate::domain::distribution::{self, Distribution, EXEMPLAR_LABEL};
use crate::domain::snapshot::{Point, Value};
use crate::domain::time::UnixMillis;

pub(crate) mod messages;
mod native;

use messages::{
    Bucket, Counter, Exemplar, Gauge, Histogram, LABEL_KEY, LABEL_NAME_KEY, LABEL_VALUE_KEY, LabelPair, METRIC_KEY,
    Metric, MetricFamily, MetricType, Timestamp,
};

/// Why writing cannot fail.
const TO_MEMORY: &str = "a buffer in memory takes everything";

/// Writes messages. A family's points are encoded one by one and wait for its length, which has to come first.
#[derive(Default)]
pub(super) struct Protobuf {
    out: Vec<u8>,
    metrics: Vec<u8>,
    /// The labels of the point at hand, encoded.
    labels: Vec<u8>,
}

impl Encoder for Protobuf {
    fn begin(&mut self, _: &Head<'_>) {
        self.metrics.clear();
    }

    fn point(&mut self, head: &Head<'_>, point: &Point<'_>) {
        self.labels.clear();
        for (name, value) in point.labels {
            put_label(&mut self.labels, name, value);
        }
        let metric = metric(head.kind, point);
        self.metrics.push(METRIC_KEY);
        put_length(&mut self.metrics, self.labels.len() + metric.encoded_len());
        self.metrics.extend_from_slice(&self.labels);
        metric.encode(&mut self.metrics).expect(TO_MEMORY);
    }

    fn end(&mut self, head: &Head<'_>) {
        let kind = match head.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        let family = MetricFamily {
            name: Some(head.name.to_owned()),
            help: Some(head.help.to_owned()),
            r#type: Some(kind as i32),
            metric: Vec::new(),
            unit: head.unit().map(str::to_owned),
        };
        let length = family.encoded_len() + self.metrics.len();
        put_length(&mut self.out, length);
        family.encode(&mut self.out).expect(TO_MEMORY);
        // Fields may come in any order: the points are the family's last one.
        self.out.append(&mut self.metrics);
    }

    fn finish(&mut self) {}

    fn written(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    encode_length_delimiter(length, out).expect(TO_MEMORY);
}

/// [`LabelPair`] as a field of [`Metric`], without the message: every point has several, and their texts are borrowed.
fn put_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let texts = [(LABEL_NAME_KEY, name), (LABEL_VALUE_KEY, value)];
    out.push(LABEL_KEY);
    put_length(out, texts.iter().map(|(_, text)| 1 + length_delimiter_len(text.len()) + text.len()).sum());
    for (key, text) in texts {
        out.push(key);
        put_length(out, text.len());
        out.extend_from_slice(text.as_bytes());
    }
}

/// All of the metric but its labels.
fn metric(kind: Kind, point: &Point<'_>) -> Metric {
    let mut metric = Metric::default();
    let start_timestamp = point.start.map(timestamp);
    let number = match point.value {
        Value::Distribution(times) => {
            metric.histogram = Some(histogram(times, start_timestamp));
            return metric;
        }
        Value::Whole(value) => value as f64,
        Value::Number(value) => value,
    };
    if kind == Kind::Counter {
        metric.counter = Some(Counter { value: Some(number), exemplar: None, start_timestamp });
    } else {
        metric.gauge = Some(Gauge { value: Some(number) });
    }
    metric
}

fn histogram(times: &Distribution, start_timestamp: Option<Timestamp>) -> Histogram {
    let bounds = times.buckets().map(|(bound, count)| (bound as f64 / 1000.0, count));
    let bucket = bounds.chain([(f64::INFINITY, times.count())]).enumerate().map(|(at, (bound, count))| Bucket {
        cumulative_count: Some(count),
        upper_bound: Some(bound),
        // Prometheus takes them from here for the native histogram as well.
        exemplar: times.exemplar(at).map(exemplar),
    });
    let exponential = times.exponential_sparse(native::MOST_BUCKETS);
    let (positive_span, positive_delta) = native::spans(&exponential);
    Histogram {
        sample_count: Some(times.count()),
        sample_sum: Some(times.sum_seconds()),
        bucket: bucket.collect(),
        schema: Some(i32::from(exponential.schema)),
        zero_threshold: Some(native::ZERO_THRESHOLD),
        zero_count: Some(exponential.zeros),
        positive_span,
        positive_delta,
        start_timestamp,
    }
}

fn exemplar(exemplar: &distribution::Exemplar) -> Exemplar {
    Exemplar {
        label: vec![label(EXEMPLAR_LABEL, exemplar.conversation.to_string())],
        value: Some(exemplar.millis as f64 / 1000.0),
        timestamp: Some(timestamp(exemplar.counted_at)),
    }
}

fn label(name: &str, value: String) -> LabelPair {
    LabelPair { name: Some(name.to_owned()), value: Some(value) }
}

fn timestamp(at: UnixMillis) -> Timestamp {
    let millis = i32::try_from(at.0.rem_euclid(1000)).expect("what is left of a second");
    Timestamp { seconds: at.seconds(), nanos: millis * 1_000_000 }
}
