//! The standard `OTEL_*` variables (OpenTelemetry specification, "Environment variable specification" and "OTLP
//! exporter"). As these have it: an empty one is not set, and one that makes no sense is warned about and passed over.

mod pairs;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};

use super::given::{Given, Layer, Source, quoted, without_credentials};
use super::otlp::{OtlpCompression, OtlpProtocol, grpc_target};
use super::secret::Secret;
use super::values::{base_url, url};
use pairs::pairs;

/// The endpoint that is taken as it is, where every other one gets `/v1/metrics` appended.
pub(super) const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";

/// The same for traces.
pub(super) const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// Variables that say where to push and who pushes there.
pub(super) const OF_THE_RECEIVER: [&str; 9] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    METRICS_ENDPOINT,
    TRACES_ENDPOINT,
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
];

/// A variable, the setting that it stands for, and how its text becomes that setting's.
type Rule = (&'static str, &'static str, fn(&str) -> Result<String, String>);

/// Variables about metrics alone, but for the endpoint, whose form depends on the protocol.
const OF_METRICS: [Rule; 5] = [
    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "otlp.protocol", protocol),
    ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "otlp.timeout", limit),
    ("OTEL_METRIC_EXPORT_INTERVAL", "otlp.interval", milliseconds),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "otlp.temporality", temporality),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "otlp.histograms", aggregation),
];

/// Variables about every signal, but for the endpoint.
const OF_ALL: [Rule; 2] =
    [("OTEL_EXPORTER_OTLP_PROTOCOL", "otlp.protocol", protocol), ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp.timeout", limit)];

/// A file that a variable names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedFile {
    pub(super) variable: String,
    pub(super) path: PathBuf,
}

/// What the standard variables say.
#[derive(Default)]
pub(super) struct Standard {
    /// Settings by `OTEL_*_METRICS_*`.
    pub(super) of_metrics: Layer,
    /// Settings by `OTEL_*`.
    pub(super) of_all: Layer,
    /// Why nothing is pushed, whoever asks for it (`OTEL_SDK_DISABLED`, `OTEL_METRICS_EXPORTER`).
    pub(super) disabled: Option<String>,
    /// Where traces go, if not beside the metrics; as it is given.
    pub(super) traces_endpoint: Option<String>,
    /// Sent with every push.
    pub(super) headers: Vec<(String, Secret)>,
    /// Attributes of the resource.
    pub(super) resource: BTreeMap<String, String>,
    /// How what is sent is compressed.
    pub(super) compression: OtlpCompression,
    /// Whether a gRPC target without a scheme is spoken to without TLS; `None` when nobody says.
    pub(super) insecure: Option<bool>,
    /// How long an export may take with all of its retries.
    pub(super) export_timeout: Option<Duration>,
    /// The certificates that the receiver's must come from.
    pub(super) certificate: Option<NamedFile>,
    /// The certificate that is shown to the receiver.
    pub(super) client_certificate: Option<NamedFile>,
    /// The key of that.
    pub(super) client_key: Option<NamedFile>,
    /// What was passed over.
    pub(super) warnings: Vec<String>,
}

/// Reads the environment. `protocol_over` and `protocol_under` say what is known of `otlp.protocol` from places that
/// outrank these variables and from those that do not: it decides whether an endpoint needs a scheme. What is said by those
/// of `deaf_to` does not matter.
pub(super) fn read(
    env: &BTreeMap<String, String>,
    protocol_over: Option<&str>,
    protocol_under: Option<&str>,
    deaf_to: &[&str],
) -> Standard {
    let mut read = Reading { env, deaf_to, warnings: Vec::new() };
    let mut of_metrics = read.layer(&OF_METRICS);
    let mut of_all = read.layer(&OF_ALL);
    let by_standard = [&of_metrics, &of_all].into_iter().find_map(|layer| layer.get("otlp.protocol"));
    let protocol = protocol_over.or(by_standard.map(|given| given.text.as_str())).or(protocol_under);
    let is_grpc = protocol.and_then(|text| OtlpProtocol::named(text.trim())) == Some(OtlpProtocol::Grpc);
    let [exact, base]: [Rule; 2] = if is_grpc {
        [
            (METRICS_ENDPOINT, "otlp.endpoint", grpc_target),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp.endpoint", grpc_target),
        ]
    } else {
        [
            (METRICS_ENDPOINT, "otlp.endpoint", |text| url(text).map(String::from)),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp.endpoint", base_url),
        ]
    };
    of_metrics.extend(read.layer(&[exact]));
    of_all.extend(read.layer(&[base]));
    let traces_endpoint = match is_grpc {
        true => read.one(TRACES_ENDPOINT, grpc_target),
        false => read.one(TRACES_ENDPOINT, |text| url(text).map(String::from)),
    };
    Standard {
        traces_endpoint,
        of_metrics,
        of_all,
        disabled: read.disabled(),
        headers: read.headers(),
        resource: read.resource(),
        compression: read.either("COMPRESSION", compression).unwrap_or_default(),
        insecure: read.either("INSECURE", switch),
        export_timeout: read
            .one("OTEL_METRIC_EXPORT_TIMEOUT", |text| whole(text).map(|millis| Duration::from_millis(millis.into())))
            // 0: for as long as it takes.
            .filter(|timeout| !timeout.is_zero()),
        certificate: read.file("CERTIFICATE"),
        client_certificate: read.file("CLIENT_CERTIFICATE"),
        client_key: read.file("CLIENT_KEY"),
        warnings: read.warnings,
    }
}

/// The environment, and what was found wrong with it so far.
struct Reading<'a> {
    env: &'a BTreeMap<String, String>,
    deaf_to: &'a [&'a str],
    warnings: Vec<String>,
}

