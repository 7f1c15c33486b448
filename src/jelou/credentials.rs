//! Who asks: a client id and a secret, from the settings or from a file that may change while the exporter runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;
use std::{fs, io};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::header::HeaderValue;
use zeroize::Zeroizing;

use super::client::SetupError;
use crate::config::api::{ApiSettings, AuthScheme};
use crate::config::secret::Secret;
use crate::domain::time::UnixMillis;

/// The credentials as they are at present.
pub(super) struct Credentials {
    id: String,
    scheme: AuthScheme,
    file: Option<PathBuf>,
    /// When the file had been written that was looked at last, if that can be told.
    written: Mutex<Option<SystemTime>>,
    current: RwLock<Current>,
}

struct Current {
    secret: Secret,
    header: HeaderValue,
    /// When the upstream last accepted them, milliseconds; 0 when it never did.
    accepted_at: AtomicI64,
    /// What the file held instead when it was last taken over and could not be used.
    unusable: Option<Secret>,
}

impl Credentials {
    /// The credentials that the settings name; `None` if they name none. A file, if there is one, has the last word.
    pub(super) fn load(settings: &ApiSettings) -> Result<Option<Self>, SetupError> {
        let file = settings.client_secret_file.clone();
        // Before it is read: what is written between the two shows as a change.
        let written = Mutex::new(file.as_deref().and_then(written));
        let secret = match &file {
            Some(path) => {
                Some(read(path).map_err(|source| SetupError::SecretFile { path: path.clone(), kind: source.kind() })?)
            }
            None => settings.client_secret.clone(),
        };
        let (Some(id), Some(secret)) = (settings.client_id.clone(), secret) else { return Ok(None) };
        let current = Current::new(&id, settings.auth, secret).ok_or(SetupError::Credentials)?;
        Ok(Some(Self { id, scheme: settings.auth, file, written, current: RwLock::new(current) }))
    }

    /// The `Authorization` header.
    pub(super) fn header(&self) -> HeaderValue {
        self.with(|current| current.header.clone())
    }

    /// Whether the file holds another secret than the one in use, which was not tried in vain yet, or was written anew: somebody who writes the same secret
    /// once more wants it to be tried. A file that cannot be read holds none.
    ///
    /// The content is compared, too, as it is short and the modification time of a mounted secret is not to be trusted.
    pub(super) fn file_changed(&self) -> bool {
        let Some(path) = &self.file else { return false };
        let Ok(secret) = read(path) else { return false };
        self.with(|current| current.has_not_met(&secret)) || written(path) != *self.written()
    }

    /// Takes over what the file holds now; true if that is another secret. Without a file nothing can change; what goes
    /// wrong is told with the setting and the file.
    pub(super) fn reload(&self) -> io::Result<bool> {
        let Some(path) = &self.file else { return Ok(false) };
        let told = |error: io::Error| {
            io::Error::new(error.kind(), format!("api.client_secret_file {}: {error}", path.display()))
        };
        *self.written() = written(path);
        let secret = read(path).map_err(told)?;
        if self.with(|current| current.secret == secret) {
            return Ok(false);
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(new) = Current::new(&self.id, self.scheme, secret.clone()) {
            *current = new;
            return Ok(true);
        }
        // Once is enough: as long as the file seems to have changed, a refused upstream is asked at every poll.
        current.unusable = Some(secret);
        Err(told(io::Error::new(io::ErrorKind::InvalidData, "the secret has characters that no header can carry")))
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

    fn written(&self) -> MutexGuard<'_, Option<SystemTime>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
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
        Some(Self { secret, header, accepted_at: AtomicI64::new(0), unusable: None })
    }

    /// Whether this is neither the secret in use nor the one that could not be used instead.
    fn has_not_met(&self, secret: &Secret) -> bool {
        self.secret != *secret && self.unusable.as_ref() != Some(secret)
    }
}

/// Text as bytes.
struct Text(Zeroizing<String>);

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// When the file was written last.
fn written(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

/// The file's text without the line break at its end. An empty file is a secret half replaced, not an empty secret.
fn read(path: &Path) -> io::Result<Secret> {
    let text = Zeroizing::new(fs::read_to_string(path)?);
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty")),
        secret => Ok(Secret::new(secret.to_owned())),
    }
}
