//! OTLP metrics (OTLP 1.x, `opentelemetry/proto/metrics/v1`), built from a snapshot without the SDK.
//!
//! The SDK cannot be handed histograms that are already aggregated, nor start times that outlive the process.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::{ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::domain::catalog::{FAMILIES, Kind};
use crate::domain::gone::Gone;
use crate::domain::snapshot::{Live, Snapshot};
use crate::domain::time::UnixMillis;

mod batch;
pub mod json;
mod points;

use batch::Batches;
use points::AnyPoint;

/// The largest encoded request: receivers refuse gRPC messages above 4 MiB by default, and headers need room too.
pub const MAX_REQUEST_BYTES: usize = 3 << 20;

/// The name of the instrumentation scope; a constant without attributes, for these would become labels.
pub const SCOPE: &str = "jelou-exporter";

/// How histograms are pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HistogramKind {
    /// With the configured bounds.
    #[default]
    Explicit,
    /// Exponential (Prometheus calls them native).
    Exponential,
}

/// How requests are written in the end; it decides how much goes into one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Binary protobuf.
    #[default]
    Protobuf,
    /// [`json`].
    Json,
    /// Either: a request that is kept may be sent by another protocol in the end.
    Any,
}

/// What counters and histograms count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporality {
    /// Everything since their start.
    #[default]
    Cumulative,
    /// What was counted in a window.
    Delta {
        /// When it begins; where a series is younger, or for `None`, it begins with the series. The series of pairs bear it
        /// as their start, where they do not begin with themselves.
        since: Option<UnixMillis>,
        /// When it ends.
        until: UnixMillis,
    },
}

/// What one export tells.
#[derive(Clone, Copy, Debug)]
pub struct Export<'a> {
    /// The numbers.
    pub snapshot: &'a Snapshot,
    /// Those that move between snapshots.
    pub live: &'a Live,
    /// Series that have left since the last export.
    pub gone: &'a [Gone],
    /// What counters and histograms count.
    pub temporality: Temporality,
    /// The time of every point but those of a window, which bear its end.
    pub at: UnixMillis,
}

/// What the requests say besides the numbers.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How requests are written.
    pub encoding: Encoding,
    /// How histograms are pushed.
    pub histograms: HistogramKind,
    /// Attributes of the resource. `service.name` and `service.version` are added where they are missing;
    /// `service.instance.id` is the caller's to give, because it outlives the process.
    pub resource: Vec<(String, String)>,
}

impl<'a> Export<'a> {
    /// All that a snapshot shows, cumulative, when nothing has left.
    pub const fn totals(snapshot: &'a Snapshot, live: &'a Live, at: UnixMillis) -> Self {
        Self { snapshot, live, gone: &[], temporality: Temporality::Cumulative, at }
    }

    /// The time of a point of this kind. A gauge is of the moment, whatever the window.
    fn time(&self, kind: Kind) -> UnixMillis {
        match self.temporality {
            Temporality::Delta { until, .. } if kind != Kind::Gauge => until,
            _ => self.at,
        }
    }
}

/// One export: requests that together carry every point, each below [`MAX_REQUEST_BYTES`] when encoded.
pub fn requests(export: &Export<'_>, options: &Options) -> Vec<ExportMetricsServiceRequest> {
    split(export, options, MAX_REQUEST_BYTES)
}

fn split(export: &Export<'_>, options: &Options, most_bytes: usize) -> Vec<ExportMetricsServiceRequest> {
    let mut batches = Batches::new(envelope(options), options.encoding, export.temporality, most_bytes);
    for family in FAMILIES {
        export.snapshot.visit(family, export.live, &mut |point| {
            batches.add(family, AnyPoint::new(family, &point, options.histograms, export));
        });
        for gone in export.gone.iter().filter(|gone| gone.family.id == family.id) {
            batches.add(family, AnyPoint::gone(gone, options.histograms, export.time(family.kind)));
        }
    }
    batches.finish()
}

/// A request without metrics.
fn envelope(options: &Options) -> ExportMetricsServiceRequest {
    let mut attributes: Vec<KeyValue> =
        options.resource.iter().map(|(key, value)| attribute(key, value.clone())).collect();
    for (key, value) in [("service.name", SCOPE), ("service.version", env!("CARGO_PKG_VERSION"))] {
        if !options.resource.iter().any(|(given, _)| given == key) {
            attributes.push(attribute(key, value.to_owned()));
        }
    }
    let scope = InstrumentationScope { name: SCOPE.to_owned(), ..Default::default() };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_metrics: vec![ScopeMetrics { scope: Some(scope), ..Default::default() }],
            schema_url: String::new(),
        }],
    }
}

fn attribute(key: &str, value: String) -> KeyValue {
    let value = AnyValue { value: Some(AnyValueKind::StringValue(value)) };
    KeyValue { key: key.to_owned(), value: Some(value), ..Default::default() }
}

#[cfg(test)]
pub(crate) mod tests;
