//! How much patience the server has, and with how many.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// The bounds of what clients may take up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once; for one more, the one that has been idle longest is closed.
    pub(super) connections: usize,
    /// Connections beyond these that are accepted and wait for their place; for one more, one that has waited longest is closed,
    /// of the peer of whom most wait.
    pub(super) waiting: usize,
    /// Connections that had to leave, and are held open for a while: those of whoever asked so shortly before that it would be
    /// here again at once.
    pub(super) tarpit: usize,
    /// How shortly before.
    pub(super) again: Duration,
    /// For how long they are held. Whoever asks once a second, by a connection that it keeps, is to find it closed by then.
    pub(super) tarpit_time: Duration,
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
    /// Whoever waits for a place for longer is a newcomer no more.
    pub(super) stall: Duration,
    /// From shutdown to the end of the last answer.
    pub(super) drain: Duration,
}

const CONNECTIONS: usize = 256;

/// Connections that may wait, and as many that may be in the tarpit, of so many files that the process may have open: some are
/// left for the API, the checkpoint and whatever is opened now and then.
fn waiting(files: Option<u64>) -> usize {
    const MOST: u64 = 2048;
    const OTHERS: u64 = 128;
    let left = files.unwrap_or(u64::MAX).saturating_sub(CONNECTIONS as u64 + OTHERS);
    (left / 2).min(MOST) as usize
}

impl Default for Limits {
    fn default() -> Self {
        let waiting = waiting(getrlimit(Resource::Nofile).current);
        Self {
            connections: CONNECTIONS,
            waiting,
            tarpit: waiting,
            again: Duration::from_millis(250),
            tarpit_time: Duration::from_millis(750),
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

/// How often it is looked whether somebody could leave for those who wait.
pub(super) const LOOK: Duration = Duration::from_millis(5);

/// What one connection may be sent before it is the turn of the others.
pub(super) const BURST: usize = 128 << 10;

/// The most that the headers of one request may take, its line included. A browser's cookies fit.
pub(super) const HEAD_BYTES: usize = 16 << 10;

/// Requests that one HTTP/2 connection may have open at once.
pub(super) const STREAMS: u32 = 16;

/// Streams that an HTTP/2 client may open and give up before they were looked at; then it is cut off (CVE-2023-44487).
pub(super) const RESETS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_wait_leave_files_for_everything_else() {
        assert_eq!([None, Some(1 << 20), Some(1024), Some(256)].map(waiting), [2048, 2048, 320, 0]);
    }
}
