//! The connection to the upstream: TLS by the files that the settings name, through a proxy where the environment wants one.
//!
//! reqwest follows the usual variables: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not.

use std::hash::{BuildHasher as _, Hasher as _};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use foldhash::fast::RandomState;
use reqwest::{redirect, retry};

use super::client::SetupError;
use crate::config::api::ApiSettings;
use crate::files;
use crate::tls::{self, Part, TlsFiles, TlsTexts};
use crate::unreached::{reason, to_connect};

const USER_AGENT: &str = concat!("jelou-exporter/", env!("CARGO_PKG_VERSION"));

/// An HTTP client that can be made anew when the files of TLS change.
pub(super) struct Transport {
    files: TlsFiles,
    timeout: Duration,
    /// A proxy cannot reach this machine's own loopback.
    past_proxies: bool,
    http: RwLock<reqwest::Client>,
    /// What the files held when they were last tried, as a hash: a key is not kept to be compared with.
    tried: Mutex<u64>,
    /// What they held when they were looked at last, as far as it is news.
    seen: Mutex<Option<io::Result<TlsTexts>>>,
    hasher: RandomState,
}

impl Transport {
    pub(super) fn new(settings: &ApiSettings, past_proxies: bool) -> Result<Self, SetupError> {
        let (files, timeout, hasher) = (settings.tls(), settings.timeout, RandomState::default());
        let texts = read(&files, files::AT_LENGTH).map_err(|error| SetupError::TlsFile(error.to_string()))?;
        let http = client(&texts, timeout, past_proxies)?;
        let tried = Mutex::new(hash(&hasher, &texts));
        Ok(Self { files, timeout, past_proxies, http: RwLock::new(http), tried, seen: Mutex::default(), hasher })
    }

    /// The client of the moment; it shares its connections with those that were handed out before.
    pub(super) fn http(&self) -> reqwest::Client {
        self.http.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The files to look at, if there are any.
    pub(super) fn files(&self) -> Option<TlsFiles> {
        (!self.files.is_empty()).then(|| self.files.clone())
    }

    /// Goes by what the files were found to hold, from now on.
    pub(super) fn notice(&self, seen: Option<io::Result<TlsTexts>>) {
        let is_news = |seen: &io::Result<TlsTexts>| match seen {
            Ok(texts) => hash(&self.hasher, texts) != *self.tried(),
            Err(_) => true,
        };
        *self.seen() = seen.filter(is_news);
    }

    /// Whether the files held something that was not tried yet. Files that cannot be read are half replaced.
    pub(super) fn files_changed(&self) -> bool {
        matches!(*self.seen(), Some(Ok(_)))
    }

    /// Takes over what the files were found to hold; true if that is something else than before.
    pub(super) fn reload(&self) -> io::Result<bool> {
        let Some(texts) = self.seen().take().transpose()? else { return Ok(false) };
        let now = hash(&self.hasher, &texts);
        if std::mem::replace(&mut *self.tried(), now) == now {
            return Ok(false);
        }
        let http = client(&texts, self.timeout, self.past_proxies)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        *self.http.write().unwrap_or_else(PoisonError::into_inner) = http;
        Ok(true)
    }

    fn tried(&self) -> MutexGuard<'_, u64> {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Option<io::Result<TlsTexts>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the files hold, none of which is waited for longer than `limit`. An error tells setting and file.
pub(super) fn read(files: &TlsFiles, limit: Duration) -> io::Result<TlsTexts> {
    files.texts(|part, path| {
        let setting = match part {
            Part::Authorities => "api.ca_file",
            Part::Certificate => "api.client_certificate_file",
            Part::Key => "api.client_key_file",
        };
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{setting} {}: {error}", path.display()));
        files::read(path, limit).map(|mut contents| std::mem::take(&mut *contents.text)).map_err(told)
    })
}

fn client(texts: &TlsTexts, timeout: Duration, past_proxies: bool) -> Result<reqwest::Client, SetupError> {
    let tls =
        tls::config_with(texts, &[b"h2", b"http/1.1"]).map_err(|error| SetupError::TlsFiles(error.to_string()))?;
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(USER_AGENT)
        .timeout(timeout)
        .connect_timeout(to_connect(timeout))
        .redirect(redirect::Policy::none())
        // One call is one request: the budget counts them, and the poller decides on retries.
        .retry(retry::never())
        .referer(false);
    if past_proxies {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| SetupError::Http(reason(&error)))
}

fn hash(hasher: &RandomState, texts: &TlsTexts) -> u64 {
    let mut hash = hasher.build_hasher();
    let identity = texts.identity.as_ref().map(|(certificate, key)| (certificate.as_str(), key.as_str()));
    let (certificate, key) = identity.unwrap_or_default();
    for text in [texts.authorities.as_deref().unwrap_or_default(), certificate, key] {
        hash.write(text.as_bytes());
        hash.write_usize(text.len());
    }
    hash.finish()
}
