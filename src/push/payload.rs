//! A request as it goes out: packed once, however often it is sent.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;

use super::{Protocol, PushOptions};
use crate::render::otlp::json;

/// What a sender takes.
#[derive(Clone)]
pub(super) enum Payload {
    /// The body of an HTTP request.
    Body(Bytes),
    /// A gRPC message; the client writes and compresses it by itself.
    Message(Box<ExportMetricsServiceRequest>),
}

/// How requests are packed.
#[derive(Clone, Copy)]
pub(super) struct Packing {
    protocol: Protocol,
    gzip: bool,
}

impl Packing {
    pub(super) const fn new(options: &PushOptions) -> Self {
        Self { protocol: options.protocol, gzip: options.gzip }
    }

    /// Packs a request. This may take a while: it is no work for a thread that others wait for.
    pub(super) fn pack(self, request: ExportMetricsServiceRequest) -> Payload {
        let body = match self.protocol {
            Protocol::Grpc => return Payload::Message(Box::new(request)),
            Protocol::HttpProtobuf => request.encode_to_vec(),
            Protocol::HttpJson => json::body(&request),
        };
        Payload::Body(if self.gzip { gzip(&body) } else { body.into() })
    }
}

/// Compressed as little as pays: a receiver is usually near.
pub(super) fn gzip(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("writing to memory does not fail").into()
}
