//! Prometheus protobuf: each family a message of `io.prometheus.client.MetricFamily` with its length before it.
//!
//! Histograms are native and classic at once; counters and histograms tell since when they count.

use prost::Message as _;
use prost::{encode_length_delimiter, length_delimiter_len};

use super::exposition::Encoder;
use super::family::Head;
use crate::domain::catalog::Kind;
use crate::domain::conversation::SpellingRoom;
use crate::domain::distribution::{self, Distribution, EXEMPLAR_LABEL};
use crate::domain::snapshot::{Point, Value};
use crate::domain::time::UnixMillis;

pub(crate) mod messages;
mod native;

use messages::{
    BUCKET_KEY, Bucket, Counter, EXEMPLAR_KEY, Exemplar, Gauge, HISTOGRAM_KEY, Histogram, LABEL_KEY, LABEL_NAME_KEY,
    LABEL_VALUE_KEY, METRIC_KEY, Metric, MetricFamily, MetricType, Timestamp,
};

/// Why writing cannot fail.
const TO_MEMORY: &str = "a buffer in memory takes everything";

/// Writes messages. A family's points are encoded one by one and wait for its length, which has to come first.
#[derive(Default)]
pub(super) struct Protobuf {
    out: Vec<u8>,
    metrics: Vec<u8>,
    /// Of the point at hand: its labels, encoded, and all else.
    labels: Vec<u8>,
    value: Vec<u8>,
    /// Room for a message that is to have its length before it, and for the label within.
    message: Vec<u8>,
    exemplar_label: Vec<u8>,
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
        self.value.clear();
        let start_timestamp = point.start.map(timestamp);
        match point.value {
            Value::Distribution(times) => self.histogram(times, start_timestamp),
            Value::Whole(value) => self.number(head.kind, value as f64, start_timestamp),
            Value::Number(value) => self.number(head.kind, value, start_timestamp),
        }
        self.metrics.push(METRIC_KEY);
        put_length(&mut self.metrics, self.labels.len() + self.value.len());
        self.metrics.extend_from_slice(&self.labels);
        self.metrics.extend_from_slice(&self.value);
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

impl Protobuf {
    fn number(&mut self, kind: Kind, value: f64, start_timestamp: Option<Timestamp>) {
        let value = Some(value);
        let metric = match kind {
            Kind::Counter => {
                Metric { counter: Some(Counter { value, exemplar: None, start_timestamp }), ..Metric::default() }
            }
            Kind::Gauge | Kind::Histogram => Metric { gauge: Some(Gauge { value }), ..Metric::default() },
        };
        metric.encode(&mut self.value).expect(TO_MEMORY);
    }

    fn histogram(&mut self, times: &Distribution, start_timestamp: Option<Timestamp>) {
        let exponential = times.exponential_sparse(native::MOST_BUCKETS);
        let (positive_span, positive_delta) = native::spans(&exponential);
        let histogram = Histogram {
            sample_count: Some(times.count()),
            sample_sum: Some(times.sum_seconds()),
            bucket: Vec::new(),
            schema: Some(i32::from(exponential.schema)),
            zero_threshold: Some(native::ZERO_THRESHOLD),
            zero_count: Some(exponential.zeros),
            positive_span,
            positive_delta,
            start_timestamp,
        };
        self.message.clear();
        histogram.encode(&mut self.message).expect(TO_MEMORY);
        let bounds = times.buckets().map(|(bound, count)| (bound as f64 / 1000.0, count));
        for (at, (bound, count)) in bounds.chain([(f64::INFINITY, times.count())]).enumerate() {
            let bucket = Bucket { cumulative_count: Some(count), upper_bound: Some(bound), exemplar: None };
            // Prometheus takes them from here for the native histogram as well.
            self.bucket(&bucket, times.exemplar(at));
        }
        self.value.push(HISTOGRAM_KEY);
        put_length(&mut self.value, self.message.len());
        self.value.extend_from_slice(&self.message);
    }

    /// A bucket of the histogram at hand, without messages for what its exemplar borrows: there are tens of thousands.
    fn bucket(&mut self, bucket: &Bucket, exemplar: Option<&distribution::Exemplar>) {
        self.message.push(BUCKET_KEY);
        let Some(exemplar) = exemplar else {
            bucket.encode_length_delimited(&mut self.message).expect(TO_MEMORY);
            return;
        };
        self.exemplar_label.clear();
        let id = &mut SpellingRoom::default();
        put_label(&mut self.exemplar_label, EXEMPLAR_LABEL, exemplar.conversation.spell(id));
        let rest = Exemplar {
            label: Vec::new(),
            value: Some(exemplar.millis as f64 / 1000.0),
            timestamp: Some(timestamp(exemplar.counted_at)),
        };
        let length = self.exemplar_label.len() + rest.encoded_len();
        put_length(&mut self.message, bucket.encoded_len() + 1 + length_delimiter_len(length) + length);
        bucket.encode(&mut self.message).expect(TO_MEMORY);
        self.message.push(EXEMPLAR_KEY);
        put_length(&mut self.message, length);
        self.message.extend_from_slice(&self.exemplar_label);
        rest.encode(&mut self.message).expect(TO_MEMORY);
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    encode_length_delimiter(length, out).expect(TO_MEMORY);
}

/// A [`messages::LabelPair`] as a field of a [`Metric`] or an [`Exemplar`], without the message: every point has several,
/// and their texts are borrowed.
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

fn timestamp(at: UnixMillis) -> Timestamp {
    let millis = i32::try_from(at.0.rem_euclid(1000)).expect("what is left of a second");
    Timestamp { seconds: at.seconds(), nanos: millis * 1_000_000 }
}
