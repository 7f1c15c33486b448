//! TLS for every outgoing connection: ring, and the CA roots that are inside the binary.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// What an HTTPS client of this program trusts and speaks.
///
/// The roots are bundled because the image that holds nothing but the binary has no certificate store.
///
/// `alpn`: the HTTP versions to offer; reqwest offers HTTP/2 only where it makes the configuration itself.
pub fn client_config(alpn: &[&[u8]]) -> ClientConfig {
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config
}
