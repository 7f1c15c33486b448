//! Where and how the metrics are pushed.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use super::given::{quoted, without_credentials};
use super::otel::{METRICS_ENDPOINT, NamedFile, Standard, TRACES_ENDPOINT};
use super::problem::Problem;
use super::reader::{LONGER_THAN_ZERO, Reader};
use super::secret::Secret;
use super::values::{base_url, switch, url};
use crate::tls::{self, TlsError, TlsFiles, TlsTexts};

/// Settings of the section `otlp`, and what the standard `OTEL_*` variables add to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// Where to push; `None` pushes nothing.
    pub endpoint: Option<OtlpEndpoint>,
    /// Where traces of the exporter's own polls go: the whole URL for HTTP, the target for gRPC; `None` makes none.
    pub traces: Option<OtlpEndpoint>,
    /// How messages travel.
    pub protocol: OtlpProtocol,
    /// From push to push.
    pub interval: Duration,
    /// For one request.
    pub timeout: Duration,
    /// For one push with all of its retries; until the next one is due unless `OTEL_METRIC_EXPORT_TIMEOUT` says less.
    pub export_timeout: Option<Duration>,
    /// Whether counts are sent since ever or since the last push.
    pub temporality: Temporality,
    /// The form of histograms.
    pub histograms: HistogramForm,
    /// How what is sent is compressed.
    pub compression: OtlpCompression,
    /// Certificates of TLS.
    pub tls: TlsFiles,
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
/// The same for traces.
const TRACES_PATH: &str = "/v1/traces";

/// How messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// Protobuf in HTTP posts.
    HttpProtobuf,
    /// gRPC.
    Grpc,
    /// JSON in HTTP posts.
    HttpJson,
}

impl OtlpProtocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::HttpProtobuf, Self::Grpc, Self::HttpJson];

    /// The protocol's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HttpProtobuf => "http/protobuf",
            Self::Grpc => "grpc",
            Self::HttpJson => "http/json",
        }
    }

    /// The protocol of this name.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.as_str() == text)
    }
}

/// How what is sent is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtlpCompression {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
}

/// Whether counts are sent since ever or since the last push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// Since their start.
    Cumulative,
    /// Since the last push.
    Delta,
}

