//! OTLP/gRPC (OTLP 1.x, "OTLP/gRPC"), by the generated client.

use std::error::Error as _;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use prost::Message;
use tonic::codec::CompressionEncoding;
use tonic::metadata::{AsciiMetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request};

use super::answer::Answer;
use super::http::USER_AGENT;
use super::status::Status;
use super::{PushError, PushOptions};
use crate::logging::chain;
use crate::tls::{self, TlsTexts};

pub(super) struct GrpcSender {
    endpoint: Endpoint,
    client: MetricsServiceClient<Channel>,
    headers: MetadataMap,
    gzip: bool,
}

impl GrpcSender {
    pub(super) fn new(options: &PushOptions, texts: &TlsTexts) -> Result<Self, PushError> {
        let (endpoint, gzip) = (endpoint(options, texts)?, options.gzip);
        Ok(Self { client: client(&endpoint, gzip), endpoint, headers: metadata(&options.headers)?, gzip })
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
            Err(status) => read(&status),
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
    let endpoint = endpoint.connect_timeout(options.timeout).user_agent(USER_AGENT).map_err(client)?;
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

pub(super) fn metadata(given: &[(String, String)]) -> Result<MetadataMap, PushError> {
    let mut metadata = MetadataMap::new();
    for (name, value) in given {
        let bad = || PushError::Header(name.clone());
        let key = AsciiMetadataKey::from_bytes(name.to_ascii_lowercase().as_bytes()).map_err(|_| bad())?;
        let mut value = MetadataValue::try_from(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        metadata.append(key, value);
    }
    Ok(metadata)
}

/// Which failures may pass (OTLP 1.x, "Failures": the table of gRPC codes).
fn read(status: &tonic::Status) -> Answer {
    let said = if status.source().is_some() { chain(status) } else { status.message().to_owned() };
    let why = format!("gRPC {:?}: {said}", status.code());
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

    #[test]
    fn codes_are_read_by_the_table_of_the_specification() {
        for code in (0..=16).map(Code::from) {
            let may_pass = [1, 4, 10, 11, 14, 15].contains(&(code as i32));
            let answer = read(&tonic::Status::new(code, "x"));
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
            read(&status),
            Answer::Later("gRPC ResourceExhausted: busy".to_owned(), Some(Duration::from_millis(7500)))
        );
    }
}
