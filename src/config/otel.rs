//! The standard `OTEL_*` variables. As OpenTelemetry has it: an empty one is not set, and one that makes no sense is
//! warned about and passed over.

use std::collections::BTreeMap;

use reqwest::header::{HeaderName, HeaderValue};

use super::given::{Given, Layer, Source, quoted, without_credentials};
use super::secret::Secret;
use super::values::{base_url, url};

/// The endpoint that is taken as it is, where every other one gets `/v1/metrics` appended.
pub(super) const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";

/// A variable, the setting that it stands for, and how its text becomes that setting's.
type Rule = (&'static str, &'static str, fn(&str) -> Result<String, String>);

/// Variables about metrics alone.
const OF_METRICS: [Rule; 5] = [
    (METRICS_ENDPOINT, "otlp.endpoint", |text| url(text).map(String::from)),
    ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "otlp.protocol", protocol),
    ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "otlp.timeout", milliseconds),
    ("OTEL_METRIC_EXPORT_INTERVAL", "otlp.interval", milliseconds),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "otlp.histograms", aggregation),
];

/// Variables about every signal.
const OF_ALL: [Rule; 3] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "otlp.endpoint", base_url),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "otlp.protocol", protocol),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "otlp.timeout", milliseconds),
];

/// Standard variables that change what is sent or how, and that this version does not heed.
const UNHEEDED: [&str; 10] = [
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    "OTEL_EXPORTER_OTLP_INSECURE",
];

/// What the standard variables say.
#[derive(Default)]
pub(super) struct Standard {
    /// Settings by `OTEL_*_METRICS_*`.
    pub(super) of_metrics: Layer,
    /// Settings by `OTEL_*`.
    pub(super) of_all: Layer,
    /// `OTEL_SDK_DISABLED`: nothing is pushed, whoever asks for it.
    pub(super) disabled: bool,
    /// Sent with every push.
    pub(super) headers: Vec<(String, Secret)>,
    /// Attributes of the resource.
    pub(super) resource: BTreeMap<String, String>,
    /// What was passed over.
    pub(super) warnings: Vec<String>,
    /// What was passed over, and matters only to somebody who pushes.
    pub(super) warnings_when_pushing: Vec<String>,
}

/// Reads the environment.
pub(super) fn read(env: &BTreeMap<String, String>) -> Standard {
    let set = |name: &str| env.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let mut standard = Standard::default();
    let mut layer = |rules: &[Rule]| {
        let mut layer = Layer::new();
        for (name, key, read) in rules {
            match set(name).map(|text| (text, read(text))) {
                None => {}
                Some((_, Ok(text))) => {
                    layer.insert(*key, Given { text, source: Source::Environment((*name).to_owned()) });
                }
                Some((text, Err(why))) => {
                    let shown = quoted(&without_credentials(text));
                    standard.warnings.push(format!("{name} = {shown} is ignored: {why}"));
                }
            }
        }
        layer
    };
    (standard.of_metrics, standard.of_all) = (layer(&OF_METRICS), layer(&OF_ALL));

    match set("OTEL_SDK_DISABLED") {
        Some(text) if text.eq_ignore_ascii_case("true") => standard.disabled = true,
        Some(text) if !text.eq_ignore_ascii_case("false") => {
            standard.warnings.push(format!("OTEL_SDK_DISABLED = {} is ignored: true or false is wanted", quoted(text)));
        }
        _ => {}
    }
    let of_metrics = ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", set("OTEL_EXPORTER_OTLP_METRICS_HEADERS"));
    let of_all = ("OTEL_EXPORTER_OTLP_HEADERS", set("OTEL_EXPORTER_OTLP_HEADERS"));
    if let (name, Some(text)) = if of_metrics.1.is_some() { of_metrics } else { of_all } {
        headers(name, text, &mut standard);
    }
    if let Some(text) = set("OTEL_RESOURCE_ATTRIBUTES") {
        // All or nothing, as the specification of resources asks.
        match pairs(text).collect::<Result<_, _>>() {
            Ok(pairs) => standard.resource = pairs,
            Err(entry) => standard
                .warnings
                .push(format!("OTEL_RESOURCE_ATTRIBUTES is ignored: entry {entry} is not key=value, percent-encoded")),
        }
    }
    if let Some(name) = set("OTEL_SERVICE_NAME") {
        standard.resource.insert("service.name".to_owned(), name.to_owned());
    }
    // These two ask for what is done anyway.
    let matters = |text: &str| !["none", "cumulative"].iter().any(|usual| text.eq_ignore_ascii_case(usual));
    let unheeded = UNHEEDED.iter().filter(|name| set(name).is_some_and(matters));
    standard.warnings_when_pushing =
        unheeded.map(|name| format!("{name} is ignored: this version does not support it")).collect();
    standard
}

/// Takes in the headers that can be sent. A warning counts entries, for their text is a secret.
fn headers(name: &str, text: &str, standard: &mut Standard) {
    for (index, pair) in pairs(text).enumerate() {
        let header = pair.ok().filter(|(_, value)| HeaderValue::from_str(value).is_ok());
        match header.and_then(|(key, value)| Some((HeaderName::from_bytes(key.as_bytes()).ok()?, value))) {
            Some((key, value)) => standard.headers.push((key.as_str().to_owned(), Secret::new(value))),
            None => standard.warnings.push(format!("{name}: entry {} is ignored: it is not key=value", index + 1)),
        }
    }
}

/// `key=value` pairs with commas between, values percent-encoded; the number of the entry where one is not.
fn pairs(text: &str) -> impl Iterator<Item = Result<(String, String), usize>> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).enumerate().map(|(index, entry)| {
        let pair = entry.split_once('=').and_then(|(key, value)| Some((decoded(key.trim())?, decoded(value.trim())?)));
        pair.filter(|(key, _)| !key.is_empty()).ok_or(index + 1)
    })
}

/// Text whose `%2C` and the like are resolved.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

fn protocol(text: &str) -> Result<String, String> {
    match text {
        "http/protobuf" | "grpc" => Ok(text.to_owned()),
        _ => Err("http/protobuf or grpc is wanted".to_owned()),
    }
}

fn milliseconds(text: &str) -> Result<String, String> {
    match text.parse::<u32>() {
        Ok(millis) if millis > 0 => Ok(format!("{millis}ms")),
        _ => Err("a whole number of milliseconds above 0 is wanted".to_owned()),
    }
}

fn aggregation(text: &str) -> Result<String, String> {
    match text.to_ascii_lowercase().as_str() {
        "explicit_bucket_histogram" => Ok("explicit".to_owned()),
        "base2_exponential_bucket_histogram" => Ok("exponential".to_owned()),
        _ => Err("explicit_bucket_histogram or base2_exponential_bucket_histogram is wanted".to_owned()),
    }
}

#[cfg(test)]
mod tests;
