//! One call, one request, one page.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use std::{fmt, io};

use reqwest::header::{AUTHORIZATION, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::credentials::{self, Credentials};
use super::decode::decode;
use super::error::{ApiError, BodyError};
use super::message;
use super::request::Listing;
use super::transport::{self, Transport};
use crate::clock::Clock;
use crate::config::api::ApiSettings;
use crate::domain::reading::Page;
use crate::domain::time::{Range, UnixMillis};
use crate::files;
use crate::panics;
use crate::unreached::{Keys, Obstacle, Place, obstacle, reason};

/// Longest body that is read, after unpacking. A page of fifty records has some 30 KiB.
pub const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// Longest part of an error's body that is looked at.
const ERROR_BODY_LIMIT: usize = 64 * 1024;

/// What to look at when no answer comes.
const KEYS: Keys = Keys {
    url: "api.url",
    authorities: "api.ca_file",
    certificate: "api.client_certificate_file",
    timeout: "api.timeout",
};

/// A client of the listing. It keeps connections open from one call to the next.
pub struct Client {
    transport: Transport,
    listing: Listing,
    place: Place,
    credentials: Option<Credentials>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

/// Why there can be no client. Settings that were checked leave only files to go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetupError {
    /// `api.url` and `api.path` make no address.
    Url(String),
    /// `api.timezone` cannot stand in a header.
    Timezone,
    /// `api.client_secret_file` cannot be read, or is empty.
    SecretFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        kind: io::ErrorKind,
    },
    /// The credentials have characters that no header can carry.
    Credentials,
    /// `api.ca_file`, `api.client_certificate_file` or `api.client_key_file` cannot be used.
    TlsFiles(String),
    /// One of them cannot be read; which one, and why.
    TlsFile(String),
    /// The HTTP or TLS library cannot be set up.
    Http(String),
}

impl Client {
    /// A client for the upstream that the settings describe. Pages are stamped by `clock`.
    ///
    /// # Errors
    /// See [`SetupError`].
    pub fn new(settings: &ApiSettings, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let listing = Listing::new(settings)?;
        let credentials = Credentials::load(settings)?;
        let transport = Transport::new(settings, listing.is_loopback())?;
        let path = settings.path.as_deref().unwrap_or(settings.dialect.default_path());
        let place = Place::new(listing.url(), path, listing.is_loopback());
        Ok(Self { transport, listing, place, credentials, timeout: settings.timeout, clock })
    }

    /// Asks for one page (the first is 1) of the conversations that started within `range`: exactly one HTTP request.
    ///
    /// # Errors
    /// See [`ApiError`].
    pub async fn conversations(&self, range: Range, page: u32) -> Result<Page, ApiError> {
        let mut request = self.listing.request(range, page);
        if let Some(credentials) = &self.credentials {
            request.headers_mut().insert(AUTHORIZATION, credentials.header());
        }
        let sent_at = self.clock.now();
        let response = self.transport.http().execute(request).await.map_err(|error| self.unanswered(&error))?;
        if !response.status().is_success() {
            return Err(self.refused(response).await);
        }
        if let Some(credentials) = &self.credentials {
            credentials.accepted(sent_at);
        }
        let server_date = server_date(response.headers());
        let body = self.body(response).await?;
        let decoded = decode(&body, range, self.listing.zone()).map_err(|error| self.redact_body(error))?;
        Ok(Page { rows: decoded.rows, total: decoded.total, sent_at, server_date })
    }

    /// Where it asks, `scheme://host:port/path`, and by which proxy if there is one.
    pub fn place(&self) -> (&str, Option<&str>) {
        (self.place.url(), self.place.proxy())
    }

    /// Looks at the files of the credentials, beside the threads of the runtime: what it finds is what
    /// [`Self::credentials_changed`] and [`Self::reload_credentials`] go by. Cheap enough for every poll.
    ///
    /// # Errors
    /// When one does not answer, with its setting: of that one nothing new is known.
    pub async fn look_at_files(&self) -> io::Result<()> {
        let credentials = self.credentials.as_ref();
        let secret = credentials.and_then(|known| Some((known.file()?.to_owned(), known.scheme())));
        let certificates = self.transport.files();
        if secret.is_none() && certificates.is_none() {
            return Ok(());
        }
        let look = tokio::task::spawn_blocking(move || {
            let secret = secret.map(|(path, scheme)| credentials::read(&path, scheme, files::AT_A_GLANCE));
            (secret, certificates.map(|files| transport::read(&files, files::AT_A_GLANCE)))
        });
        let (secret, certificates) = look.await.map_err(|error| io::Error::other(panics::why(&error)))?;
        let (secret, no_secret) = answered(secret);
        // Nobody would be told that a file is gone, or holds no secret, before the next start fails.
        let no_secret = no_secret.or_else(|| match &secret {
            Some(Err(error)) => Some(io::Error::new(error.kind(), error.to_string())),
            _ => None,
        });
        let (certificates, no_certificates) = answered(certificates);
        if let Some(credentials) = &self.credentials {
            credentials.notice(secret);
        }
        self.transport.notice(certificates);
        no_secret.or(no_certificates).map_or(Ok(()), Err)
    }

    /// Takes over what the files of the credentials were found to hold, as is due after a 401, too: the secret's, and those of
    /// TLS. True if that is something else than before.
    ///
    /// # Errors
    /// When one cannot be used; what is in use stays.
    pub fn reload_credentials(&self) -> io::Result<bool> {
        let secret = self.credentials.as_ref().map_or(Ok(false), Credentials::reload);
        let certificates = self.transport.reload();
        Ok(secret? | certificates?)
    }

