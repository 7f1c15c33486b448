//! Everything that can go wrong with one request.

use std::fmt;
use std::time::Duration;

use super::lenient::MAX_ROWS;
use crate::domain::label::Outcome;

/// Why a request brought no page. A `message` is what the upstream says, codes and known phrases alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    /// 401 or 403: the credentials are refused.
    Unauthorized {
        /// The HTTP status.
        status: u16,
        /// What the upstream says.
        message: Option<String>,
    },
    /// 404: nothing is there.
    NotFound {
        /// What the upstream says.
        message: Option<String>,
    },
    /// 422, or a 4xx that has no variant of its own.
    InvalidRequest {
        /// The HTTP status.
        status: u16,
        /// What the upstream says.
        message: Option<String>,
    },
    /// 429: asked too often.
    RateLimited {
        /// `Retry-After`, counted from now.
        retry_after: Option<Duration>,
    },
    /// 5xx.
    ServerError {
        /// The HTTP status.
        status: u16,
        /// `Retry-After`, counted from now.
        retry_after: Option<Duration>,
        /// What the upstream says.
        message: Option<String>,
    },
    /// The 500 that says "authorization token does not have an assigned company": permanent for these credentials.
    NoCompany,
    /// 3xx. Not followed: the credentials go to the address that was configured and to no other.
    Redirected {
        /// The HTTP status.
        status: u16,
        /// Where to, without query.
        location: Option<String>,
    },
    /// No whole answer within `api.timeout`.
    Timeout {
        /// `api.timeout`.
        after: Duration,
    },
    /// No answer: no address, no connection, no TLS, or a connection that closed before an answer began.
    Connect {
        /// What stands in the way, where, and the way out.
        why: String,
    },
    /// An answer began, and is no page.
    BadBody(BodyError),
}

/// Why the body of an answer is no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Longer than the limit, when unpacked.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// More rows than any page has.
    TooManyRows,
    /// Ends too early. A connection that breaks in the middle of an answer counts here, not as [`ApiError::Connect`]:
    /// the upstream was reached and did answer. A body that cannot be unpacked looks the same.
    Cut,
    /// An HTML page, as proxies and login pages send it.
    Html,
    /// No JSON, or JSON with an error in it.
    NotJson,
    /// `status` says that the request failed, though the HTTP status is 200.
    Failure(Option<String>),
    /// No `results` array, with the upstream's message if there is one.
    NoResults(Option<String>),
}

impl ApiError {
    /// The label under which the request is counted.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Unauthorized { .. } => Outcome::Unauthorized,
            Self::NotFound { .. } | Self::InvalidRequest { .. } => Outcome::InvalidRequest,
            Self::RateLimited { .. } => Outcome::RateLimited,
            Self::ServerError { .. } | Self::NoCompany => Outcome::ServerError,
            Self::Timeout { .. } => Outcome::Timeout,
            Self::Connect { .. } => Outcome::Connect,
            // The contract has no label for a redirect; like these it is an answer that is no page.
            Self::Redirected { .. } | Self::BadBody(_) => Outcome::BadBody,
        }
    }

    /// Whether the same request may go better in a moment.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::Unauthorized { .. } | Self::NotFound { .. } | Self::NoCompany | Self::Redirected { .. } => false,
            // 408: the upstream's own timeout.
            Self::InvalidRequest { status, .. } => *status == 408,
            Self::RateLimited { .. } | Self::ServerError { .. } | Self::Timeout { .. } | Self::Connect { .. } => true,
            // What is too much once is too much again, and costs the upstream most.
            Self::BadBody(BodyError::TooLarge { .. } | BodyError::TooManyRows) => false,
            Self::BadBody(_) => true,
        }
    }

    /// Whether the failure may concern one page only, so that the others are worth asking for.
    pub const fn is_of_one_page(&self) -> bool {
        matches!(self, Self::ServerError { .. } | Self::BadBody(_))
    }

    /// Whether a range that is too wide may fail so.
    pub const fn may_be_too_wide(&self) -> bool {
        matches!(
            self,
            Self::InvalidRequest { status: 422, .. } | Self::ServerError { status: 500, .. } | Self::Timeout { .. }
        )
    }

    /// The HTTP status, if that is what tells the error.
    pub const fn http_status(&self) -> Option<u16> {
        match self {
            Self::Unauthorized { status, .. }
            | Self::InvalidRequest { status, .. }
            | Self::ServerError { status, .. }
            | Self::Redirected { status, .. } => Some(*status),
            Self::NotFound { .. } => Some(404),
            Self::RateLimited { .. } => Some(429),
            Self::NoCompany => Some(500),
            Self::Timeout { .. } | Self::Connect { .. } => None,
            Self::BadBody(_) => Some(200),
        }
    }

    /// How long the upstream wants to be left alone, from now.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after } | Self::ServerError { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The same without anything that the upstream said: for where more people read than the log.
    #[must_use]
    pub fn without_words(&self) -> Self {
        let mut plain = self.clone();
        match &mut plain {
            Self::Unauthorized { message, .. }
            | Self::NotFound { message }
            | Self::InvalidRequest { message, .. }
            | Self::ServerError { message, .. }
            | Self::Redirected { location: message, .. }
            | Self::BadBody(BodyError::Failure(message) | BodyError::NoResults(message)) => *message = None,
            Self::RateLimited { .. }
            | Self::NoCompany
            | Self::Timeout { .. }
            | Self::Connect { .. }
            | Self::BadBody(_) => {}
        }
        plain
    }

    /// Whether the upstream refuses what it is asked (401, 403, 404, 422): asking again within a poll is pointless, and
    /// five such polls in a row slow the polling down.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Unauthorized { .. } | Self::NotFound { .. } => true,
            Self::InvalidRequest { status, .. } => *status == 422,
            _ => false,
        }
    }
}

