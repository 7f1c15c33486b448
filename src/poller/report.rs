//! What a poll has to say for itself.

use std::fmt;
use std::time::Duration;

use tracing::field::display;
use tracing::{debug, info, warn};

use crate::domain::history::Work;
use crate::domain::label::{RecordResult, WalkResult};
use crate::domain::ledger::ForeignCompany;
use crate::domain::snapshot::Own;
use crate::domain::time::{Range, UnixMillis};
use crate::jelou::ApiError;
use crate::store::StoreError;
use crate::streak::{News, Streak, likeness};

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
    /// Records slipped through the pages of a range, walk after walk, or there were more pages than there can be.
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
    /// All that may be asked for lies in the future.
    Future {
        /// The first second that may be asked for.
        begins: i64,
    },
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
            Self::Future { .. } => "clock",
        }
    }

    /// By what one failure is like another: then only one of them is worth telling.
    pub(super) fn likeness(&self) -> String {
        let more = match self {
            Self::Api { error, .. } | Self::Stretch { error, .. } => match error {
                ApiError::Connect { why } => likeness(why),
                ApiError::BadBody(body) => format!("{:?}", std::mem::discriminant(body)),
                other => format!("{:?}", other.http_status()),
            },
            Self::Commit(error) => likeness(&error.to_string()),
            _ => String::new(),
        };
        format!("{} {more}", self.kind())
    }

    /// What the API said, if that is what failed.
    pub(super) const fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Api { error, .. } | Self::Stretch { error, .. } => Some(error),
            _ => None,
        }
    }

    /// Whether the failure may concern one range only, so that the others are worth asking for.
    pub const fn is_of_one_range(&self) -> bool {
        match self {
            Self::Api { error, .. } => error.is_of_one_page(),
            Self::Stretch { .. } | Self::Incomplete { .. } => true,
            Self::Silenced { .. } | Self::Company(_) | Self::Commit(_) | Self::InitialRange | Self::Future { .. } => {
                false
            }
        }
    }

    /// The same where others have just been answered: then a refusal or no answer may be due to what was asked for, too.
    pub(super) const fn may_be_of_one_range(&self) -> bool {
        match self {
            Self::Api { error, .. } => {
                matches!(error, ApiError::InvalidRequest { .. } | ApiError::Timeout { .. }) || error.is_of_one_page()
            }
            other => other.is_of_one_range(),
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
                "the range {range} was not read completely: its pages kept shifting, so that three walks showed fewer records \
                 than the upstream's total, each other ones, or they came to no end; what they showed is counted, and the next \
                 poll reads the range again"
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
            Self::Future { begins } => write!(
                f,
                "reading begins at {}, which is still to come: this machine's clock or the API's is behind, or was ahead when \
                 that was settled; nothing can be read before. Set this machine's clock right (NTP)",
                UnixMillis::from_seconds(*begins)
            ),
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

/// A failure as it is told.
pub(super) struct Failure<'a> {
    pub(super) error: &'a PollError,
    /// What is known besides.
    pub(super) hint: Option<&'a str>,
    /// Where the upstream was asked, if it is the upstream that failed.
    pub(super) url: Option<&'a str>,
    /// By which proxy.
    pub(super) proxy: Option<&'a str>,
}

/// What a poll's span says of what it did.
pub(super) fn span_numbers(work: &Work) -> [(&'static str, u64); 4] {
    [
        ("jelou.requests", work.requests.total()),
        ("jelou.walks", work.walks.get(WalkResult::Complete)),
        ("jelou.conversations.new", work.records.get(RecordResult::New)),
        ("jelou.conversations.changed", work.records.get(RecordResult::Changed)),
    ]
}

/// The one line that tells of a poll that did this work, unless that was told.
pub(super) fn log(own: &Own, work: &Work, result: Result<&(), Failure<'_>>, took: Duration, streak: &mut Streak) {
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let (requests, retries) = (work.requests.total(), work.retries);
    let walks = work.walks.get(WalkResult::Complete);
    let [new, changed, rejected] =
        [RecordResult::New, RecordResult::Changed, RecordResult::Rejected].map(|result| work.records.get(result));
    let unsettled = own.unsettled;
    match result {
        Ok(()) => {
            if let Some((failures, since)) = streak.succeeded() {
                info!(failures, failing_since = %since, "polls succeed again");
            }
            let complete_until = own.data_complete.map(display);
            info!(
                duration_ms,
                requests, retries, walks, new, changed, rejected, unsettled, complete_until, "poll succeeded"
            );
        }
        Err(Failure { error, hint, url, proxy }) => {
            match streak.failed(error.likeness(), own.last_poll.unwrap_or_default()) {
                News::First => warn!(
                    %error, hint, url, proxy, duration_ms, requests, retries, walks, new, changed, rejected, unsettled,
                    "poll failed"
                ),
                News::StillFailing { failures, since } => {
                    warn!(%error, hint, url, proxy, failures, failing_since = %since, requests, new, "polls still fail");
                }
                News::Again { failures } => {
                    debug!(%error, failures, duration_ms, requests, new, changed, "poll failed again");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jelou::error::BodyError;

    #[test]
    fn failures_are_alike_by_what_a_reader_would_do_about_them() {
        let of = |error: ApiError| PollError::Api { range: Range::new(0, 1), error }.likeness();
        let connect = |why: &str| of(ApiError::Connect { why: why.to_owned() });
        let server = |status| of(ApiError::ServerError { status, retry_after: None, message: None });
        assert_eq!(connect("port 4711 is closed"), connect("port 4712 is closed"));
        assert_ne!(connect("no route"), connect("no address"));
        assert_ne!(server(502), server(503));
        assert_ne!(of(BodyError::Html.into()), of(BodyError::Cut.into()));
        let said = |text: &str| of(BodyError::Failure(Some(text.to_owned())).into());
        assert_eq!(
            said("request 1a2b failed"),
            said("request 3c4d failed"),
            "an upstream may say it in ever other words"
        );
        let commit = |why: &str| {
            PollError::Commit(StoreError::Unusable { path: "state.db".into(), why: why.to_owned() }).likeness()
        };
        assert_ne!(commit("No space left on device"), commit("Read-only file system"));
    }
}
