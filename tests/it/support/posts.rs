//! Whoever takes what is posted and keeps the bytes as they came, for a test that looks for something in them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Everything that was posted, by path.
type Kept = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

pub(crate) struct Posts {
    /// Where to post.
    pub(crate) url: String,
    kept: Kept,
}

impl Posts {
    pub(crate) fn take() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let kept = Kept::default();
        let keep = Arc::clone(&kept);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keep = Arc::clone(&keep);
                std::thread::spawn(move || serve(&stream, &keep));
            }
        });
        Self { url, kept }
    }

    /// What came to this path so far, one body after the other; none if nothing came.
    pub(crate) fn to(&self, path: &str) -> Vec<u8> {
        let kept = self.kept.lock().unwrap();
        kept.iter().filter(|(to, _)| to == path).flat_map(|(_, body)| body.iter().copied()).collect()
    }
}

/// Takes requests until the peer has gone, which it may do at any moment.
fn serve(mut stream: &TcpStream, kept: &Kept) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            (reader.read_line(&mut head).ok()? > 0).then_some(())?;
        }
        let path = head.split(' ').nth(1)?.to_owned();
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        kept.lock().unwrap().push((path, body));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}
