//! The OpenTelemetry Collector, which writes what it receives into a file.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;

use super::eventually;
use super::program::Program;
use super::scratch::Scratch;

/// A running collector.
pub(crate) struct Collector {
    pub(crate) http: String,
    pub(crate) grpc: String,
    _program: Program,
    files: Scratch,
}

impl Collector {
    #[track_caller]
    pub(crate) fn start(binary: &Path) -> Self {
        let files = Scratch::new();
        let file = files.0.join("received");
        // It does not tell which port it was given, so free ones are looked for: again, if somebody was quicker.
        let (program, http, grpc) = eventually(|| {
            let [http, grpc] = [(); 2].map(|()| free_address());
            let config = format!(
                "yaml:{{receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{grpc}'}}, http: {{endpoint: '{http}'}}}}}}}}, \
                 exporters: {{file: {{path: '{}', format: proto, flush_interval: 50ms}}}}, \
                 service: {{telemetry: {{metrics: {{level: none}}}}, \
                 pipelines: {{metrics: {{receivers: [otlp], exporters: [file]}}}}}}}}",
                file.display()
            );
            let program = Program::start(Command::new(binary).arg("--config").arg(config));
            if [&http, &grpc].into_iter().all(|address| is_listened_to(address)) {
                Ok((program, http, grpc))
            } else {
                Err(program.stdout() + &program.stderr())
            }
        });
        Self { http, grpc, _program: program, files }
    }

    /// What it has written so far: messages, each after its length. The last may not be there to its end.
    pub(crate) fn received(&self) -> Vec<ExportMetricsServiceRequest> {
        let written = fs::read(self.files.0.join("received")).unwrap_or_default();
        let (mut rest, mut received) = (&*written, Vec::new());
        while let Some((length, after)) = rest.split_first_chunk::<4>()
            && let Some((message, after)) = after.split_at_checked(u32::from_be_bytes(*length) as usize)
        {
            received.push(ExportMetricsServiceRequest::decode(message).expect("a message"));
            rest = after;
        }
        received
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).unwrap().to_string()
}

fn is_listened_to(address: &str) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(10) {
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
