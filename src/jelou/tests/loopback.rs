//! A server that reads what the client really writes, and writes exactly the bytes that a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Far more than anything takes; only a failure lasts so long.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Server {
    pub(super) url: String,
    /// Every request, head and body.
    pub(super) requests: Receiver<String>,
}

impl Server {
    /// Reads a request on each connection and leaves the rest to `handle`. The connection closes when that returns.
    pub(super) fn start(handle: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> Self {
        let (seen, requests) = channel();
        let url = listen(move |mut stream| {
            if let Some(request) = read_request(&mut stream) {
                let _ = seen.send(request);
                handle(&mut stream);
            }
        });
        Self { url, requests }
    }

    /// Answers every request with the same bytes.
    pub(super) fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |stream| {
            let _ = stream.write_all(&answer);
        })
    }

    /// The same, leaving the closing to the client: one that is about to send a second request on a connection that closes
    /// at this moment would not get it there.
    pub(super) fn answering_again(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        let (seen, requests) = channel();
        let url = listen(move |mut stream| {
            while let Some(request) = read_request(&mut stream) {
                let _ = seen.send(request);
                let _ = stream.write_all(&answer);
            }
        });
        Self { url, requests }
    }

    /// The next request that came.
    #[track_caller]
    pub(super) fn request(&self) -> String {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }
}

/// Hands each connection over as it comes, to a thread of its own; returns the base URL.
pub(super) fn listen(handle: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handle = Arc::clone(&handle);
            thread::spawn(move || handle(stream));
        }
    });
    url
}

/// One request with its body; `None` when the client has closed.
pub(super) fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
            if body.len() >= length {
                return Some(text.into_owned());
            }
        }
    }
}

/// Waits until the client gives up.
pub(super) fn hang(stream: &mut TcpStream) {
    while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
}

/// A whole answer with a length.
pub(super) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}
