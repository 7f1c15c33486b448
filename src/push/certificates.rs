//! The files of certificates, which may be renewed while the process runs.

use std::fs;
use std::path::Path;

use super::PushError;
use crate::tls::{TlsFiles, TlsTexts};

/// What the files hold now.
pub(super) fn read(files: &TlsFiles) -> Result<TlsTexts, PushError> {
    let text = |path: &Path| {
        fs::read_to_string(path).map_err(|error| PushError::Tls(format!("{} cannot be read: {error}", path.display())))
    };
    let authorities = files.authorities.as_deref().map(text).transpose()?;
    let identity = match &files.identity {
        None => None,
        Some((certificate, key)) => Some((text(certificate)?, text(key)?.into())),
    };
    Ok(TlsTexts { authorities, identity })
}
