//! OTLP/HTTP with binary protobuf or JSON (OTLP 1.x, "OTLP/HTTP").

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use super::answer::Answer;
use super::status::Status;
use super::{Protocol, PushError, PushOptions, answer};
use crate::clock::Clock;
use crate::config::values::is_loopback;
use crate::domain::time::UnixMillis;
use crate::logging::chain;
use crate::tls::{self, TlsTexts};
use crate::unreached::{Keys, Obstacle, Place, obstacle, reason, to_connect};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// No answer of interest is longer.
const MOST_ANSWER: usize = 64 << 10;
/// As much of an error message as one wants in a log line.
pub(super) const MOST_TOLD: usize = 300;

/// The usual ports of receivers.
pub(super) const HTTP_PORT: u16 = 4318;
const GRPC_PORT: u16 = 4317;

/// What to look at when no answer comes.
pub(super) const KEYS: Keys = Keys {
    url: "otlp.endpoint",
    authorities: "OTEL_EXPORTER_OTLP_CERTIFICATE",
    certificate: "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    timeout: "otlp.timeout",
};

/// What to do where something else than HTTP answers.
const OVER_GRPC: &str = "if that is a receiver of OTLP over gRPC, usually at port 4317, set otlp.protocol to grpc";

/// Who we are.
pub(super) const USER_AGENT: &str = concat!("jelou-exporter/", env!("CARGO_PKG_VERSION"));

pub(super) struct HttpSender {
    client: Client,
    url: Url,
    place: Place,
    clock: Arc<dyn Clock>,
}

impl HttpSender {
    pub(super) fn new(options: &PushOptions, texts: &TlsTexts, clock: Arc<dyn Clock>) -> Result<Self, PushError> {
        let url = url(&options.url, options.exact_url)?;
        let place = Place::new(&url, "/v1/metrics", is_loopback(&url));
        Ok(Self { client: client(options, texts)?, url, place, clock })
    }

    /// Where it sends to.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    pub(super) async fn send(&mut self, body: Bytes) -> Answer {
        match self.client.post(self.url.clone()).body(body).send().await {
            Ok(response) => self.read(response).await,
            Err(error) => Answer::Later(unsent(&error.without_url(), &self.place), None),
        }
    }

    async fn read(&self, response: Response) -> Answer {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = body(response).await;
        if status.is_success() {
            return taken(&headers, &body);
        }
        let said = said(&headers, &body);
        let mut why = if said.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
        if let Some(way_out) = way_out(status, &said) {
            why = format!("{why}; {way_out}");
        }
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Answer::Later(why, retry_after(&headers, self.clock.now())),
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNSUPPORTED_MEDIA_TYPE
            | StatusCode::UNPROCESSABLE_ENTITY => Answer::Refused(why),
            _ => Answer::Denied(why),
        }
    }
}

/// Why no answer came, and the way out.
pub(super) fn unsent(error: &reqwest::Error, place: &Place) -> String {
    let obstacle = if error.is_timeout() { Obstacle::TooSlow } else { obstacle(error) };
    let why = place.unreached(&obstacle, &reason(error), KEYS);
    let other = obstacle == Obstacle::OtherProtocol || (obstacle == Obstacle::Closed && place.has_port(GRPC_PORT));
    if other { format!("{why}; {OVER_GRPC}") } else { why }
}

/// What to do about a status, where that is not for the receiver's people alone.
fn way_out(status: StatusCode, said: &str) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some("check OTEL_EXPORTER_OTLP_HEADERS"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE if said.to_lowercase().contains("grpc") => Some(OVER_GRPC),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Some("check otlp.protocol"),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            Some("check the path in otlp.endpoint, to which /v1/metrics is appended")
        }
        status if status.is_redirection() => {
            Some("redirects are not followed: name in otlp.endpoint what answers itself")
        }
        _ => None,
    }
}

/// What a success says. Not every receiver answers with the message that it owes; a success is one all the same.
fn taken(headers: &HeaderMap, body: &[u8]) -> Answer {
    let response =
        if is(headers, JSON) { answer::from_json(body) } else { ExportMetricsServiceResponse::decode(body).ok() };
    response.map_or(Answer::Taken(None), Answer::read)
}

fn is(headers: &HeaderMap, kind: &str) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(kind.as_bytes()))
}

