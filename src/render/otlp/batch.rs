//! Splitting an export into requests that every receiver takes.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use prost::Message;

use super::points::AnyPoint;
use super::{Encoding, Temporality, json};
use crate::domain::catalog::Family;

/// The most that one message adds around its content: a tag of one byte and a length of five.
const FRAME: usize = 6;
/// Frames around all metrics of a request (resource metrics, scope metrics), around a metric (itself, its data) with
/// temporality and monotonicity, rounded up.
const NESTING: usize = 8 * FRAME;
/// The same in JSON, where fields have names: more than the longest of them together.
const JSON_NESTING: usize = 200;

impl Encoding {
    fn larger(self, protobuf: impl FnOnce() -> usize, json: impl FnOnce() -> usize) -> usize {
        match self {
            Self::Protobuf => protobuf(),
            Self::Json => json(),
            Self::Any => protobuf().max(json()),
        }
    }
}

/// Requests in the making.
pub(super) struct Batches {
    envelope: ExportMetricsServiceRequest,
    envelope_bytes: usize,
    encoding: Encoding,
    temporality: Temporality,
    most_bytes: usize,
    done: Vec<ExportMetricsServiceRequest>,
    metrics: Vec<Metric>,
    /// Never less than the encoded request, and little more.
    bytes: usize,
}

impl Batches {
    pub(super) fn new(
        envelope: ExportMetricsServiceRequest,
        encoding: Encoding,
        temporality: Temporality,
        most_bytes: usize,
    ) -> Self {
        let envelope_bytes =
            encoding.larger(|| envelope.encoded_len() + NESTING, || json::body(&envelope).len() + JSON_NESTING);
        let (done, metrics, bytes) = (Vec::new(), Vec::new(), envelope_bytes);
        Self { envelope, envelope_bytes, encoding, temporality, most_bytes, done, metrics, bytes }
    }

    /// Adds a point, in a new request if the present one has no room; one that fits nowhere gets a request of its own.
    pub(super) fn add(&mut self, family: &Family, point: AnyPoint) {
        let texts = family.otlp_name.len() + family.help.len() + family.unit.len();
        // Help texts hold nothing that JSON has to escape; a comma stands between points.
        let point_bytes = self.encoding.larger(|| point.encoded_len() + FRAME, || json::point_len(&point) + 1);
        let metric_bytes = self.encoding.larger(|| texts + NESTING, || texts + JSON_NESTING);
        let same = self.metrics.last().is_some_and(|metric| metric.name == family.otlp_name);
        let more = if same { point_bytes } else { point_bytes + metric_bytes };
        if self.bytes + more > self.most_bytes {
            self.close();
        }
        let point = match self.metrics.last_mut().filter(|metric| metric.name == family.otlp_name) {
            Some(Metric { data: Some(data), .. }) => match point.push_to(data) {
                None => {
                    self.bytes += point_bytes;
                    return;
                }
                Some(point) => point,
            },
            _ => point,
        };
        self.bytes += point_bytes + metric_bytes;
        self.metrics.push(Metric {
            name: family.otlp_name.to_owned(),
            description: family.help.to_owned(),
            unit: family.unit.to_owned(),
            metadata: Vec::new(),
            data: Some(point.into_data(self.temporality)),
        });
    }

    pub(super) fn finish(mut self) -> Vec<ExportMetricsServiceRequest> {
        self.close();
        self.done
    }

    fn close(&mut self) {
        if self.metrics.is_empty() {
            return;
        }
        let mut request = self.envelope.clone();
        let scope = request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics).next();
        if let Some(scope) = scope {
            scope.metrics = std::mem::take(&mut self.metrics);
        }
        self.done.push(request);
        self.bytes = self.envelope_bytes;
    }
}
