//! How much patience the server has, and with how many.

use std::time::Duration;

/// The bounds of what clients may take up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once; for one more, the one that has been idle longest is closed.
    pub(super) connections: usize,
    /// Answers at once that are being made or sent.
    pub(super) answers: usize,
    /// From the connection to the end of the TLS handshake.
    pub(super) handshake: Duration,
    /// From the first byte of a request to the end of its headers; of the first request, from the connection on.
    pub(super) head: Duration,
    /// From one answer to the next request.
    pub(super) idle: Duration,
    /// From the end of a request's headers to the end of its answer.
    pub(super) request: Duration,
    /// For how long an answer may be under way before its connection may be closed for want of room.
    pub(super) patience: Duration,
    /// The same for an answer that is ready and of which the client takes nothing for so long, and for a connection that has
    /// not brought its first request: at least so long it has to do so, or newcomers would do nothing but close each other.
    pub(super) stall: Duration,
    /// From shutdown to the end of the last answer.
    pub(super) drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            answers: 256,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            request: Duration::from_secs(60),
            patience: Duration::from_secs(2),
            stall: Duration::from_millis(50),
            drain: Duration::from_secs(2),
        }
    }
}

/// How often whoever waits for a place looks whether somebody could leave.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// What one connection may be sent before it is the turn of the others.
pub(super) const BURST: usize = 128 << 10;

/// The most that the headers of one request may take, its line included. A browser's cookies fit.
pub(super) const HEAD_BYTES: usize = 16 << 10;

/// Requests that one HTTP/2 connection may have open at once.
pub(super) const STREAMS: u32 = 16;

/// Streams that an HTTP/2 client may open and give up before they were looked at; then it is cut off (CVE-2023-44487).
pub(super) const RESETS: usize = 20;
