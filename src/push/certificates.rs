//! The files of certificates, which may be renewed while the process runs.

use std::time::Duration;

use super::PushError;
use crate::files;
use crate::tls::{TlsFiles, TlsTexts};

/// What the files hold now; none is waited for longer than `limit`.
pub(super) fn read(files: &TlsFiles, limit: Duration) -> Result<TlsTexts, PushError> {
    files.texts(|_, path| {
        let told = |error| PushError::Tls(format!("{} cannot be read: {error}", path.display()));
        files::read(path, limit).map(|mut contents| std::mem::take(&mut *contents.text)).map_err(told)
    })
}

/// The same beside the threads of the runtime, by a short glance.
pub(super) async fn look(files: &TlsFiles) -> Result<TlsTexts, PushError> {
    if files.is_empty() {
        return Ok(TlsTexts::default());
    }
    let files = files.clone();
    let read = tokio::task::spawn_blocking(move || read(&files, files::AT_A_GLANCE)).await;
    read.unwrap_or_else(|_| Err(PushError::Tls("the files cannot be read: reading them panicked".to_owned())))
}
