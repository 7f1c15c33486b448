//! `api.*`: how to reach the upstream and as whom.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::secret::Secret;

/// Everything that a request to the upstream depends on, validated.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// `api.url`: absolute, http or https, no slash at its end.
    pub url: String,
    /// `api.dialect`.
    pub dialect: Dialect,
    /// `api.path`; `None` means the dialect's own.
    pub path: Option<String>,
    /// `api.client_id`.
    pub client_id: Option<String>,
    /// `api.client_secret`.
    pub client_secret: Option<Secret>,
    /// `api.client_secret_file`.
    pub client_secret_file: Option<PathBuf>,
    /// `api.auth`.
    pub auth: AuthScheme,
    /// The zone that `api.timezone` names.
    pub timezone: TimeZone,
    /// `api.timezone` as it was written; the header carries it so.
    pub timezone_name: String,
    /// `api.page_size`.
    pub page_size: u32,
    /// `api.timeout`.
    pub timeout: Duration,
    /// `api.requests_per_second`.
    pub requests_per_second: f64,
    /// `api.account`.
    pub account: String,
}

/// Which of the two documented forms of the listing is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// POST with a JSON body.
    MetricsPost,
    /// GET with everything in the query.
    ExternalGet,
}

impl Dialect {
    /// Every value.
    pub const ALL: &[Self] = &[Self::MetricsPost, Self::ExternalGet];

    /// The value as the setting spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MetricsPost => "metrics-post",
            Self::ExternalGet => "external-get",
        }
    }

    /// The value that the setting spells so.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text)
    }

    /// The path asked when `api.path` names none.
    pub const fn default_path(self) -> &'static str {
        match self {
            Self::MetricsPost => "/v1/metrics/conversations/attended/external",
            Self::ExternalGet => "/v1/external/conversations",
        }
    }
}

/// How the credentials are put into the `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// `Basic base64(id:secret)`.
    Basic,
    /// `id:secret` as it is.
    Raw,
}

impl AuthScheme {
    /// Every value.
    pub const ALL: &[Self] = &[Self::Basic, Self::Raw];

    /// The value as the setting spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Raw => "raw",
        }
    }

    /// The value that the setting spells so.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.as_str() == text)
    }
}
