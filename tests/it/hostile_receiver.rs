//! A receiver of OTLP that means harm: whatever it answers, the exporter stays small, counts the failures, and serves on.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::{Compress, Compression, FlushCompress};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use jelou_exporter::simulator::SimulatorOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::endless::Endless;
use crate::support::exporter::Exporter;
use crate::support::exposition::Scrape;
use crate::support::world::{RUNTIME, frozen};

/// How an answer is meant to do harm.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// A body without an end.
    Endless,
    /// Gigabytes of nothing, packed a thousandfold.
    Bomb,
    /// A gRPC message that claims to have 4 GiB, and one that is packed.
    Message { packed: bool },
    /// A header of 10 MiB in 2000 lines.
    Headers,
}

/// A megabyte of nothing, packed so that it may stand at any place of a gzip member.
fn block() -> Bytes {
    let mut packer = Compress::new(Compression::fast(), false);
    let mut block = Vec::with_capacity(1 << 16);
    packer.compress_vec(&vec![b' '; 1 << 20], &mut block, FlushCompress::Full).unwrap();
    block.into()
}

const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

fn answer(attack: Attack, grpc: bool, sent: &Arc<AtomicU64>) -> Response<Endless> {
    let response =
        Response::builder().header("content-type", if grpc { "application/grpc" } else { "application/json" });
    let message = |packed: u8, length: u32| [&[packed], &length.to_be_bytes()[..]].concat();
    let (response, first, piece) = match attack {
        Attack::Endless => (response, b"{\"partialSuccess\":".to_vec(), vec![b' '; 1 << 16].into()),
        Attack::Bomb => (response.header("content-encoding", "gzip"), GZIP.to_vec(), block()),
        Attack::Message { packed: false } => (response, message(0, u32::MAX), vec![0; 1 << 16].into()),
        Attack::Message { packed: true } => {
            // As long as a message may be, and four gigabytes when it is unpacked.
            (response.header("grpc-encoding", "gzip"), [message(1, 4 << 20), GZIP.to_vec()].concat(), block())
        }
        Attack::Headers => {
            let response =
                (0..2000).fold(response, |response, number| response.header(format!("x-{number}"), "y".repeat(5000)));
            (response, Vec::new(), Bytes::from_static(b" "))
        }
    };
    response.body(Endless::new(first, piece, sent)).unwrap()
}

/// Takes whatever it is sent and answers by this attack; its endpoint, and what counts the bytes of its bodies.
fn receiver(attack: Attack, grpc: bool) -> (String, Arc<AtomicU64>) {
    let sent = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&sent);
    let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    RUNTIME.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sent = Arc::clone(&counted);
            let service = service_fn(move |_: Request<Incoming>| {
                std::future::ready(Ok::<_, Infallible>(answer(attack, grpc, &sent)))
            });
            tokio::spawn(async move {
                // The exporter hangs up as soon as it has had enough.
                let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    (endpoint, sent)
}

fn failures(scrape: &Scrape) -> f64 {
    scrape.total("jelou_exporter_otlp_exports_total", &[("result", "failure")])
}

/// Pushes to a receiver until it has answered several times, and holds what it cost against what it may.
fn survives(what: &str, endpoint: &str, protocol: &str, fails: bool) {
    let (simulator, _) = frozen(SimulatorOptions { per_hour: 30.0, ..SimulatorOptions::default() });
    let settings = [
        ("otlp.endpoint", endpoint),
        ("otlp.protocol", protocol),
        ("otlp.interval", "300ms"),
        ("otlp.timeout", "2s"),
        ("otlp.traces", "true"),
    ];
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    exporter.scraped(what, |scrape| {
        let all = scrape.total("jelou_exporter_otlp_exports_total", &[]);
        all >= 3.0 && (!fails || failures(scrape) >= 3.0)
    });
    exporter.succeeds_again(2.0);
    assert_eq!(exporter.get("/-/healthy").status, 200, "{what}");
    let peak = exporter.peak_kib();
    assert!(peak < 64 << 10, "{what}: {peak} KiB");
    let said = exporter.program.stderr();
    let told = said.lines().filter(|line| line.contains("level=warn")).count();
    // One each of metrics and spans.
    assert!(told <= 2, "{what} was told {told} times: {said}");
    assert!(said.len() < 64 << 10, "{what}: the log holds no answers");
}

#[test]
fn answers_that_are_meant_to_burst_are_read_in_little_room() {
    for (attack, fails) in [(Attack::Endless, false), (Attack::Bomb, false), (Attack::Headers, true)] {
        for protocol in ["http/protobuf", "http/json"] {
            let (endpoint, sent) = receiver(attack, false);
            survives(&format!("{attack:?} by {protocol}"), &endpoint, protocol, fails);
            // Some of each answer is on its way when the exporter has had enough.
            assert!(sent.load(Ordering::Relaxed) < 1 << 30, "{attack:?}: {sent:?}");
        }
    }
}

#[test]
fn messages_that_are_meant_to_burst_are_refused_in_little_room() {
    for attack in
        [Attack::Endless, Attack::Message { packed: false }, Attack::Message { packed: true }, Attack::Headers]
    {
        let (endpoint, sent) = receiver(attack, true);
        survives(&format!("{attack:?}"), &endpoint, "grpc", true);
        assert!(sent.load(Ordering::Relaxed) < 1 << 30, "{attack:?}: {sent:?}");
    }
}

/// The head of an answer that goes on for ever.
#[test]
fn a_flood_of_headers_is_a_failed_export() {
    let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    RUNTIME.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(flood(stream));
        }
    });
    survives("a flood of headers", &endpoint, "http/protobuf", true);
}

async fn flood(mut stream: TcpStream) -> std::io::Result<()> {
    // The first byte of a request.
    stream.read_u8().await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
    loop {
        stream.write_all(format!("x-y: {}\r\n", "z".repeat(5000)).as_bytes()).await?;
    }
}
