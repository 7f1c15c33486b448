//! Where and how the metrics are pushed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::given::without_credentials;
use super::otel::{METRICS_ENDPOINT, Standard};
use super::reader::{LONGER_THAN_ZERO, Reader};
use super::secret::Secret;
use super::values::{base_url, url};

/// Settings of the section `otlp`, and what the standard `OTEL_*` variables add to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// Where to push; `None` pushes nothing.
    pub endpoint: Option<OtlpEndpoint>,
    /// How messages travel.
    pub protocol: OtlpProtocol,
    /// From push to push.
    pub interval: Duration,
    /// For one push, whole.
    pub timeout: Duration,
    /// The form of histograms.
    pub histograms: HistogramForm,
    /// Sent with every push; names in lower case, fit for HTTP and gRPC.
    pub headers: Vec<(String, Secret)>,
    /// Attributes of the resource. `service.name` is always among them, `service.instance.id` only if somebody set it.
    pub resource: BTreeMap<String, String>,
}

/// Where to push. `Debug` leaves out what may be a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct OtlpEndpoint {
    /// The URL as it was given.
    pub url: String,
    /// Whether it is the address of the metrics themselves, to be used as it is (`OTEL_EXPORTER_OTLP_METRICS_ENDPOINT`).
    pub exact: bool,
}

impl OtlpEndpoint {
    /// The URL that HTTP posts to. gRPC takes [`OtlpEndpoint::url`] and has a path of its own.
    pub fn http_url(&self) -> String {
        if self.exact { self.url.clone() } else { format!("{}{HTTP_PATH}", self.url) }
    }
}

impl fmt::Debug for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = without_credentials(&self.url);
        f.debug_struct("OtlpEndpoint").field("url", &url).field("exact", &self.exact).finish()
    }
}

/// What HTTP appends to a base URL.
const HTTP_PATH: &str = "/v1/metrics";

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// Protobuf in HTTP posts.
    HttpProtobuf,
    /// gRPC.
    Grpc,
}

impl OtlpProtocol {
    /// The protocol of this name.
    pub fn named(text: &str) -> Option<Self> {
        match text {
            "http/protobuf" => Some(Self::HttpProtobuf),
            "grpc" => Some(Self::Grpc),
            _ => None,
        }
    }
}

/// The form in which histograms are pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistogramForm {
    /// The configured bounds.
    Explicit,
    /// Base-2 exponential buckets.
    Exponential,
}

impl HistogramForm {
    /// The form of this name.
    pub fn named(text: &str) -> Option<Self> {
        match text {
            "explicit" => Some(Self::Explicit),
            "exponential" => Some(Self::Exponential),
            _ => None,
        }
    }
}

/// Reads the section.
pub(super) fn read(from: &mut Reader<'_>, standard: Standard) -> Option<OtlpSettings> {
    let exact = from.given("otlp.endpoint").is_some_and(|given| given.source.is_environment(METRICS_ENDPOINT));
    let read_url = |text: &str| if exact { url(text).map(String::from) } else { base_url(text) };
    let endpoint = from.optional("otlp.endpoint", |text| Ok(OtlpEndpoint { url: read_url(text)?, exact }));
    let protocol = from.choice("otlp.protocol", OtlpProtocol::named);
    let interval = from.duration("otlp.interval", LONGER_THAN_ZERO);
    let timeout = from.duration("otlp.timeout", LONGER_THAN_ZERO);
    let histograms = from.choice("otlp.histograms", HistogramForm::named);
    let (mut endpoint, protocol) = (endpoint?, protocol?);

    if standard.disabled && endpoint.take().is_some() {
        from.warnings.push("OTEL_SDK_DISABLED is true: nothing is pushed, although otlp.endpoint is set".to_owned());
    }
    if let Some(endpoint) = &endpoint {
        from.warnings.extend(standard.warnings_when_pushing);
        if protocol == OtlpProtocol::HttpProtobuf && !endpoint.exact && endpoint.url.ends_with(HTTP_PATH) {
            let url = without_credentials(&endpoint.http_url());
            from.warnings.push(format!("otlp.endpoint is a base URL: the push goes to {url}; leave {HTTP_PATH} out"));
        }
    }
    let mut resource = standard.resource;
    resource.entry("service.name".to_owned()).or_insert_with(|| env!("CARGO_PKG_NAME").to_owned());
    Some(OtlpSettings {
        endpoint,
        protocol,
        interval: interval?,
        timeout: timeout?,
        histograms: histograms?,
        headers: standard.headers,
        resource,
    })
}
