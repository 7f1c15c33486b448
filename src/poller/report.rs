//! What a poll has to say for itself.

use std::fmt;
use std::time::Duration;

use tracing::{info, warn};

use crate::domain::label::{RecordResult, WalkResult};
use crate::domain::ledger::ForeignCompany;
use crate::domain::snapshot::Own;
use crate::domain::time::Range;
use crate::jelou::ApiError;
use crate::store::StoreError;

/// Why a poll failed.
#[derive(Debug)]
pub enum PollError {
    /// A request failed for good.
    Api {
        /// The range that was being read.
        range: Range,
        /// How.
        error: ApiError,
    },
    /// An old stretch was refused, while the newest one was not.
    Stretch {
        /// The range that was being read.
        range: Range,
        /// How.
        error: ApiError,
    },
    /// Records slipped through the pages of a range, walk after walk.
    Incomplete {
        /// The range that was being read.
        range: Range,
    },
    /// The upstream asked for silence for longer than the poll may last.
    Silenced {
        /// How long still.
        wait: Duration,
    },
    /// The credentials belong to another company.
    Company(ForeignCompany),
    /// What was read could not be kept; it is not shown until it is.
    Commit(StoreError),
    /// The initial range could not be read completely.
    InitialRange,
}

impl PollError {
    /// Whether the upstream refuses the request as such: asking again soon is useless.
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Api { error, .. } if error.is_refusal())
    }

    /// The kind, without anything that the upstream said.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Api { error, .. } | Self::Stretch { error, .. } => error.outcome().as_str(),
            Self::Incomplete { .. } => "incomplete",
            Self::Silenced { .. } => "silenced",
            Self::Company(_) => "foreign_company",
            Self::Commit(_) => "commit",
            Self::InitialRange => "initial_range",
        }
    }

    /// Whether the failure may concern one range only, so that the others are worth asking for.
    pub const fn is_of_one_range(&self) -> bool {
        match self {
            Self::Api { error, .. } => error.is_of_one_page(),
            Self::Stretch { .. } | Self::Incomplete { .. } => true,
            Self::Silenced { .. } | Self::Company(_) | Self::Commit(_) | Self::InitialRange => false,
        }
    }
}

impl fmt::Display for PollError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api { error, .. } => write!(f, "{error}"),
            Self::Stretch { range, error } => write!(f, "of the older range {range}: {error}"),
            Self::Incomplete { range } => write!(
                f,
                "the pages of the range {range} kept shifting: three walks showed fewer records than the upstream's total, \
                 each other ones; what they showed is counted, and the next poll reads the range again"
            ),
            Self::Silenced { wait } => {
                write!(
                    f,
                    "the upstream asked for silence (Retry-After), for {} s more: nothing is asked meanwhile",
                    wait.as_secs()
                )
            }
            Self::Company(error) => write!(f, "{error}"),
            Self::Commit(error) => {
                write!(f, "{error}; what was kept before is still served, and the next poll tries again")
            }
            Self::InitialRange => f.write_str("the initial range (poll.initial_lookback) could not be read completely"),
        }
    }
}

impl std::error::Error for PollError {}

impl From<ForeignCompany> for PollError {
    fn from(error: ForeignCompany) -> Self {
        Self::Company(error)
    }
}

impl From<StoreError> for PollError {
    fn from(error: StoreError) -> Self {
        Self::Commit(error)
    }
}

/// Where the exporter's own counters stood when a poll began.
pub(super) struct Marks {
    requests: u64,
    retries: u64,
    walks: u64,
    new: u64,
    changed: u64,
    rejected: u64,
}

impl Marks {
    pub(super) fn of(own: &Own) -> Self {
        Self {
            requests: own.api_requests.iter().map(|(_, count)| count).sum(),
            retries: own.api_retries,
            walks: own.walks.get(WalkResult::Complete),
            new: own.records.get(RecordResult::New),
            changed: own.records.get(RecordResult::Changed),
            rejected: own.records.get(RecordResult::Rejected),
        }
    }

    /// What the poll's span says of it.
    pub(super) fn trace(&self, own: &Own) -> [(&'static str, u64); 4] {
        let now = Self::of(own);
        [
            ("jelou.requests", now.requests - self.requests),
            ("jelou.walks", now.walks - self.walks),
            ("jelou.conversations.new", now.new - self.new),
            ("jelou.conversations.changed", now.changed - self.changed),
        ]
    }

    /// The one line that tells of the poll.
    pub(super) fn log(&self, own: &Own, result: &Result<(), PollError>, took: Duration) {
        let now = Self::of(own);
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let requests = now.requests - self.requests;
        let retries = now.retries - self.retries;
        let walks = now.walks - self.walks;
        let (new, changed) = (now.new - self.new, now.changed - self.changed);
        let rejected = now.rejected - self.rejected;
        let unsettled = own.unsettled;
        match result {
            Ok(()) => {
                info!(duration_ms, requests, retries, walks, new, changed, rejected, unsettled, "poll succeeded");
            }
            Err(error) => {
                warn!(%error, duration_ms, requests, retries, walks, new, changed, rejected, unsettled, "poll failed");
            }
        }
    }
}
