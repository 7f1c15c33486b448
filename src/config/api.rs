//! How the upstream is reached.

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::secret::Secret;
use crate::tls::TlsFiles;

/// Settings of the section `api`.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Base URL: absolute, http or https, without a slash at the end.
    pub url: String,
    /// Which form of the API is spoken.
    pub dialect: Dialect,
    /// The path, if not the dialect's own.
    pub path: Option<String>,
    /// First half of the credentials.
    pub client_id: Option<String>,
    /// Second half, if given as such.
    pub client_secret: Option<Secret>,
    /// File that holds the second half instead.
    pub client_secret_file: Option<PathBuf>,
    /// Certificates of the authorities that are trusted in place of the bundled ones.
    pub ca_file: Option<PathBuf>,
    /// The certificate that the upstream is shown.
    pub client_certificate_file: Option<PathBuf>,
    /// Its key.
    pub client_key_file: Option<PathBuf>,
    /// How credentials are sent.
    pub auth: AuthScheme,
    /// The zone of zone-less dates.
    pub timezone: TimeZone,
    /// The name of that zone, for the `timezone` header.
    pub timezone_name: String,
    /// Records a page, as asked for.
    pub page_size: u32,
    /// For one request, whole.
    pub timeout: Duration,
    /// The budget for all requests together.
    pub requests_per_second: f64,
    /// Value of the `account` label.
    pub account: String,
}

impl ApiSettings {
    /// Whom TLS trusts and what it shows.
    pub fn tls(&self) -> TlsFiles {
        let identity = self.client_certificate_file.clone().zip(self.client_key_file.clone());
        TlsFiles { authorities: self.ca_file.clone(), identity }
    }
}

/// The form of the API that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// POST with a JSON body.
    MetricsPost,
    /// GET with everything in the query.
    ExternalGet,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: &[Self] = &[Self::MetricsPost, Self::ExternalGet];

    /// The name in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MetricsPost => "metrics-post",
            Self::ExternalGet => "external-get",
        }
    }

    /// The dialect of this name.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|dialect| dialect.as_str() == text)
    }

    /// The path unless `api.path` says otherwise.
    pub const fn default_path(self) -> &'static str {
        match self {
            Self::MetricsPost => "/v1/metrics/conversations/attended/external",
            Self::ExternalGet => "/v1/external/conversations",
        }
    }
}

/// How credentials are sent in the `Authorization` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthScheme {
    /// `Basic base64(id:secret)`.
    Basic,
    /// `id:secret` as it is.
    Raw,
}

impl AuthScheme {
    /// Every scheme.
    pub const ALL: &[Self] = &[Self::Basic, Self::Raw];

    /// The name in the settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Raw => "raw",
        }
    }

    /// The scheme of this name.
    pub fn named(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|scheme| scheme.as_str() == text)
    }
}
