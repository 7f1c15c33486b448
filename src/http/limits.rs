//! How much patience the server has, and with how many.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The bounds of what clients may take up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once; for one more, the one that has been idle longest is closed.
    pub(super) connections: usize,
    /// Connections beyond these that are accepted and wait for their place; for one more, one that has waited longest is closed,
    /// of the peer of whom most wait.
    pub(super) waiting: usize,
    /// Connections that had to leave and are closed only later, in the [tarpit](super::tarpit).
    pub(super) tarpit: usize,
    /// Who has to leave within this time of its last request comes into the tarpit.
    pub(super) busy: Duration,
    /// So long after it left it should have asked again, or it is closed. Together with `busy` it is less than a second: whoever
    /// scrapes once a second, by a connection that it keeps, is to find it closed when it is used next.
    pub(super) asks_again: Duration,
    /// For how long a client that waits for an answer is held.
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
/// Connections that may wait, and as many that may be in the tarpit.
const WAITING: u64 = 2048;
/// Files for the API, the checkpoint and whatever is opened now and then.
const OTHER_FILES: u64 = 128;

/// How many may wait, of so many files that the process may have open.
fn waiting(files: Option<u64>) -> usize {
    let left = files.unwrap_or(u64::MAX).saturating_sub(CONNECTIONS as u64 + OTHER_FILES);
    (left / 2).min(WAITING) as usize
}

/// Asks the system for as many open files as the limits provide for, up to what an administrator allows ("hard"). Many systems
/// begin with 1024 for the sake of programs that use `select`.
pub(super) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = CONNECTIONS as u64 + 2 * WAITING + OTHER_FILES;
    let wanted = limit.maximum.map_or(wanted, |most| most.min(wanted));
    if limit.current.is_some_and(|current| current < wanted)
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit })
    {
        tracing::debug!(%error, "no more open files are granted");
    }
}

impl Default for Limits {
    fn default() -> Self {
        let waiting = waiting(getrlimit(Resource::Nofile).current);
        Self {
            connections: CONNECTIONS,
            waiting,
            tarpit: waiting,
            busy: Duration::from_millis(250),
            asks_again: Duration::from_millis(400),
            tarpit_time: Duration::from_secs(3),
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
    fn as_many_files_may_be_open_as_the_limits_provide_for() {
        let before = getrlimit(Resource::Nofile);
        raise_open_files();
        let after = getrlimit(Resource::Nofile);
        let all = Limits::default();
        let enough = [all.connections, all.waiting, all.tarpit].iter().sum::<usize>() as u64 + OTHER_FILES;
        assert!(after.current.is_none_or(|files| files >= enough), "{before:?} {after:?}");
        assert!(after.current == after.maximum || all.waiting as u64 == WAITING, "{before:?} {after:?}");
        assert_eq!(before.maximum, after.maximum);
    }

    #[test]
    fn those_who_wait_leave_files_for_everything_else() {
        assert_eq!([None, Some(1 << 20), Some(1024), Some(256)].map(waiting), [2048, 2048, 320, 0]);
    }
}
