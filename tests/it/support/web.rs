//! Plain HTTP requests, one connection each.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// An answer, its header names in lower case.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub(crate) fn get(address: &str, path: &str) -> io::Result<Answer> {
    ask(address, "GET", path, "")
}

/// Asks with further header lines, each ended by CRLF.
pub(crate) fn ask(address: &str, method: &str, path: &str, headers: &str) -> io::Result<Answer> {
    send(address, method, path, headers, b"")?.try_into()
}

/// The same, sending this body, for an answer that may be anything but text.
pub(crate) fn send(address: &str, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<Bytes> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    write!(stream, "{method} {path} HTTP/1.0\r\nhost: {address}\r\n{headers}\r\n")?;
    stream.write_all(body)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(|| io::Error::other("no head"))?;
    let body = answer.split_off(end + 4);
    Ok(Bytes { head: String::from_utf8(answer).map_err(io::Error::other)?, body })
}

/// An answer as it came.
pub(crate) struct Bytes {
    head: String,
    pub(crate) body: Vec<u8>,
}

impl TryFrom<Bytes> for Answer {
    type Error = io::Error;

    fn try_from(answer: Bytes) -> io::Result<Self> {
        let Bytes { head, body } = answer;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {head}")))?;
        Ok(Self { status, head, body: String::from_utf8(body).map_err(io::Error::other)? })
    }
}

/// Text as a query may carry it.
pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
