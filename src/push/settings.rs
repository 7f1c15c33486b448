//! Where to push to, and how.

use std::fmt;
use std::time::Duration;

use crate::config::Secret;
use crate::render::otlp::HistogramKind;
use crate::tls::TlsFiles;

/// The transport of OTLP, and how messages are written in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Protobuf over HTTP/1.1.
    #[default]
    HttpProtobuf,
    /// JSON over HTTP/1.1.
    HttpJson,
    /// gRPC, without TLS for `http://`, with it for `https://`.
    Grpc,
}

/// Everything that the push task has to know.
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
    pub headers: Vec<(String, Secret)>,
    /// Whether requests are compressed by gzip.
    pub gzip: bool,
    /// Certificates in place of the usual ones.
    pub tls: TlsFiles,
    /// `otlp.interval`: from the start of one export to the start of the next.
    pub interval: Duration,
    /// `otlp.timeout`: how long one request may take.
    pub timeout: Duration,
    /// How long an export may take with all of its retries; `None`: until the next one is due.
    pub export_timeout: Option<Duration>,
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
            .field("gzip", &self.gzip)
            .field("tls", &self.tls)
            .field("interval", &self.interval)
            .field("timeout", &self.timeout)
            .field("export_timeout", &self.export_timeout)
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
    /// A certificate or key cannot be used; which and why.
    Tls(String),
    /// The client could not be made; why.
    Client(String),
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(why) => write!(f, "the OTLP endpoint cannot be used: {why}"),
            Self::Header(name) => write!(f, "the OTLP header {name:?} cannot be sent"),
            Self::Tls(why) => write!(f, "OTLP cannot be sent by TLS: {why}"),
            Self::Client(why) => write!(f, "the OTLP client could not be made: {why}"),
        }
    }
}

impl std::error::Error for PushError {}
