//! Where to push to, and how.

use std::fmt;
use std::time::Duration;

use crate::render::otlp::HistogramKind;

/// The transport of OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf over HTTP/1.1.
    #[default]
    HttpProtobuf,
    /// gRPC, without TLS for `http://`, with it for `https://`.
    Grpc,
}

/// Everything the push task has to know.
#[derive(Clone)]
pub struct PushOptions {
    /// `otlp.endpoint`, `http://` or `https://`.
    pub url: String,
    /// `otlp.protocol`.
    pub protocol: Protocol,
    /// Whether `url` is used as it is; else `/v1/metrics` is appended (HTTP only). The metrics-specific `OTEL_*`
    /// variable holds an exact URL (OpenTelemetry specification, "OTLP exporter", endpoint URLs).
    pub exact_url: bool,
    /// Headers of every request, gRPC metadata alike.
    pub headers: Vec<(String, String)>,
    /// `otlp.interval`: from the start of one export to the start of the next.
    pub interval: Duration,
    /// `otlp.timeout`: how long one request may take.
    pub timeout: Duration,
    /// `otlp.histograms`.
    pub histograms: HistogramKind,
    /// Attributes of the resource; see [`crate::render::otlp::Options::resource`].
    pub resource: Vec<(String, String)>,
}

impl fmt::Debug for PushOptions {
    /// Without header values and URL, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| &**name).collect();
        f.debug_struct("PushOptions")
            .field("protocol", &self.protocol)
            .field("headers", &names)
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .field("histograms", &self.histograms)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

/// Why nothing can be pushed with these options. Never shows a URL or a header's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushError {
    /// The endpoint is no URL that can be used; why.
    Endpoint(String),
    /// The header of this name is none that can be sent.
    Header(String),
    /// The client could not be made; why.
    Client(String),
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(why) => write!(f, "the OTLP endpoint cannot be used: {why}"),
            Self::Header(name) => write!(f, "the OTLP header {name:?} cannot be sent"),
            Self::Client(why) => write!(f, "the OTLP client could not be made: {why}"),
        }
    }
}

impl std::error::Error for PushError {}