    /// Whether these files were found to hold something else than what is in use.
    pub fn credentials_changed(&self) -> bool {
        self.credentials.as_ref().is_some_and(Credentials::file_changed) || self.transport.files_changed()
    }

    /// What is known about an error besides what it says: of refused credentials, where they come from and how they fared.
    pub fn hint(&self, error: &ApiError) -> Option<String> {
        let refused = matches!(error, ApiError::Unauthorized { .. });
        self.credentials.as_ref().filter(|_| refused).map(|credentials| credentials.hint(self.clock.now()))
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, ApiError> {
        let too_large = ApiError::BadBody(BodyError::TooLarge { limit: BODY_LIMIT });
        let announced = response.content_length().map_or(Ok(0), usize::try_from).unwrap_or(usize::MAX);
        if announced > BODY_LIMIT {
            return Err(too_large);
        }
        let mut body = Vec::with_capacity(announced);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > BODY_LIMIT => return Err(too_large),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body),
                Err(error) if error.is_timeout() => return Err(ApiError::Timeout { after: self.timeout }),
                Err(_) => return Err(BodyError::Cut.into()),
            }
        }
    }

    fn unanswered(&self, error: &reqwest::Error) -> ApiError {
        if error.is_timeout() && !error.is_connect() {
            return ApiError::Timeout { after: self.timeout };
        }
        let obstacle = if error.is_timeout() { Obstacle::TooSlow } else { obstacle(error) };
        let detail = self.redact(message::one_line(&reason(error)));
        ApiError::Connect { why: self.place.unreached(&obstacle, &detail, KEYS) }
    }

    async fn refused(&self, response: Response) -> ApiError {
        let status = response.status();
        let headers = response.headers().clone();
        let code = status.as_u16();
        if status.is_redirection() {
            return ApiError::Redirected { status: code, location: self.location(&headers) };
        }
        if !status.is_client_error() && !status.is_server_error() {
            return BodyError::NotJson.into();
        }
        let body = beginning(response).await;
        if status == StatusCode::INTERNAL_SERVER_ERROR && tells_of_no_company(&body) {
            return ApiError::NoCompany;
        }
        let retry_after = retry_after(&headers, self.clock.now());
        let message = message::in_body(&body).map(|text| self.redact(text));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ApiError::Unauthorized { status: code, message },
            StatusCode::NOT_FOUND => ApiError::NotFound { message },
            StatusCode::TOO_MANY_REQUESTS => ApiError::RateLimited { retry_after },
            _ if status.is_client_error() => ApiError::InvalidRequest { status: code, message },
            _ => ApiError::ServerError { status: code, retry_after, message },
        }
    }

    /// Where a redirect leads, without what may be secret or personal in it.
    fn location(&self, headers: &HeaderMap) -> Option<String> {
        let location = headers.get(LOCATION)?.to_str().ok()?;
        let without_query = location.split(['?', '#']).next()?;
        Some(self.redact(message::one_line(without_query)))
    }

    /// The text as an error may bear it: without the secret, should the upstream quote what it was sent, and short.
    fn redact(&self, text: String) -> String {
        message::shorten(match &self.credentials {
            Some(credentials) => credentials.redact(text),
            None => text,
        })
    }

    fn redact_body(&self, error: BodyError) -> ApiError {
        ApiError::BadBody(match error {
            BodyError::Failure(said) => BodyError::Failure(said.map(|text| self.redact(text))),
            BodyError::NoResults(said) => BodyError::NoResults(said.map(|text| self.redact(text))),
            other => other,
        })
    }
}

/// What a look has found, and the error if nothing was found because the file does not answer.
fn answered<T>(found: Option<io::Result<T>>) -> (Option<io::Result<T>>, Option<io::Error>) {
    match found {
        Some(Err(error)) if files::is_silent(&error) => (None, Some(error)),
        found => (found, None),
    }
}

/// What can be had of an error's body. It only adds words to a status that is known, so its own errors do not matter.
async fn beginning(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk[..chunk.len().min(ERROR_BODY_LIMIT - body.len())]);
        if body.len() == ERROR_BODY_LIMIT {
            break;
        }
    }
    body
}

fn tells_of_no_company(body: &[u8]) -> bool {
    const PHRASE: &[u8] = b"not have an assigned company";
    body.windows(PHRASE.len()).any(|window| window.eq_ignore_ascii_case(PHRASE))
}

fn server_date(headers: &HeaderMap) -> Option<UnixMillis> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

fn http_date(text: &str) -> Option<UnixMillis> {
    let since = httpdate::parse_http_date(text.trim()).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok().map(UnixMillis)
}

/// `Retry-After` from now: seconds, or a date, which is told by the upstream's own clock where that is known.
fn retry_after(headers: &HeaderMap, now: UnixMillis) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = http_date(text)?.since(server_date(headers).unwrap_or(now));
    Some(Duration::from_millis(u64::try_from(until).unwrap_or(0)))
}

impl Error for SetupError {}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(why) => write!(f, "api.url and api.path make no address: {why}"),
            Self::Timezone => f.write_str("api.timezone has characters that no header can carry"),
            Self::SecretFile { path, kind } => write!(f, "api.client_secret_file {}: {kind}", path.display()),
            Self::Credentials => {
                f.write_str("api.client_id or the client secret has characters that no header can carry")
            }
            Self::TlsFiles(why) => {
                write!(f, "api.ca_file, api.client_certificate_file or api.client_key_file: {why}")
            }
            Self::TlsFile(why) => f.write_str(why),
            Self::Http(why) => write!(f, "the HTTP client cannot be set up: {why}"),
        }
    }
}
