//! TLS for every outgoing connection: ring, and the CA roots that are inside the binary unless others are named.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, InconsistentKeys, RootCertStore};
use zeroize::Zeroizing;

/// Files that take the place of what a client usually trusts and shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates that the server's must come from, in place of the bundled roots.
    pub authorities: Option<PathBuf>,
    /// The client's own certificate with those between it and its root, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What such files hold, in PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsTexts {
    /// See [`TlsFiles::authorities`].
    pub authorities: Option<String>,
    /// See [`TlsFiles::identity`].
    pub identity: Option<(String, Zeroizing<String>)>,
}

impl TlsFiles {
    /// Whether no file is named.
    pub const fn is_empty(&self) -> bool {
        self.authorities.is_none() && self.identity.is_none()
    }

    /// What the files hold now, each as `read` gives it.
    ///
    /// # Errors
    ///
    /// The first that `read` gives.
    pub(crate) fn texts<E>(&self, read: impl Fn(Part, &Path) -> Result<String, E>) -> Result<TlsTexts, E> {
        let authorities = self.authorities.as_deref().map(|path| read(Part::Authorities, path)).transpose()?;
        let identity = match &self.identity {
            None => None,
            Some((certificate, key)) => Some((read(Part::Certificate, certificate)?, read(Part::Key, key)?.into())),
        };
        Ok(TlsTexts { authorities, identity })
    }
}

/// Which of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// [`TlsFiles::authorities`].
    Authorities,
    /// The certificate of [`TlsFiles::identity`].
    Certificate,
    /// Its key.
    Key,
}

/// Which of the texts cannot be used, and why. Says nothing of what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// [`TlsTexts::authorities`].
    Authorities(String),
    /// The certificate of [`TlsTexts::identity`].
    Certificate(String),
    /// Its key, by itself or together with the certificate.
    Key(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Authorities(why) => write!(f, "the certificate authorities cannot be used: {why}"),
            Self::Certificate(why) => write!(f, "the client's certificate cannot be used: {why}"),
            Self::Key(why) => write!(f, "the client's key cannot be used: {why}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// What an HTTPS client of this program trusts and speaks.
///
/// The roots are bundled because the image that holds nothing but the binary has no certificate store.
///
/// `alpn`: the HTTP versions to offer; reqwest offers HTTP/2 only where it makes the configuration itself.
pub fn client_config(alpn: &[&[u8]]) -> ClientConfig {
    config_with(&TlsTexts::default(), alpn).expect("the bundled roots need no reading")
}

/// The same with what these texts say.
///
/// # Errors
///
/// When one of them is not what it should be.
pub fn config_with(texts: &TlsTexts, alpn: &[&[u8]]) -> Result<ClientConfig, TlsError> {
    let roots = match &texts.authorities {
        Some(text) => authorities(text)?,
        None => RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_root_certificates(roots);
    let mut config = match &texts.identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate).map_err(TlsError::Certificate)?;
            let key = private_key(key).map_err(TlsError::Key)?;
            builder.with_client_auth_cert(chain, key).map_err(|why| TlsError::Key(unfit(&why)))?
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

pub(crate) fn authorities(text: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text).map_err(TlsError::Authorities)? {
        roots.add(certificate).map_err(|why| TlsError::Authorities(why.to_string()))?;
    }
    Ok(roots)
}

pub(crate) fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|why| why.to_string())?;
    if certificates.is_empty() { Err("no certificate in PEM is in it".to_owned()) } else { Ok(certificates) }
}

pub(crate) fn private_key(text: &str) -> Result<PrivateKeyDer<'static>, String> {
    let none = |_| "no private key in PEM is in it (one with a passphrase cannot be used)".to_owned();
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(none)
}

/// Why a private key was refused together with its certificate.
pub(crate) fn unfit(why: &rustls::Error) -> String {
    match why {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            "it is the key of another certificate".to_owned()
        }
        why => format!("it cannot be used with the certificate: {why}"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
