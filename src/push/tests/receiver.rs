//! A receiver of OTLP that says what it is told to say.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
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
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::super::{Protocol, status};

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
    let message = ExportMetricsServiceRequest::decode(body).unwrap();
    let response = hyper::Response::builder();
    let (response, body) = match script.next((parts.uri.path().to_owned(), parts.headers, message)) {
        Say::Yes => (response, Vec::new()),
        Say::Partly => (response, partly().encode_to_vec()),
        Say::Busy => (response.status(503), b"busy".to_vec()),
        Say::BusyFor(seconds) => (response.status(429).header("retry-after", seconds), Vec::new()),
        Say::No => {
            let status = status::Status { code: 3, message: "bad points".into(), details: Vec::new() };
            (response.status(400).header("content-type", "application/x-protobuf"), status.encode_to_vec())
        }
        Say::Nothing => std::future::pending().await,
    };
    response.body(Full::new(Bytes::from(body))).unwrap()
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
            Say::BusyFor(_) => Err(tonic::Status::resource_exhausted("busy")),
            Say::No => Err(tonic::Status::invalid_argument("bad points")),
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
            let io = TokioIo::new(listener.accept().await.unwrap().0);
            let script = script.clone();
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let served = match protocol {
                    Protocol::HttpProtobuf => {
                        let answer = |request| {
                            let script = script.clone();
                            async { Ok::<_, Infallible>(answer_http(script, request).await) }
                        };
                        builder.serve_connection(io, service_fn(answer)).await
                    }
                    Protocol::Grpc => {
                        let service = TowerToHyperService::new(MetricsServiceServer::new(script));
                        builder.serve_connection(io, service).await
                    }
                };
                // How a connection ends is the client's business.
                served.ok();
            });
        }
    });
    url
}
