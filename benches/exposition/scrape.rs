//! Scrapers that all ask at the same moment, each on a connection of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Open connections.
pub(crate) struct Scrapers {
    connections: Vec<TcpStream>,
    request: Vec<u8>,
    /// One thread for all of them: what is measured is the server.
    runtime: Runtime,
}

impl Scrapers {
    pub(crate) fn connect(address: SocketAddr, scrapers: usize, headers: &HeaderMap) -> Self {
        let mut request = b"GET /metrics HTTP/1.1\r\nhost: bench\r\n".to_vec();
        for (name, value) in headers {
            request.extend_from_slice(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        request.extend_from_slice(b"\r\n");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let connections = runtime.block_on(async {
            let mut connections = Vec::new();
            for _ in 0..scrapers {
                connections.push(TcpStream::connect(address).await.expect("the server listens"));
            }
            connections
        });
        Self { connections, request, runtime }
    }

    /// How long each took, from the moment at which all of them asked to its last byte.
    pub(crate) fn all_at_once(&mut self) -> Vec<Duration> {
        let request = &self.request;
        let connections = std::mem::take(&mut self.connections);
        let (connections, times) = self.runtime.block_on(async {
            for stream in &connections {
                stream.writable().await.expect("the connection is open");
                assert_eq!(stream.try_write(request).expect("the server reads"), request.len());
            }
            let began = Instant::now();
            let mut scrapes = JoinSet::new();
            for stream in connections {
                scrapes.spawn(async move {
                    read(&stream).await;
                    (stream, began.elapsed())
                });
            }
            scrapes.join_all().await.into_iter().unzip()
        });
        self.connections = connections;
        times
    }
}

/// Reads one answer to its end.
async fn read(stream: &TcpStream) {
    let (mut head, mut buffer) = (Vec::new(), vec![0; 256 << 10]);
    let mut left = None;
    while left != Some(0) {
        stream.readable().await.expect("the connection is open");
        let read = match stream.try_read(&mut buffer) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => panic!("{error}"),
        };
        left = Some(match left {
            Some(left) => left - read,
            None => {
                head.extend_from_slice(&buffer[..read]);
                let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
                let text = std::str::from_utf8(&head[..end]).expect("a head is text");
                assert!(text.starts_with("HTTP/1.1 200"), "{text}");
                let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
                length.parse::<usize>().expect("a number") - (head.len() - end - 4)
            }
        });
    }
}
