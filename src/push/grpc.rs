//! OTLP/gRPC (OTLP 1.x, "OTLP/gRPC"), by the generated client.

use std::error::Error as _;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use prost::Message;
use reqwest::Url;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{AsciiMetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request};

use super::answer::Answer;
use super::http::{HTTP_PORT, KEYS, MOST_TOLD, USER_AGENT};
use super::status::Status;
use super::{PushError, PushOptions};
use crate::config::Secret;
use crate::logging::chain;
use crate::tls::{self, TlsTexts};
use crate::unreached::{Obstacle, Place, obstacle, reason, to_connect};

pub(super) struct GrpcSender {
    endpoint: Endpoint,
    client: MetricsServiceClient<Channel>,
    headers: MetadataMap,
    gzip: bool,
    place: Place,
}

impl GrpcSender {
    pub(super) fn new(options: &PushOptions, texts: &TlsTexts) -> Result<Self, PushError> {
        let (endpoint, gzip) = (endpoint(options, texts)?, options.gzip);
        let url = Url::parse(&options.url).map_err(|error| PushError::Endpoint(error.to_string()))?;
        // This client knows nothing of proxies.
        let place = Place::new(&url, "", true);
        Ok(Self { client: client(&endpoint, gzip), endpoint, headers: metadata(&options.headers)?, gzip, place })
    }

    /// Where it sends to.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// Uses a new connection from now on.
    pub(super) fn reconnect(&mut self) {
        self.client = client(&self.endpoint, self.gzip);
    }

    pub(super) async fn send(&mut self, message: ExportMetricsServiceRequest) -> Answer {
        let mut request = Request::new(message);
        *request.metadata_mut() = self.headers.clone();
        match self.client.export(request).await {
            Ok(response) => Answer::read(response.into_inner()),
            Err(status) => read(&status, &self.place),
        }
    }
}

fn client(endpoint: &Endpoint, gzip: bool) -> MetricsServiceClient<Channel> {
    let client = MetricsServiceClient::new(endpoint.connect_lazy()).accept_compressed(CompressionEncoding::Gzip);
    if gzip { client.send_compressed(CompressionEncoding::Gzip) } else { client }
}

pub(super) fn endpoint(options: &PushOptions, texts: &TlsTexts) -> Result<Endpoint, PushError> {
    let client = |error: tonic::transport::Error| PushError::Client(chain(&error));
    let tls = match options.url.split_once("://") {
        Some(("http", _)) => false,
        Some(("https", _)) => true,
        _ => return Err(PushError::Endpoint("it must begin with http:// or https://".to_owned())),
    };
    let endpoint =
        Endpoint::from_shared(options.url.clone()).map_err(|_| PushError::Endpoint("it is not a URL".to_owned()))?;
    let endpoint = endpoint.connect_timeout(to_connect(options.timeout)).user_agent(USER_AGENT).map_err(client)?;
    if !tls {
        return Ok(endpoint);
    }
    // The same reading as for HTTP, whose errors name what is wrong.
    tls::config_with(texts, &[]).map_err(|error| PushError::Tls(error.to_string()))?;
    let mut config = ClientTlsConfig::new();
    config = match &texts.authorities {
        Some(text) => config.ca_certificate(Certificate::from_pem(text)),
        None => config.with_webpki_roots(),
    };
    if let Some((certificate, key)) = &texts.identity {
        config = config.identity(Identity::from_pem(certificate, key.as_bytes()));
    }
    endpoint.tls_config(config).map_err(client)
}

pub(super) fn metadata(given: &[(String, Secret)]) -> Result<MetadataMap, PushError> {
    let mut metadata = MetadataMap::new();
    for (name, value) in given {
        let bad = || PushError::Header(name.clone());
        let key = AsciiMetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes()).map_err(|_| bad())?;
        let mut value = MetadataValue::try_from(value.expose()).map_err(|_| bad())?;
        value.set_sensitive(true);
        metadata.append(key, value);
    }
    Ok(metadata)
}

