//! Who asks: a client id and a secret, from the settings or from a file that may change while the exporter runs.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use super::client::SetupError;
use crate::config::api::{ApiSettings, AuthScheme};
use crate::config::secret::Secret;
use crate::config::usable_secret;
use crate::domain::time::UnixMillis;
use crate::files;

/// The credentials as they are at present.
pub(super) struct Credentials {
    id: String,
    scheme: AuthScheme,
    file: Option<PathBuf>,
    /// When the file had been written that was looked at last, if that can be told.
    written: Mutex<Option<SystemTime>>,
    /// What it held when it was looked at last, until that is taken over.
    seen: Mutex<Option<io::Result<Seen>>>,
    current: RwLock<Current>,
}

/// What the file held, and when it had been written.
#[derive(Debug)]
pub(super) struct Seen {
    secret: Secret,
    written: Option<SystemTime>,
}

struct Current {
    secret: Secret,
    header: HeaderValue,
    /// When the upstream last accepted them, milliseconds; 0 when it never did.
    accepted_at: AtomicI64,
}

impl Credentials {
    /// The credentials that the settings name; `None` if they name none. A file, if there is one, has the last word.
    pub(super) fn load(settings: &ApiSettings) -> Result<Option<Self>, SetupError> {
        let file = settings.client_secret_file.clone();
        let (secret, written) = match &file {
            Some(path) => {
                let refused = |error: io::Error| SetupError::SecretFile { path: path.clone(), kind: error.kind() };
                let Seen { secret, written } = read(path, settings.auth, files::AT_LENGTH).map_err(refused)?;
                (Some(secret), written)
            }
            None => (settings.client_secret.clone(), None),
        };
        let (Some(id), Some(secret)) = (settings.client_id.clone(), secret) else { return Ok(None) };
        let current = Current::new(&id, settings.auth, secret).ok_or(SetupError::Credentials)?;
        let (written, seen, current) = (Mutex::new(written), Mutex::default(), RwLock::new(current));
        Ok(Some(Self { id, scheme: settings.auth, file, written, seen, current }))
    }

    /// The `Authorization` header.
    pub(super) fn header(&self) -> HeaderValue {
        self.with(|current| current.header.clone())
    }

    /// Goes by what the file was found to hold, from now on.
    pub(super) fn notice(&self, seen: Option<io::Result<Seen>>) {
        *lock(&self.seen) = seen;
    }

    /// Whether the file held another secret than the one in use, or was written anew: somebody who writes the same secret
    /// once more wants it to be tried. A file that cannot be read, or holds what the start would refuse, holds none.
    ///
    /// The content is compared, too, as it is short and the modification time of a mounted secret is not to be trusted.
    pub(super) fn file_changed(&self) -> bool {
        match &*lock(&self.seen) {
            Some(Ok(seen)) => {
                self.with(|current| current.secret != seen.secret) || seen.written != *lock(&self.written)
            }
            _ => false,
        }
    }

    /// Takes over what the file was found to hold; true if that is another secret. Without a file nothing can change; what
    /// goes wrong is told with the setting and the file.
    pub(super) fn reload(&self) -> io::Result<bool> {
        let Some((path, seen)) = self.file.as_deref().zip(lock(&self.seen).take()) else { return Ok(false) };
        let Seen { secret, written } = seen?;
        *lock(&self.written) = written;
        if self.with(|current| current.secret == secret) {
            return Ok(false);
        }
        let current = Current::new(&self.id, self.scheme, secret).ok_or_else(|| {
            let what = "the secret has characters that no header can carry";
            told(path, &io::Error::new(io::ErrorKind::InvalidData, what))
        })?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(true)
    }

    /// The upstream has accepted what is in use.
    pub(super) fn accepted(&self, now: UnixMillis) {
        self.with(|current| current.accepted_at.store(now.0, Ordering::Relaxed));
    }

    /// When it last did.
    pub(super) fn accepted_at(&self) -> Option<UnixMillis> {
        let at = self.with(|current| current.accepted_at.load(Ordering::Relaxed));
        (at != 0).then_some(UnixMillis(at))
    }

    /// How they are sent.
    pub(super) const fn scheme(&self) -> AuthScheme {
        self.scheme
    }

    /// Where the secret is read from, if from a file.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Whether white space surrounds the secret, which nobody sees.
    pub(super) fn has_blank_ends(&self) -> bool {
        self.with(|current| current.secret.expose().trim().len() != current.secret.expose().len())
    }

    /// The text without the secret, should an upstream quote what it was sent.
    pub(super) fn redact(&self, text: String) -> String {
        self.with(|current| {
            let sent = current.header.to_str().unwrap_or_default();
            let token = sent.strip_prefix("Basic ").unwrap_or(sent);
            // The token holds the secret: it goes first, or its other half would stay.
            [token, current.secret.expose()].into_iter().filter(|needle| !needle.is_empty()).fold(
                text,
                |text, needle| {
                    if text.contains(needle) { text.replace(needle, "<secret>") } else { text }
                },
            )
        })
    }

    fn with<T>(&self, f: impl FnOnce(&Current) -> T) -> T {
        f(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Current {
    /// `None` if no header can carry them.
    fn new(id: &str, scheme: AuthScheme, secret: Secret) -> Option<Self> {
        let pair = Zeroizing::new(format!("{id}:{}", secret.expose()));
        let text = match scheme {
            AuthScheme::Basic => {
                let token = Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()));
                Zeroizing::new(format!("Basic {}", *token))
            }
            AuthScheme::Raw => pair,
        };
        // Owned so, its memory is overwritten when the last copy of the header is dropped.
        let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(Text(text))).ok()?;
        header.set_sensitive(true);
        Some(Self { secret, header, accepted_at: AtomicI64::new(0) })
    }
}

/// Text as bytes.
struct Text(Zeroizing<String>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What is behind it is whole after every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn told(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("api.client_secret_file {}: {error}", path.display()))
}

/// The secret that the file holds, waited for no longer than `limit`; by the same rules as at the start. An empty file is a
/// secret half replaced, not an empty secret. An error tells setting and file.
pub(super) fn read(path: &Path, scheme: AuthScheme, limit: Duration) -> io::Result<Seen> {
    let files::Contents { text, written } = files::read(path, limit).map_err(|error| told(path, &error))?;
    match usable_secret(&text, Some(scheme)) {
        Ok(secret) => Ok(Seen { secret: Secret::new(secret.to_owned()), written }),
        Err(why) => Err(told(path, &io::Error::new(io::ErrorKind::InvalidData, why))),
    }
}
