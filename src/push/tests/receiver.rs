//! A receiver of OTLP that says what it is told to say.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read as _;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tonic::codec::CompressionEncoding;

use super::super::{Protocol, status};
use crate::render::otlp::json;

/// What a receiver got: where or as what it was sent, its headers, and the message.
pub(super) type Received = (String, HeaderMap, ExportMetricsServiceRequest);

/// What a receiver answers, in turn; afterwards it takes everything.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) answers: Arc<Mutex<VecDeque<Say>>>,
    pub(super) received: mpsc::UnboundedSender<Received>,
}

#[derive(Clone, Copy)]
pub(super) enum Say {
    /// Everything is taken.
    Yes,
    /// Two points are rejected.
    Partly,
    /// Busy (503, UNAVAILABLE).
    Busy,
    /// Busy for so many seconds.
    BusyFor(u64),
    /// Wrong (400, INVALID_ARGUMENT).
    No,
    /// Not for you (401, UNAUTHENTICATED).
    Denied,
    /// No answer ever.
    Nothing,
}

impl Script {
    fn next(&self, received: Received) -> Say {
        self.received.send(received).ok();
        self.answers.lock().unwrap().pop_front().unwrap_or(Say::Yes)
    }
}

fn partly() -> ExportMetricsServiceResponse {
    let partial = ExportMetricsPartialSuccess { rejected_data_points: 2, error_message: "too old".into() };
    ExportMetricsServiceResponse { partial_success: Some(partial) }
}

async fn answer_http(script: Script, request: hyper::Request<Incoming>) -> hyper::Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = match parts.headers.get("content-encoding") {
        Some(encoding) => {
            assert_eq!(encoding, "gzip");
            let mut unpacked = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut unpacked).unwrap();
            Bytes::from(unpacked)
        }
        None => body,
    };
    let is_json = parts.headers["content-type"] == "application/json";
    let message = if is_json { json::tests::decode(&body) } else { ExportMetricsServiceRequest::decode(body).unwrap() };
    let kind = if is_json { "application/json" } else { "application/x-protobuf" };
    let response = hyper::Response::builder().header("content-type", kind);
    let (response, body) = match script.next((parts.uri.path().to_owned(), parts.headers, message)) {
        Say::Yes if is_json => (response, b"{}".to_vec()),
        Say::Yes => (response, Vec::new()),
        Say::Partly if is_json => {
            let said = r#"{"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"too old"}}"#;
            (response, said.as_bytes().to_vec())
        }
        Say::Partly => (response, partly().encode_to_vec()),
        Say::Busy => (response.status(503), b"busy".to_vec()),
        Say::BusyFor(seconds) => (response.status(429).header("retry-after", seconds), Vec::new()),
        Say::No if is_json => (response.status(400), br#"{"code":3,"message":"bad points"}"#.to_vec()),
        Say::Denied => (response.status(401), Vec::new()),
        Say::No => {
            let status = status::Status { code: 3, message: "bad points".into(), details: Vec::new() };
            (response.status(400), status.encode_to_vec())
        }
        Say::Nothing => std::future::pending().await,
    };
    response.body(Full::new(Bytes::from(body))).unwrap()
}

/// As OTLP has it: `RetryInfo` among the details of the status.
fn busy_for(seconds: u64) -> tonic::Status {
    let delay = status::Delay { seconds: seconds.try_into().unwrap(), nanos: 0 };
    let info = status::RetryInfo { retry_delay: Some(delay) };
    let detail = status::Detail { type_url: status::RETRY_INFO.to_owned(), value: info.encode_to_vec() };
    let details = status::Status { code: 8, message: "busy".into(), details: vec![detail] };
    tonic::Status::with_details(tonic::Code::ResourceExhausted, "busy", details.encode_to_vec().into())
}

#[tonic::async_trait]
impl MetricsService for Script {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, tonic::Status> {
        let (metadata, _, message) = request.into_parts();
        match self.next(("gRPC".to_owned(), metadata.into_headers(), message)) {
            Say::Yes => Ok(tonic::Response::new(ExportMetricsServiceResponse::default())),
            Say::Partly => Ok(tonic::Response::new(partly())),
            Say::Busy => Err(tonic::Status::unavailable("busy")),
            Say::BusyFor(seconds) => Err(busy_for(seconds)),
            Say::No => Err(tonic::Status::invalid_argument("bad points")),
            Say::Denied => Err(tonic::Status::unauthenticated("who are you")),
            Say::Nothing => std::future::pending().await,
        }
    }
}

/// Starts a receiver on a free port of the loopback; gives its URL.
pub(super) async fn receiver(protocol: Protocol, script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let stream = listener.accept().await.unwrap().0;
            tokio::spawn(serve(protocol, script.clone(), stream));
        }
    });
    url
}

/// The same by TLS, under the name `localhost`.
pub(super) async fn secure_receiver(protocol: Protocol, script: Script, config: ServerConfig) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (stream, script, acceptor) = (listener.accept().await.unwrap().0, script.clone(), acceptor.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(protocol, script, stream).await;
                }
            });
        }
    });
    url
}

/// Serves one connection.
async fn serve(protocol: Protocol, script: Script, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let (io, builder) = (TokioIo::new(stream), auto::Builder::new(TokioExecutor::new()));
    let served = match protocol {
        Protocol::HttpProtobuf | Protocol::HttpJson => {
            let answer = |request| {
                let script = script.clone();
                async { Ok::<_, Infallible>(answer_http(script, request).await) }
            };
            builder.serve_connection(io, service_fn(answer)).await
        }
        Protocol::Grpc => {
            let server = MetricsServiceServer::new(script);
            let server = server.accept_compressed(CompressionEncoding::Gzip).send_compressed(CompressionEncoding::Gzip);
            builder.serve_connection(io, TowerToHyperService::new(server)).await
        }
    };
    // How a connection ends is the client's business.
    served.ok();
}