/// What to do where something else than gRPC answers.
const OVER_HTTP: &str =
    "if that is a receiver of OTLP over HTTP, usually at port 4318, set otlp.protocol to http/protobuf";

/// Why the receiver did not take it, and the way out.
fn why(status: &tonic::Status, place: &Place) -> String {
    if let Some(source) = status.source() {
        // Not the receiver's word, but a connection that broke.
        let obstacle = obstacle(source);
        let why = place.unreached(&obstacle, &reason(source), KEYS);
        let other = obstacle == Obstacle::OtherProtocol || (obstacle == Obstacle::Closed && place.has_port(HTTP_PORT));
        return if other { format!("{why}; {OVER_HTTP}") } else { why };
    }
    let said: String = status.message().chars().take(MOST_TOLD).collect();
    let way_out = match status.code() {
        // So the client says that the answer bore no status of gRPC.
        _ if said.starts_with("grpc-status header missing") => OVER_HTTP,
        Code::Unimplemented => "check otlp.endpoint: this receiver takes no metrics there",
        Code::Unauthenticated | Code::PermissionDenied => "check OTEL_EXPORTER_OTLP_HEADERS",
        _ => return format!("gRPC {}: {said}", name(status.code())),
    };
    format!("gRPC {}: {said}; {way_out}", name(status.code()))
}

/// The name of a code in the specification of gRPC.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Which failures may pass (OTLP 1.x, "Failures": the table of gRPC codes).
fn read(status: &tonic::Status, place: &Place) -> Answer {
    let why = why(status, place);
    let asked = Status::decode(status.details()).ok().and_then(|details| details.retry_after());
    match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => Answer::Later(why, asked),
        // A receiver whose quota is used up for good says so by leaving out when to come back.
        Code::ResourceExhausted if asked.is_some() => Answer::Later(why, asked),
        // Not the receiver's word, but a connection that broke.
        Code::Unknown if status.source().is_some() => Answer::Later(why, None),
        Code::InvalidArgument => Answer::Refused(why),
        _ => Answer::Denied(why),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::status::{Delay, Detail, RETRY_INFO, RetryInfo};
    use super::*;

    fn of(status: &tonic::Status) -> Answer {
        read(status, &Place::new(&Url::parse("http://collector:4317").unwrap(), "", true))
    }

    #[test]
    fn a_status_is_told_once_with_the_way_out() {
        for (code, message, told) in [
            (Code::Unavailable, "busy", "gRPC UNAVAILABLE: busy"),
            (Code::Unauthenticated, "who", "gRPC UNAUTHENTICATED: who; check OTEL_EXPORTER_OTLP_HEADERS"),
            (
                Code::Unimplemented,
                "no",
                "gRPC UNIMPLEMENTED: no; check otlp.endpoint: this receiver takes no metrics there",
            ),
        ] {
            let (Answer::Later(why, _) | Answer::Denied(why)) = of(&tonic::Status::new(code, message)) else {
                panic!("{code:?}")
            };
            assert_eq!(why, told);
        }
    }

    #[test]
    fn codes_are_read_by_the_table_of_the_specification() {
        for code in (0..=16).map(Code::from) {
            let may_pass = [1, 4, 10, 11, 14, 15].contains(&(code as i32));
            let answer = of(&tonic::Status::new(code, "x"));
            assert_eq!(matches!(answer, Answer::Later(_, None)), may_pass, "{code:?}");
        }
    }

    #[test]
    fn an_exhausted_receiver_is_asked_again_when_it_says_when() {
        let info = RetryInfo { retry_delay: Some(Delay { seconds: 7, nanos: 500_000_000 }) };
        let detail = Detail { type_url: RETRY_INFO.to_owned(), value: info.encode_to_vec() };
        let details = Status { code: 8, message: String::new(), details: vec![detail] }.encode_to_vec();
        let status = tonic::Status::with_details(Code::ResourceExhausted, "busy", details.into());
        assert_eq!(
            of(&status),
            Answer::Later("gRPC RESOURCE_EXHAUSTED: busy".to_owned(), Some(Duration::from_millis(7500)))
        );
    }
}
