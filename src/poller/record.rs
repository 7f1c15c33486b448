//! What is remembered of each poll, for the status page.

use std::sync::Arc;
use std::time::Duration;

use super::{Deadlines, PollError, Poller, Upstream};
use crate::domain::history::{Failure, PollRecord, Work};

/// Longest reason that is remembered, in characters: what the system says of a connection may be of any length.
const LONGEST: usize = 600;

impl<U: Upstream> Poller<U> {
    /// Remembers the poll that has just been counted.
    pub(super) fn remember(&mut self, took: Duration, work: Work, error: Option<&PollError>) {
        let record = PollRecord {
            number: self.own.polls.total(),
            began: self.own.last_poll.unwrap_or_default(),
            took: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            failure: error.map(PollError::failure),
            work,
            slow_work: Work::default(),
        };
        Arc::make_mut(&mut self.own.history).push(record);
    }

    /// Catch-up and sweep, remembered with the poll that they follow.
    pub(super) async fn slow_work_remembered(&mut self, deadlines: Deadlines) {
        let before = self.own.work();
        self.slow_work(deadlines).await;
        let work = self.own.work().since(&before);
        if work != Work::default() {
            Arc::make_mut(&mut self.own.history).add_slow_work(work);
        }
    }
}

impl PollError {
    /// What is told of it where anyone may read: without the upstream's own words, which only the log has.
    fn failure(&self) -> Failure {
        let why = match self {
            Self::Api { range, error } => Self::Api { range: *range, error: error.without_words() }.to_string(),
            Self::Stretch { range, error } => Self::Stretch { range: *range, error: error.without_words() }.to_string(),
            Self::Incomplete { .. }
            | Self::Silenced { .. }
            | Self::Company(_)
            | Self::Commit(_)
            | Self::InitialRange
            | Self::Future { .. } => self.to_string(),
        };
        let more =
            if why == self.to_string() { "" } else { "; what of the API's own words may be shown is in the log" };
        let why = match why.char_indices().nth(LONGEST) {
            Some((cut, _)) => format!("{}…", &why[..cut]),
            None => why,
        };
        let why = why + more;
        Failure { kind: self.kind(), why, refused: self.is_refusal() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Range;
    use crate::jelou::ApiError;
    use crate::jelou::error::BodyError;

    #[test]
    fn what_the_upstream_says_stays_in_the_log() {
        let said = || Some("María Pérez 0991234567".to_owned());
        let errors = [
            ApiError::Unauthorized { status: 401, message: said() },
            ApiError::NotFound { message: said() },
            ApiError::InvalidRequest { status: 422, message: said() },
            ApiError::ServerError { status: 500, retry_after: None, message: said() },
            ApiError::Redirected { status: 302, location: said() },
            ApiError::BadBody(BodyError::Failure(said())),
            ApiError::BadBody(BodyError::NoResults(said())),
        ];
        for error in errors {
            let range = Range::new(0, 60);
            for error in [PollError::Api { range, error: error.clone() }, PollError::Stretch { range, error }] {
                assert!(error.to_string().contains("María"), "{error}");
                let failure = error.failure();
                assert!(!failure.why.contains("María") && failure.why.ends_with("is in the log"), "{failure:?}");
            }
        }
    }

    #[test]
    fn a_reason_has_an_end() {
        let error = ApiError::Connect { why: "é".repeat(5000) };
        let failure = PollError::Api { range: Range::new(0, 60), error }.failure();
        assert_eq!(failure.why.chars().count(), LONGEST + 1);
        assert_eq!(failure.kind, "connect");
    }
}
