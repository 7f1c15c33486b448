//! Clients that are slow, many or malicious; whoever scrapes is answered meanwhile.

use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::access::until_dropped;
use super::*;
use crate::domain::label::HttpDrop;

/// Limits that a test reaches soon.
fn few() -> Limits {
    let head = Duration::from_secs(100);
    Limits { connections: 20, patience: Duration::from_millis(20), head, ..Limits::default() }
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.address).await.unwrap()
}

#[tokio::test]
async fn a_thousand_idle_connections_do_not_keep_a_scraper_out() {
    let server = Server::start(sample::empty(), few()).await;
    let mut idle = Vec::new();
    for number in 0..1000 {
        let mut stream = connect(&server).await;
        if number % 3 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        }
        idle.push(stream);
        if number % 100 == 99 {
            assert_eq!(server.get("/metrics").await.0, 200);
        }
    }
    until_dropped(&server, HttpDrop::Crowded, 900).await;
    closed(&idle[0]).await;
}

#[tokio::test]
async fn who_has_to_leave_in_the_midst_of_asking_is_closed_only_later() {
    let (soon, never) = (Duration::from_millis(300), Duration::from_secs(1000));
    for (busy, asks_again, time) in [(never, soon, soon), (Duration::ZERO, never, Duration::ZERO)] {
        let limits = Limits { connections: 1, busy, asks_again, ..Limits::default() };
        let server = Server::start(sample::empty(), limits).await;
        let asking = async || {
            let mut stream = connect(&server).await;
            stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
            in_time(stream.readable()).await.unwrap();
            stream
        };
        let mut first = asking().await;
        let began = Instant::now();
        let _second = asking().await;
        let mut text = String::new();
        in_time(first.read_to_string(&mut text)).await.unwrap();
        assert!(began.elapsed() >= time, "{:?}", began.elapsed());
        assert_eq!(text.matches("HTTP/1.1 200").count(), 1, "{text}");
    }
}

/// More than are let in at once, and nobody comes after them.
#[tokio::test]
async fn all_who_come_together_are_answered() {
    let server = Server::start(sample::empty(), Limits::default()).await;
    let connect = || {
        let stream = std::net::TcpStream::connect(server.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    // Without a pause in which the server, on the same thread, could take some of them in.
    let streams: Vec<_> = (0..30).map(|_| connect()).collect();
    for stream in streams {
        let mut stream = TcpStream::from_std(stream).unwrap();
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(in_time(stream.read(&mut [0; 4096])).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused() {
    let server = Server::start(sample::empty(), few()).await;
    for flood in [
        format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "x: y\r\n".repeat(5000)),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(1 << 20)),
    ] {
        let mut stream = connect(&server).await;
        // The server may close before it has all.
        let _ = stream.write_all(flood.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = in_time(stream.read_to_end(&mut answer)).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
        assert_eq!(server.get("/metrics").await.0, 200);
    }
    assert!(server.live.live().http_requests.iter().any(|(code, count)| *code == 431 && *count > 0));
    // In HTTP/2 such a request is refused by itself.
    let client = builder().http2_prior_knowledge().build().unwrap();
    let response = client.get(format!("http://{}/", server.address)).header("x", "y".repeat(100_000)).send().await;
    assert!(response.is_err() || response.unwrap().status() == 431);
    assert_eq!(client.get(format!("http://{}/", server.address)).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let server = Server::start(sample::empty(), few()).await;
    let mut stream = connect(&server).await;
    stream.write_all(b"POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000000\r\n\r\nx").await.unwrap();
    let mut answer = String::new();
    in_time(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

/// A snapshot whose metrics do not fit into what the system keeps for a connection.
fn large() -> Snapshot {
    sample::with_pairs((0..3000).map(|number| sample::pair(&format!("bot {number}"), "team")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_take_the_answer_has_to_leave() {
    for (limits, why) in [
        (few(), HttpDrop::Crowded),
        (Limits { answers: 10, connections: 1000, ..few() }, HttpDrop::Crowded),
        (Limits { request: Duration::from_millis(300), ..few() }, HttpDrop::RequestTimeout),
    ] {
        let (server, by_answers) = (Server::start(large(), limits).await, limits.answers == 10);
        let mut slow = Vec::new();
        for _ in 0..40 {
            let mut stream = connect(&server).await;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
            // Its answer has begun.
            in_time(stream.readable()).await.unwrap();
            slow.push(stream);
        }
        loop {
            match server.get("/-/healthy").await.0 {
                200 => break,
                status => assert_eq!(status, 503),
            }
        }
        // Those closed for want of room for answers were not in the way of a connection, and are not counted as such.
        if !by_answers {
            until_dropped(&server, why, 1).await;
        }
        closed(&slow[0]).await;
        drop(server);
    }
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection_that_sends_it() {
    let server = Server::start(sample::empty(), few()).await;
    let mut stream = connect(&server).await;
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    flood.extend(frame(4, 0, 0, b""));
    for number in 0..5000 {
        let id = 2 * number + 1;
        // GET / by http, from the static table of HPACK, with an authority.
        flood.extend(frame(1, 0b101, id, &[0x82, 0x84, 0x86, 0x41, 1, b'x']));
        flood.extend(frame(3, 0, id, &8_u32.to_be_bytes()));
    }
    let _ = stream.write_all(&flood).await;
    let _ = in_time(stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(server.get("/metrics").await.0, 200);
}

#[tokio::test]
async fn a_header_that_never_ends_ends_the_connection() {
    let server = Server::start(sample::empty(), few()).await;
    let mut stream = connect(&server).await;
    let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    flood.extend(frame(4, 0, 0, b""));
    // HEADERS without their end, then CONTINUATION upon CONTINUATION, each a literal header of 16 KiB.
    flood.extend(frame(1, 0, 1, &[0x82, 0x84, 0x86, 0x41, 1, b'x']));
    let mut literal = vec![0, 1, b'x', 0x7f, 0x80, 0x7f];
    literal.resize(16_000, b'y');
    let _ = stream.write_all(&flood).await;
    let endless = async {
        while stream.write_all(&frame(9, 0, 1, &literal)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    in_time(endless).await;
    assert_eq!(server.get("/metrics").await.0, 200);
}

#[tokio::test]
async fn a_kept_connection_may_be_idle_for_longer_than_a_request_may_take_to_come() {
    let limits = Limits { head: Duration::from_secs(1), idle: Duration::from_secs(100), ..Limits::default() };
    let server = Server::start(sample::empty(), limits).await;
    let mut kept = connect(&server).await;
    let mut answer = [0; 4096];
    for _ in 0..2 {
        kept.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(in_time(kept.read(&mut answer)).await.unwrap() > 0);
        // Another that sends half a request and no more is closed meanwhile.
        let mut half = connect(&server).await;
        half.write_all(b"GET / HTTP/1.1\r\nhost: x").await.unwrap();
        closed(&half).await;
    }
    kept.write_all(b"GET / HTTP/1.1\r\nhost: x").await.unwrap();
    closed(&kept).await;
    assert_eq!(server.live.live().http_dropped.get(HttpDrop::HeaderTimeout), 3);
}
