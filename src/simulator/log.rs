//! What was asked, so that tests can judge how the upstream is treated.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::faults::Fault;
use super::request::Dialect;
use crate::domain::time::UnixMillis;

/// Texts that a client sent are cut at this many bytes.
const LONGEST_TEXT: usize = 256;

/// One request, as the server took it.
#[derive(Clone, Debug)]
pub struct LoggedRequest {
    /// When it came, by the simulator's clock.
    pub at: UnixMillis,
    /// When it came, by the clock of the runtime.
    pub arrived: Instant,
    /// The path without its query, its beginning if it is long.
    pub path: String,
    /// The `timezone` header, its beginning if it is long.
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
#[derive(Debug)]
pub(super) struct RequestLog {
    /// The oldest are forgotten beyond this number.
    most: usize,
    requests: VecDeque<LoggedRequest>,
    total: u64,
}

impl RequestLog {
    /// Remembers so many.
    pub(super) fn keeping(most: usize) -> Self {
        Self { most, requests: VecDeque::new(), total: 0 }
    }

    pub(super) fn push(&mut self, mut request: LoggedRequest) {
        self.total += 1;
        if self.most == 0 {
            return;
        }
        [Some(&mut request.path), request.timezone.as_mut()].into_iter().flatten().for_each(cut);
        if self.requests.len() == self.most {
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
        *self = Self::keeping(self.most);
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

fn cut(text: &mut String) {
    text.truncate(text.floor_char_boundary(LONGEST_TEXT));
    text.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(arrived: Instant, path: &str) -> LoggedRequest {
        LoggedRequest {
            at: UnixMillis(0),
            arrived,
            path: path.to_owned(),
            timezone: Some(path.to_owned()),
            dialect: None,
            range: None,
            page: None,
            fault: Fault::Nothing,
            status: Some(200),
            rows: 0,
        }
    }

    #[test]
    fn the_busiest_second_is_found() {
        let (start, mut log) = (Instant::now(), RequestLog::keeping(10));
        for millis in [0, 900, 999, 1000, 1800, 2500] {
            log.push(request(start + Duration::from_millis(millis), ""));
        }
        assert_eq!(log.most_within(Duration::from_secs(1)), 4);
        assert_eq!((log.total(), log.list().len()), (6, 6));
    }

    #[test]
    fn neither_many_requests_nor_long_ones_pile_up() {
        let mut log = RequestLog::keeping(2);
        for number in 0..5 {
            log.push(request(Instant::now(), &format!("/{number}{}", "é".repeat(4000))));
        }
        let kept = log.list();
        assert_eq!((log.total(), kept.len(), &kept[0].path[..2]), (5, 2, "/3"));
        assert!(kept.iter().all(|request| request.path.len() == LONGEST_TEXT && request.path.capacity() < 1000));
        assert_eq!(kept[0].timezone.as_ref().unwrap().len(), LONGEST_TEXT);
        let mut log = RequestLog::keeping(0);
        log.push(request(Instant::now(), "/"));
        assert_eq!((log.total(), log.list().len()), (1, 0));
    }
}