impl Temporality {
    /// The temporality of this name.
    pub fn named(text: &str) -> Option<Self> {
        match text {
            "cumulative" => Some(Self::Cumulative),
            "delta" => Some(Self::Delta),
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
    let protocol = from.choice("otlp.protocol", OtlpProtocol::named);
    let read_url = |text: &str| match protocol {
        Some(OtlpProtocol::Grpc) => grpc_target(text),
        _ if exact => url(text).map(String::from),
        _ => base_url(text),
    };
    let endpoint = from.optional("otlp.endpoint", |text| Ok(OtlpEndpoint { url: read_url(text)?, exact }));
    let traces = from.value("otlp.traces", switch);
    let interval = from.duration("otlp.interval", LONGER_THAN_ZERO);
    let timeout = from.duration("otlp.timeout", LONGER_THAN_ZERO);
    let temporality = from.choice("otlp.temporality", Temporality::named);
    let histograms = from.choice("otlp.histograms", HistogramForm::named);
    let (mut endpoint, protocol, traces) = (endpoint?, protocol?, traces?);

    let mut traces_endpoint = None;
    if let Some(why) = standard.disabled {
        if endpoint.take().is_some() {
            from.warnings.push(format!("{why}: nothing is pushed, although otlp.endpoint is set"));
        }
    } else if traces {
        traces_endpoint = where_traces_go(from, endpoint.as_ref(), protocol, standard.traces_endpoint);
    }
    let mut tls = TlsFiles::default();
    for endpoint in endpoint.iter_mut().chain(&mut traces_endpoint) {
        if !endpoint.url.contains("://") {
            complete(endpoint, standard.insecure, &mut from.warnings);
        }
    }
    if let Some(endpoint) = &endpoint
        && protocol != OtlpProtocol::Grpc
        && !endpoint.exact
        && endpoint.url.ends_with(HTTP_PATH)
    {
        let url = without_credentials(&endpoint.http_url());
        from.warnings.push(format!("otlp.endpoint is a base URL: the push goes to {url}; leave {HTTP_PATH} out"));
    }
    if [&endpoint, &traces_endpoint].into_iter().flatten().any(|endpoint| endpoint.url.starts_with("https://")) {
        tls = read_tls(from, [standard.certificate, standard.client_certificate, standard.client_key]);
    }
    let mut resource = standard.resource;
    resource.entry("service.name".to_owned()).or_insert_with(|| env!("CARGO_PKG_NAME").to_owned());
    Some(OtlpSettings {
        endpoint,
        traces: traces_endpoint,
        protocol,
        interval: interval?,
        timeout: timeout?,
        export_timeout: standard.export_timeout,
        temporality: temporality?,
        histograms: histograms?,
        compression: standard.compression,
        tls,
        headers: standard.headers,
        resource,
    })
}

/// Beside the metrics, unless the standard variable says where. Without either there is nowhere, which is said.
fn where_traces_go(
    from: &mut Reader<'_>,
    metrics: Option<&OtlpEndpoint>,
    protocol: OtlpProtocol,
    named: Option<String>,
) -> Option<OtlpEndpoint> {
    if let Some(url) = named {
        return Some(OtlpEndpoint { url, exact: true });
    }
    let base = match metrics {
        Some(endpoint) if protocol == OtlpProtocol::Grpc => return Some(endpoint.clone()),
        Some(OtlpEndpoint { url, exact: true }) => url.strip_suffix(HTTP_PATH),
        Some(OtlpEndpoint { url, exact: false }) => Some(&**url),
        None => None,
    };
    if base.is_none() {
        let what = "otlp.traces is true, and there is nowhere to send traces to: set otlp.endpoint to a base URL";
        from.warnings.push(format!("{what}, or {TRACES_ENDPOINT}"));
    }
    base.map(|base| OtlpEndpoint { url: format!("{base}{TRACES_PATH}"), exact: true })
}

/// A URL, or `host:port` alone, whose scheme `OTEL_EXPORTER_OTLP_INSECURE` then decides.
pub(super) fn grpc_target(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.contains("://") {
        return url(text).map(|url| url.as_str().trim_end_matches('/').to_owned());
    }
    // An address that is none is better told so as a URL.
    match url(&format!("http://{text}")) {
        Ok(url) if url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !text.ends_with('/') => {
            Ok(text.to_owned())
        }
        Err(why) if why.contains("credentials") => Err(why),
        _ => Err("host:port or an absolute URL like https://host:port is wanted".to_owned()),
    }
}

/// Puts the scheme before a target that has none: TLS, unless the standard variable says otherwise.
fn complete(endpoint: &mut OtlpEndpoint, insecure: Option<bool>, warnings: &mut Vec<String>) {
    let scheme = if insecure == Some(true) { "http" } else { "https" };
    endpoint.url = format!("{scheme}://{}", endpoint.url);
    if insecure.is_none() {
        let url = without_credentials(&endpoint.url);
        warnings.push(format!("otlp.endpoint has no scheme: the push goes to {url}; write http:// for no TLS"));
    }
}

/// The certificates that are named, if they can be used. One that cannot is a problem, unlike other standard variables
/// that make no sense: without it, others would be trusted, or nobody would know us.
fn read_tls(from: &mut Reader<'_>, [certificate, client_certificate, client_key]: [Option<NamedFile>; 3]) -> TlsFiles {
    let identity = match (client_certificate, client_key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(alone), None) | (None, Some(alone)) => {
            let (named, other) =
                if alone.variable.ends_with("KEY") { ("KEY", "CERTIFICATE") } else { ("CERTIFICATE", "KEY") };
            let missing = alone.variable.replace(&format!("CLIENT_{named}"), &format!("CLIENT_{other}"));
            unusable(from, &alone, format!("{missing} is wanted with it"));
            None
        }
    };
    let mut text = |file: &NamedFile| match from.file(&file.path) {
        Ok(text) => Some(text),
        Err(error) => {
            unusable(from, file, format!("the file cannot be read: {error}"));
            None
        }
    };
    let authorities = certificate.as_ref().and_then(&mut text);
    let own = identity.as_ref().and_then(|(certificate, key)| text(certificate).zip(text(key).map(Zeroizing::new)));
    // One after the other, so that what is wrong with both comes out at once.
    for texts in [TlsTexts { authorities, identity: None }, TlsTexts { authorities: None, identity: own }] {
        match tls::config_with(&texts, &[]) {
            Ok(_) => {}
            Err(TlsError::Authorities(why)) => certificate.iter().for_each(|file| unusable(from, file, why.clone())),
            Err(TlsError::Certificate(why)) => identity.iter().for_each(|(file, _)| unusable(from, file, why.clone())),
            Err(TlsError::Key(why)) => identity.iter().for_each(|(_, file)| unusable(from, file, why.clone())),
        }
    }
    TlsFiles {
        authorities: certificate.map(|file| file.path),
        identity: identity.map(|(certificate, key)| (certificate.path, key.path)),
    }
}

fn unusable(from: &mut Reader<'_>, file: &NamedFile, what: String) {
    let value = Some(quoted(&file.path.display().to_string()));
    from.problems.push(Problem { key: file.variable.clone(), value, place: None, what });
}
