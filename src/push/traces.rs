//! Traces of the exporter's own work over OTLP: the SDK gathers spans, `opentelemetry-otlp` writes them, and they leave by
//! the same client as the metrics.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Compression, WithExportConfig, WithHttpConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use reqwest::{Client, Url};
use tokio::runtime::Handle;
use tracing::{debug, info, warn};

use super::{Protocol, PushError, PushOptions, certificates, grpc, http};
use crate::clock::Clock;
use crate::config::values::is_loopback;
use crate::files;
use crate::logging::chain;
use crate::streak::{News, Streak, likeness};
use crate::unreached::Place;

/// The scope of the spans, as of the metrics: a constant name.
const SCOPE: &str = env!("CARGO_PKG_NAME");
/// How long the spans of the last poll may take to leave.
const FLUSH: Duration = Duration::from_secs(2);

/// Sends spans for as long as it is kept.
pub struct SpanPush(SdkTracerProvider);

impl SpanPush {
    /// Spans go to `options.url`, whole for HTTP: a path is not appended. Needs a runtime of tokio.
    ///
    /// # Errors
    ///
    /// When the options cannot be used; whatever the receiver does later is logged and costs only spans.
    pub fn new(options: &PushOptions, clock: &Arc<dyn Clock>) -> Result<Self, PushError> {
        let url = Url::parse(&options.url).map_err(|error| PushError::Endpoint(error.to_string()))?;
        let place = Place::new(&url, "/v1/traces", options.protocol == Protocol::Grpc || is_loopback(&url));
        let exporter = Told::new(exporter(options, &place)?, place.url().to_owned(), Arc::clone(clock));
        let attributes = options.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let resource = Resource::builder_empty().with_attributes(attributes).build();
        Ok(Self(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build()))
    }

    /// What makes the spans.
    pub fn tracer(&self) -> BoxedTracer {
        BoxedTracer::new(Box::new(self.0.tracer(SCOPE)))
    }

    /// Sends what is left, for at most 2 s.
    pub async fn flush(self) {
        let flushed = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH)).await;
        if let Ok(Err(error)) = flushed {
            warn!(%error, "the last spans could not be sent");
        }
    }
}

fn exporter(options: &PushOptions, place: &Place) -> Result<opentelemetry_otlp::SpanExporter, PushError> {
    let texts = certificates::read(&options.tls, files::AT_LENGTH)?;
    let builder = opentelemetry_otlp::SpanExporter::builder();
    let built = match options.protocol {
        Protocol::Grpc => {
            let builder = builder.with_tonic().with_channel(grpc::endpoint(options, &texts)?.connect_lazy());
            let builder = builder.with_metadata(grpc::metadata(&options.headers)?).with_timeout(options.timeout);
            if options.gzip { builder.with_compression(Compression::Gzip).build() } else { builder.build() }
        }
        Protocol::HttpProtobuf | Protocol::HttpJson => {
            let client =
                OverHttp { client: http::client(options, &texts)?, runtime: Handle::current(), place: place.clone() };
            let protocol = match options.protocol {
                Protocol::HttpJson => opentelemetry_otlp::Protocol::HttpJson,
                _ => opentelemetry_otlp::Protocol::HttpBinary,
            };
            let builder = builder.with_http().with_http_client(client).with_protocol(protocol);
            let builder = builder.with_endpoint(&*options.url).with_timeout(options.timeout);
            // The client has the headers already.
            let builder = builder.with_headers(HashMap::new());
            if options.gzip { builder.with_compression(Compression::Gzip).build() } else { builder.build() }
        }
    };
    built.map_err(|error| PushError::Client(chain(&error)))
}

/// The SDK exports on a thread of its own, the client lives in the runtime.
#[derive(Debug)]
struct OverHttp {
    client: Client,
    runtime: Handle,
    place: Place,
}

impl HttpClient for OverHttp {
    fn send_bytes<'client, 'call>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'call>>
    where
        'client: 'call,
        Self: 'call,
    {
        let (client, place) = (self.client.clone(), self.place.clone());
        let sent = self.runtime.spawn(async move {
            let request = reqwest::Request::try_from(request)?;
            let response = client.execute(request).await.map_err(|error| http::unsent(&error.without_url(), &place))?;
            let (status, headers) = (response.status(), response.headers().clone());
            let mut answer = Response::new(Bytes::from(http::body(response).await));
            (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
            Ok(answer)
        });
        Box::pin(async move { sent.await? })
    }
}

/// Says in the log when spans begin to be lost, now and then while they are, and when they leave again; not each time.
pub(super) struct Told<E> {
    exporter: E,
    failures: Mutex<Streak>,
    /// Where the receiver is.
    url: String,
    clock: Arc<dyn Clock>,
}

impl<E> Told<E> {
    pub(super) fn new(exporter: E, url: String, clock: Arc<dyn Clock>) -> Self {
        Self { exporter, failures: Mutex::default(), url, clock }
    }
}

impl<E: fmt::Debug> fmt::Debug for Told<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("exporter", &self.exporter).finish_non_exhaustive()
    }
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        let mut failures = self.failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &result {
            Ok(()) => match failures.succeeded() {
                Some((exports_failed, since)) => info!(exports_failed, failing_since = %since, "spans are taken again"),
                None => debug!(spans, "spans were sent"),
            },
            Err(error) => {
                let (error, url) = (Why(error), self.url.as_str());
                match failures.failed(likeness(&error.to_string()), self.clock.now()) {
                    News::First => warn!(%error, url, spans, "spans could not be sent and are lost"),
                    News::StillFailing { failures, since } => {
                        warn!(%error, url, exports = failures, failing_since = %since, "spans are still lost");
                    }
                    News::Again { failures } => debug!(%error, exports = failures, "spans were lost again"),
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// An error of the SDK without its preamble.
struct Why<'a>(&'a OTelSdkError);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            OTelSdkError::InternalFailure(why) => f.write_str(why),
            other => write!(f, "{other}"),
        }
    }
}