impl BodyError {
    /// Text that is no JSON: a page of HTML, or something else.
    pub(super) fn not_json(text: &str) -> Self {
        if text.trim_start().starts_with('<') { Self::Html } else { Self::NotJson }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        Self::BadBody(error)
    }
}

impl std::error::Error for ApiError {}
impl std::error::Error for BodyError {}

/// `: "what the upstream says"`, or nothing.
struct Said<'a>(&'a Option<String>);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |message| write!(f, ": \"{message}\""))
    }
}

/// `; it asks to wait 30 s`, or nothing.
struct Wait<'a>(&'a Option<Duration>);

impl fmt::Display for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |wait| write!(f, "; it asks to wait {} s", wait.as_secs()))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unauthorized { status, message } => write!(
                f,
                "the API refuses the credentials (HTTP {status}){}; check api.client_id, api.client_secret or \
                 api.client_secret_file, and api.auth",
                Said(message)
            ),
            Self::NotFound { message } => write!(
                f,
                "nothing is found at this address (HTTP 404){}; check api.url, api.dialect and api.path",
                Said(message)
            ),
            Self::InvalidRequest { status: status @ 405, message } => write!(
                f,
                "the API does not take this method here (HTTP {status}){}; check api.dialect and api.path",
                Said(message)
            ),
            Self::InvalidRequest { status: status @ 407, message } => write!(
                f,
                "the proxy wants a user and password (HTTP {status}){}; name them in HTTPS_PROXY or HTTP_PROXY",
                Said(message)
            ),
            Self::InvalidRequest { status, message } => write!(
                f,
                "the API rejects the request (HTTP {status}){}; check api.dialect, api.page_size and api.timezone",
                Said(message)
            ),
            Self::RateLimited { retry_after } => write!(
                f,
                "the API is asked too often (HTTP 429){}; lower api.requests_per_second if this goes on, and mind \
                 other users of the same credentials",
                Wait(retry_after)
            ),
            Self::ServerError { status, retry_after, message } => {
                write!(f, "the API has an error of its own (HTTP {status}){}{}", Said(message), Wait(retry_after))
            }
            Self::NoCompany => f.write_str(
                "the API says that these credentials have no company assigned; have Jelou assign one, or check \
                 api.client_id",
            ),
            Self::Redirected { status, location } => {
                write!(f, "the API redirects (HTTP {status})")?;
                if let Some(location) = location {
                    write!(f, " to {location}")?;
                }
                f.write_str("; redirects are not followed: set api.url to the address that answers itself")
            }
            Self::Timeout { after } => {
                write!(f, "no whole answer within {after:?}; check that api.url can be reached, or raise api.timeout")
            }
            Self::Connect { why } => write!(f, "no answer: {why}"),
            Self::BadBody(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => {
                write!(f, "the answer is longer than {} MiB; lower api.page_size", limit / (1024 * 1024))
            }
            Self::TooManyRows => write!(f, "the answer has more than {MAX_ROWS} rows; lower api.page_size"),
            Self::Cut => f.write_str("the answer ends in the middle or cannot be unpacked; look at what lies between"),
            Self::Html => f.write_str(
                "the answer is an HTML page and no JSON; check that api.url and api.path lead to the API, and not to a \
                 login page or a proxy",
            ),
            Self::NotJson => {
                f.write_str("the answer is no readable JSON; check that api.url and api.path lead to the API")
            }
            Self::Failure(message) => {
                write!(f, "the API answers with a failure, though with HTTP status 200{}", Said(message))
            }
            Self::NoResults(message) => {
                write!(f, "the answer has no list of results{}; check api.dialect and api.path", Said(message))
            }
        }
    }
}
