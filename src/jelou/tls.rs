//! TLS with what the binary brings along: ring, and Mozilla's CA roots.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// The configuration of the one client. It names its crypto provider, so that none need be installed for the process,
/// and its roots, because the image has no certificate store.
pub(super) fn config() -> Result<ClientConfig, rustls::Error> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // reqwest offers HTTP/2 only where it makes the configuration itself.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
