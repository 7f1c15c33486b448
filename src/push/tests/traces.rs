//! Spans on their way out, by every protocol.

use std::convert::Infallible;
use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use opentelemetry::trace::{Span as _, Tracer as _};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::codec::CompressionEncoding;

use super::super::traces::Told;
use super::super::{Protocol, SpanPush};
use super::{options, within_patience};
use crate::clock::{Clock, ManualClock, SystemClock};
use crate::config::Secret;
use crate::domain::label::LogLevel;
use crate::domain::time::UnixMillis;
use crate::logging::LogFormat;
use crate::logging::tests::logged;

/// A receiver of traces that tells where, under which header, and what it was sent.
#[derive(Clone)]
struct Receiver(mpsc::UnboundedSender<(String, String, ExportTraceServiceRequest)>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let key = request.metadata().get("api-key").unwrap().to_str().unwrap().to_owned();
        self.0.send(("gRPC".to_owned(), key, request.into_inner())).unwrap();
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Receiver {
    async fn answer(self, request: hyper::Request<hyper::body::Incoming>) -> hyper::Response<Full<bytes::Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut unpacked = Vec::new();
        if parts.headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
            GzDecoder::new(&*body).read_to_end(&mut unpacked).unwrap();
        } else {
            unpacked = body.to_vec();
        }
        let message = match parts.headers["content-type"].to_str().unwrap() {
            "application/json" => serde_json::from_slice(&unpacked).unwrap(),
            _ => ExportTraceServiceRequest::decode(&*unpacked).unwrap(),
        };
        let key = parts.headers["api-key"].to_str().unwrap().to_owned();
        self.0.send((parts.uri.path().to_owned(), key, message)).unwrap();
        hyper::Response::new(Full::default())
    }

    async fn start(self, protocol: Protocol) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (stream, receiver) = (TokioIo::new(listener.accept().await.unwrap().0), self.clone());
                let server = auto::Builder::new(TokioExecutor::new());
                tokio::spawn(async move {
                    if protocol == Protocol::Grpc {
                        let service = TraceServiceServer::new(receiver).accept_compressed(CompressionEncoding::Gzip);
                        server.serve_connection(stream, TowerToHyperService::new(service)).await.ok();
                    } else {
                        let service = service_fn(|request| {
                            let receiver = receiver.clone();
                            async { Ok::<_, Infallible>(receiver.answer(request).await) }
                        });
                        server.serve_connection(stream, service).await.ok();
                    }
                });
            }
        });
        url
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_arrive_by_every_protocol() {
    for (protocol, gzip) in [
        (Protocol::HttpProtobuf, false),
        (Protocol::HttpProtobuf, true),
        (Protocol::HttpJson, true),
        (Protocol::Grpc, true),
    ] {
        let (sender, mut received) = mpsc::unbounded_channel();
        let base = Receiver(sender).start(protocol).await;
        let url = if protocol == Protocol::Grpc { base } else { format!("{base}/v1/traces") };
        let mut options = options(url, protocol);
        options.headers = vec![("api-key".to_owned(), Secret::new("k".to_owned()))];
        options.gzip = gzip;
        options.resource = vec![("service.name".to_owned(), "jelou".to_owned())];
        let push = SpanPush::new(&options, &(Arc::new(SystemClock) as Arc<dyn Clock>)).unwrap();
        push.tracer().start("poll").end();
        push.flush().await;

        let (path, key, message) = within_patience("the span", received.recv()).await.unwrap();
        assert_eq!(path, if protocol == Protocol::Grpc { "gRPC" } else { "/v1/traces" }, "{protocol:?}");
        assert_eq!(key, "k");
        let [resource] = &message.resource_spans[..] else { panic!("{message:?}") };
        assert_eq!(resource.resource.as_ref().unwrap().attributes[0].key, "service.name");
        let [scope] = &resource.scope_spans[..] else { panic!("{message:?}") };
        assert_eq!(scope.scope.as_ref().unwrap().name, "jelou-exporter");
        assert_eq!(scope.spans.iter().map(|span| &*span.name).collect::<Vec<_>>(), ["poll"]);
    }
}

/// Fails every time but the third.
#[derive(Debug, Default)]
struct Failing(AtomicU64);

impl SpanExporter for Failing {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        if self.0.fetch_add(1, Ordering::SeqCst) == 2 { Ok(()) } else { Err(OTelSdkError::Timeout(Duration::ZERO)) }
    }
}

/// What is said of these exports, each so many seconds after the one before.
fn said(pauses: &[u64]) -> Vec<String> {
    let (text, _) = logged(LogLevel::Info, LogFormat::Logfmt, || {
        let clock = Arc::new(ManualClock::new(UnixMillis::from_seconds(1_767_225_600)));
        let told = Told::new(Failing::default(), "http://collector:4318/v1/traces".to_owned(), clock);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            for pause in pauses {
                tokio::time::advance(Duration::from_secs(*pause)).await;
                let _ = told.export(Vec::new()).await;
            }
        });
    });
    text.lines().map(|line| line.split_once("msg=").unwrap().1.to_owned()).collect()
}

#[test]
fn spans_that_cannot_be_sent_are_told_when_it_begins_and_when_it_ends() {
    let said = said(&[0; 4]);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said[0].contains("spans could not be sent and are lost")
            && said[0].contains(" url=http://collector:4318/v1/traces ")
            && said[2].contains("could not be sent"),
        "{said:?}"
    );
    assert_eq!(said[1], r#""spans are taken again" exports_failed=2 failing_since=2026-01-01T00:00:00Z"#);
}

#[test]
fn spans_that_are_still_lost_are_told_of_now_and_then() {
    let said = said(&[0, 0, 0, 0, 599, 1]);
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said[3].contains("spans are still lost") && said[3].contains("exports=3"), "{said:?}");
}
