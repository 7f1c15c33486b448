//! What was asked, so that tests can judge how the upstream is treated.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::faults::Fault;
use super::request::Dialect;
use crate::domain::time::UnixMillis;

/// The oldest requests are forgotten beyond this number.
const KEPT: usize = 200_000;

/// One request, as the server took it.
#[derive(Clone, Debug)]
pub struct LoggedRequest {
    /// When it came, by the simulator's clock.
    pub at: UnixMillis,
    /// When it came, by the clock of the runtime.
    pub arrived: Instant,
    /// The path without its query.
    pub path: String,
    /// The `timezone` header.
    pub timezone: Option<String>,
    /// `None` when path or method belong to no dialect.
    pub dialect: Option<Dialect>,
    /// `startAt` and `endAt`; `None` when they were not read (refused or failed before that).
    pub range: Option<(UnixMillis, UnixMillis)>,
    /// Page and limit, as answered.
    pub page: Option<(u64, u64)>,
    /// What went wrong with it on purpose.
    pub fault: Fault,
    /// The status of the answer; `None` when there was none.
    pub status: Option<u16>,
    /// How many rows the answer held.
    pub rows: usize,
}

/// The requests so far.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    requests: VecDeque<LoggedRequest>,
    total: u64,
}

impl RequestLog {
    pub(super) fn push(&mut self, request: LoggedRequest) {
        self.total += 1;
        if self.requests.len() == KEPT {
            self.requests.pop_front();
        }
        self.requests.push_back(request);
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn list(&self) -> Vec<LoggedRequest> {
        self.requests.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The most requests that came within any stretch of this length (its end excluded).
    pub(super) fn most_within(&self, stretch: Duration) -> usize {
        let (mut most, mut first) = (0, 0);
        for (index, request) in self.requests.iter().enumerate() {
            while request.arrived.duration_since(self.requests[first].arrived) >= stretch {
                first += 1;
            }
            most = most.max(index - first + 1);
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_busiest_second_is_found() {
        let (start, mut log) = (Instant::now(), RequestLog::default());
        for millis in [0, 900, 999, 1000, 1800, 2500] {
            log.push(LoggedRequest {
                at: UnixMillis(0),
                arrived: start + Duration::from_millis(millis),
                path: String::new(),
                timezone: None,
                dialect: None,
                range: None,
                page: None,
                fault: Fault::Nothing,
                status: Some(200),
                rows: 0,
            });
        }
        assert_eq!(log.most_within(Duration::from_secs(1)), 4);
        assert_eq!((log.total(), log.list().len()), (6, 6));
    }
}