/// What posts to the receiver, headers and certificates included.
pub(super) fn client(options: &PushOptions, texts: &TlsTexts) -> Result<Client, PushError> {
    let config = tls::config_with(texts, &[]).map_err(|error| PushError::Tls(error.to_string()))?;
    let mut builder = Client::builder()
        .tls_backend_preconfigured(config)
        // One request at a time gains nothing from HTTP/2, whose connection would outlive a route that is gone.
        .http1_only()
        // The headers are for the configured receiver only.
        .redirect(Policy::none())
        .connect_timeout(to_connect(options.timeout))
        .user_agent(USER_AGENT)
        .default_headers(headers(options)?);
    // A receiver beside us is not reached through a proxy that is meant for the world.
    if Url::parse(&options.url).is_ok_and(|url| is_loopback(&url)) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| PushError::Client(chain(&error)))
}

/// The URL that metrics are posted to.
fn url(given: &str, exact: bool) -> Result<Url, PushError> {
    let mut url = Url::parse(given).map_err(|error| PushError::Endpoint(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(PushError::Endpoint("it must begin with http:// or https://".to_owned()));
    }
    if !exact && let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["v1", "metrics"]);
    }
    Ok(url)
}

/// The headers of every request. What we say of the body is not for others to say.
fn headers(options: &PushOptions) -> Result<HeaderMap, PushError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &options.headers {
        let bad = || PushError::Header(name.clone());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    let kind = if options.protocol == Protocol::HttpJson { JSON } else { PROTOBUF };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.remove(CONTENT_ENCODING);
    if options.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(headers)
}

/// As much of the body as matters; a body that breaks off says as much as came.
pub(super) async fn body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk[..chunk.len().min(MOST_ANSWER - body.len())]);
        if body.len() == MOST_ANSWER {
            break;
        }
    }
    body
}

/// What an error response says: a `google.rpc.Status` by the specification, plain text from proxies and Prometheus.
fn said(headers: &HeaderMap, body: &[u8]) -> String {
    let told = if is(headers, PROTOBUF) {
        Status::decode(body).ok().map(|status| status.message)
    } else if is(headers, JSON) {
        answer::message(body)
    } else {
        None
    };
    let text = told.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    text.trim().chars().take(MOST_TOLD).collect()
}

/// Both forms of `Retry-After` (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: UnixMillis) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(u64::try_from(now.0).ok()?);
    Some(at.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn the_path_is_appended_to_a_base_url_only() {
        let url = |given, exact| url(given, exact).map(String::from);
        assert_eq!(url("http://a:4318", false).unwrap(), "http://a:4318/v1/metrics");
        assert_eq!(url("http://a/base/", false).unwrap(), "http://a/base/v1/metrics");
        assert_eq!(url("http://a/base?k=v", false).unwrap(), "http://a/base/v1/metrics?k=v");
        assert_eq!(url("http://a/base/", true).unwrap(), "http://a/base/");
        assert_eq!(url("http://a", true).unwrap(), "http://a/");
        assert!(url("collector:4318", false).is_err());
        assert!(url("", false).is_err());
    }

    #[test]
    fn a_status_is_told_with_the_way_out() {
        for (status, said, told) in [
            (401, "", Some("OTEL_EXPORTER_OTLP_HEADERS")),
            (404, "", Some("otlp.endpoint")),
            (308, "", Some("otlp.endpoint")),
            (415, "", Some("otlp.protocol")),
            (415, "invalid gRPC request content-type", Some("otlp.protocol to grpc")),
            (503, "busy", None),
        ] {
            let way_out = way_out(StatusCode::from_u16(status).unwrap(), said);
            assert_eq!(way_out.is_some(), told.is_some(), "{status}");
            assert!(way_out.unwrap_or_default().contains(told.unwrap_or_default()), "{way_out:?}");
        }
    }

    #[test]
    fn retry_after_has_two_forms() {
        let after = |value: &str, now| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
            retry_after(&headers, now)
        };
        let now = UnixMillis::from_seconds(784_111_777);
        assert_eq!(after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:40 GMT", now), Some(Duration::from_secs(3)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(after("soon", now), None);
    }

    #[test]
    fn a_bad_header_is_named_without_its_value() {
        let mut options = crate::push::tests::options(String::new(), Protocol::HttpProtobuf);
        options.headers = vec![("x-key".into(), Secret::new("secret\n".into()))];
        let error = headers(&options).unwrap_err();
        assert_eq!(error.to_string(), "the OTLP header \"x-key\" cannot be sent");
    }
}