impl<'a> Reading<'a> {
    fn set(&self, name: &str) -> Option<&'a str> {
        let heard = self.env.get(name).filter(|_| !self.deaf_to.contains(&name));
        heard.map(|text| text.trim()).filter(|text| !text.is_empty())
    }

    /// What the variable says, if it makes sense.
    fn one<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.set(name)?;
        match read(text) {
            Ok(value) => Some(value),
            Err(why) => {
                let shown = quoted(&without_credentials(text));
                self.warnings.push(format!("{name} = {shown} is ignored: {why}"));
                None
            }
        }
    }

    /// What is said about metrics alone, else about every signal.
    fn either<T>(&mut self, what: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        [of_metrics(what), of_all(what)].iter().find_map(|name| self.one(name, &read))
    }

    fn layer(&mut self, rules: &[Rule]) -> Layer {
        let mut layer = Layer::new();
        for (name, key, read) in rules {
            if let Some(text) = self.one(name, read) {
                layer.insert(*key, Given { text: text.into(), source: Source::Environment((*name).to_owned()) });
            }
        }
        layer
    }

    fn file(&self, what: &str) -> Option<NamedFile> {
        let named = |variable: String| Some(NamedFile { path: self.set(&variable)?.into(), variable });
        [of_metrics(what), of_all(what)].into_iter().find_map(named)
    }

    fn disabled(&mut self) -> Option<String> {
        if self.one("OTEL_SDK_DISABLED", switch) == Some(true) {
            return Some("OTEL_SDK_DISABLED is true".to_owned());
        }
        let exporters = self.set("OTEL_METRICS_EXPORTER")?;
        let pushes = exporters.split(',').any(|exporter| exporter.trim().eq_ignore_ascii_case("otlp"));
        (!pushes).then(|| format!("OTEL_METRICS_EXPORTER is {}, which is not otlp", quoted(exporters)))
    }

    /// The headers that can be sent. A warning counts entries, for their text is a secret.
    fn headers(&mut self) -> Vec<(String, Secret)> {
        let mut headers = Vec::new();
        let names = [of_metrics("HEADERS"), of_all("HEADERS")];
        let Some((name, text)) = names.iter().find_map(|name| Some((name, self.set(name)?))) else { return headers };
        for (index, pair) in pairs(text).enumerate() {
            let header = pair.ok().filter(|(_, value)| HeaderValue::from_str(value).is_ok());
            match header.and_then(|(key, value)| Some((HeaderName::from_bytes(key.as_bytes()).ok()?, value))) {
                Some((key, value)) => headers.push((key.as_str().to_owned(), Secret::new(value))),
                None => self.warnings.push(format!("{name}: entry {} is ignored: it is not key=value", index + 1)),
            }
        }
        headers
    }

    fn resource(&mut self) -> BTreeMap<String, String> {
        let mut resource = BTreeMap::new();
        if let Some(text) = self.set("OTEL_RESOURCE_ATTRIBUTES") {
            // All or nothing, as the specification of resources asks.
            match pairs(text).collect::<Result<_, _>>() {
                Ok(pairs) => resource = pairs,
                Err(entry) => self.warnings.push(format!(
                    "OTEL_RESOURCE_ATTRIBUTES is ignored: entry {entry} is not key=value, percent-encoded"
                )),
            }
        }
        if let Some(name) = self.set("OTEL_SERVICE_NAME") {
            resource.insert("service.name".to_owned(), name.to_owned());
        }
        resource
    }
}

fn of_metrics(what: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_METRICS_{what}")
}

fn of_all(what: &str) -> String {
    format!("OTEL_EXPORTER_OTLP_{what}")
}

/// The word among these that is meant; words are understood in any case.
fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let meant = words.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
    meant.map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let (last, first) = all.split_last().expect("there are words");
        format!("{} or {last} is wanted", first.join(", "))
    })
}

fn protocol(text: &str) -> Result<String, String> {
    let words = OtlpProtocol::ALL.map(|protocol| (protocol.as_str(), protocol.as_str()));
    word(text, &words).map(str::to_owned)
}

fn compression(text: &str) -> Result<OtlpCompression, String> {
    word(text, &[("gzip", OtlpCompression::Gzip), ("none", OtlpCompression::None)])
}

fn switch(text: &str) -> Result<bool, String> {
    word(text, &[("true", true), ("false", false)])
}

/// Whose instruments keep what they counted at any rate gains nothing from cumulative ones, so low memory is delta: that
/// is what it says for counters and histograms that are counted as things happen.
fn temporality(text: &str) -> Result<String, String> {
    word(text, &[("cumulative", "cumulative"), ("delta", "delta"), ("lowmemory", "delta")]).map(str::to_owned)
}

fn aggregation(text: &str) -> Result<String, String> {
    let words = [("explicit_bucket_histogram", "explicit"), ("base2_exponential_bucket_histogram", "exponential")];
    word(text, &words).map(str::to_owned)
}

fn whole(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "a whole number of milliseconds is wanted".to_owned())
}

fn milliseconds(text: &str) -> Result<String, String> {
    match whole(text) {
        Ok(millis) if millis > 0 => Ok(format!("{millis}ms")),
        _ => Err("a whole number of milliseconds above 0 is wanted".to_owned()),
    }
}

/// How long something may take. 0 is no limit by the specification: a day is none to a request.
fn limit(text: &str) -> Result<String, String> {
    match whole(text)? {
        0 => Ok("24h".to_owned()),
        millis => Ok(format!("{millis}ms")),
    }
}

#[cfg(test)]
mod tests;
