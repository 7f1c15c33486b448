//! `tls_server_config`: the certificate of the server, the protocol, and what is asked of clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::{ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version};
use zeroize::Zeroizing;

use super::Reading;
use super::clients::{self, Clients};
use super::section::{Findings, Section};
use crate::tls::{certificates, private_key, unfit};

/// The keys of the section.
pub(super) const KEYS: [&str; 13] = [
    "cert",
    "cert_file",
    "key",
    "key_file",
    "client_auth_type",
    "client_ca",
    "client_ca_file",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "curve_preferences",
    "prefer_server_cipher_suites",
];

/// TLS as it is to be spoken.
#[derive(Clone, Debug)]
pub struct Tls {
    /// What handshakes go by.
    pub server: Arc<ServerConfig>,
    clients: Clients,
    visitors: Arc<dyn ClientCertVerifier>,
    has_names: bool,
}

impl Tls {
    /// Whether a request may come by a connection that has shown these certificates, the client's first. The handshake
    /// lets in those without one when health is told to everybody. Where the connection `was_greeted_otherwise`, by
    /// another configuration than this one, what it has shown is looked at again.
    pub fn admits(&self, shown: &[CertificateDer<'_>], was_greeted_otherwise: bool) -> bool {
        match shown {
            [] => !self.clients.demands_certificate(),
            _ if !was_greeted_otherwise || self.clients == Clients::NoCert => true,
            [client, between @ ..] => self.visitors.verify_client_cert(client, between, UnixTime::now()).is_ok(),
        }
    }

    /// Whether nobody gets in without a certificate.
    pub(super) const fn demands_certificate(&self) -> bool {
        self.clients.demands_certificate()
    }

    /// Whether nobody gets in without a certificate that an authority vouches for.
    pub(super) fn verifies_all(&self) -> bool {
        self.clients == Clients::RequireAndVerify
    }

    /// Whether only certificates with certain names are let in.
    pub(super) const fn knows_names(&self) -> bool {
        self.has_names
    }
}

/// What the section is read with.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// Where relative paths begin.
    pub(super) folder: &'a Path,
    pub(super) reading: Reading<'a>,
    pub(super) http2: bool,
}

impl Around<'_> {
    /// What stands inline behind `inline` or in the file behind `{inline}_file`, with the key that named it.
    pub(super) fn material(self, section: &mut Section, inline: &str, findings: &mut Findings) -> Option<Material> {
        let by_file = format!("{inline}_file");
        let (text, file) = (section.text(inline, findings), section.text(&by_file, findings));
        let (inline, by_file) = (section.key(inline), section.key(&by_file));
        let file = match (text, file) {
            (Some(_), Some(_)) => {
                findings.refuse(&inline, None, format!("give either this or {by_file}"));
                return None;
            }
            (None, None) => return None,
            (Some(text), None) => return Some(Material { key: inline, text: text.into(), file: None }),
            (None, Some(file)) => self.folder.join(file),
        };
        match (self.reading.read_file)(&file) {
            Ok(text) => Some(Material { key: by_file, text: text.into(), file: Some(file) }),
            Err(error) => {
                findings.refuse(&by_file, file.to_str(), format!("the file cannot be read: {error}"));
                None
            }
        }
    }
}

/// A PEM text and where it came from. It may be a private key, so its memory is overwritten when it is dropped.
pub(super) struct Material {
    key: String,
    pub(super) text: Zeroizing<String>,
    file: Option<PathBuf>,
}

impl Material {
    pub(super) fn refuse(&self, what: impl Into<String>, findings: &mut Findings) {
        findings.refuse(&self.key, self.file.as_deref().and_then(Path::to_str), what);
    }
}

/// Reads the section; one that says nothing means plain HTTP.
pub(super) fn read(mut section: Section, around: Around<'_>, findings: &mut Findings) -> Option<Tls> {
    if section.is_empty() {
        return None;
    }
    let given = |section: &Section, key: &str| section.has(key) || section.has(&format!("{key}_file"));
    for key in ["cert", "key"] {
        if !given(&section, key) {
            findings.refuse(
                &section.key(&format!("{key}_file")),
                None,
                format!("this or {} is wanted", section.key(key)),
            );
        }
    }
    let certificate = around.material(&mut section, "cert", findings);
    let key = around.material(&mut section, "key", findings);
    let provider = provider(&mut section, around.http2, findings);
    let has_names = section.has("client_allowed_sans");
    let (clients, verifier) = clients::read(&mut section, around, findings);
    // What the file's list is for, and what the toolkit documents. Go itself has long stopped looking at it, and goes by an
    // order of its own.
    let prefers_own_order = section.switch("prefer_server_cipher_suites", true, findings);

    let chain = certificate.as_ref().and_then(|pem| chain(pem, findings));
    let secret = key.as_ref().and_then(|pem| private_key(&pem.text).map_err(|why| pem.refuse(why, findings)).ok());
    let ((provider, versions), visitors) = (provider?, verifier?);
    let builder = ServerConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&versions);
    let builder = match builder {
        Ok(builder) => builder.with_client_cert_verifier(Arc::clone(&visitors)),
        Err(why) => {
            findings.refuse(&section.key("cipher_suites"), None, why.to_string());
            return None;
        }
    };
    match builder.with_single_cert(chain?, secret?) {
        Ok(mut server) => {
            let protocols: &[&[u8]] = if around.http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
            server.ignore_client_order = prefers_own_order;
            server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Some(Tls { server: Arc::new(server), clients, visitors, has_names })
        }
        Err(why) => {
            key?.refuse(unfit(&why), findings);
            None
        }
    }
}

fn chain(pem: &Material, findings: &mut Findings) -> Option<Vec<CertificateDer<'static>>> {
    certificates(&pem.text).map_err(|why| pem.refuse(why, findings)).ok()
}

/// What Go calls the suites that there are here, those of TLS 1.2 with their own names.
const SUITES: [(&str, SupportedCipherSuite); 6] = [
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ring::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", ring::cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", ring::cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// The suites of TLS 1.3 by the names that Go gives them: they are always on, so naming one changes nothing.
const ALWAYS: [&str; 3] = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/// The suites of TLS 1.2 of which HTTP/2 demands one (RFC 9113, 9.2.2).
const HTTP2_SUITES: [&str; 2] = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"];

type Protocol = (CryptoProvider, Vec<&'static SupportedProtocolVersion>);

/// Versions, suites and curves.
fn provider(section: &mut Section, http2: bool, findings: &mut Findings) -> Option<Protocol> {
    let versions = versions(section, findings);
    let suites = suites(section, findings);
    let curves = curves(section, findings);
    let (mut versions, suites, curves) = (versions?, suites?, curves?);
    let mut provider = ring::default_provider();
    if let Some(names) = suites {
        let key = section.key("cipher_suites");
        // In the order of the file.
        let twelve: Vec<_> = names.iter().filter_map(|name| SUITES.iter().find(|(known, _)| known == name)).collect();
        if twelve.is_empty() {
            versions.retain(|version| **version != version::TLS12);
        } else if http2
            && versions.contains(&&version::TLS12)
            && !twelve.iter().any(|(name, _)| HTTP2_SUITES.contains(name))
        {
            let what = format!(
                "HTTP/2 over TLS 1.2 needs {}: add the one that suits the certificate, set min_version: TLS13, \
                 or set http_server_config.http2: false",
                HTTP2_SUITES.join(" or ")
            );
            findings.refuse(&key, None, what);
            return None;
        }
        if versions.is_empty() {
            findings.refuse(&key, None, "none of these belongs to TLS 1.2, and max_version admits nothing newer");
            return None;
        }
        provider.cipher_suites.retain(|suite| suite.tls13().is_some());
        provider.cipher_suites.extend(twelve.iter().map(|(_, suite)| *suite));
    }
    if !curves.is_empty() {
        provider.kx_groups = curves;
    }
    Some((provider, versions))
}

fn versions(section: &mut Section, findings: &mut Findings) -> Option<Vec<&'static SupportedProtocolVersion>> {
    let mut read = |key, otherwise| match section.text(key, findings).as_deref() {
        None => Some(otherwise),
        Some("TLS12") => Some(12),
        Some("TLS13") => Some(13),
        Some(old @ ("TLS10" | "TLS11")) => {
            let what = "TLS 1.0 and 1.1 are broken and not spoken here; write TLS12, or leave the key out";
            findings.refuse(&section.key(key), Some(old), what);
            None
        }
        Some(other) => {
            findings.refuse(&section.key(key), Some(other), "TLS12 or TLS13 is wanted");
            None
        }
    };
    let (least, most) = (read("min_version", 12), read("max_version", 13));
    let (least, most) = (least?, most?);
    if least > most {
        findings.refuse(&section.key("min_version"), Some("TLS13"), "it is above max_version");
        return None;
    }
    let all = [(13, &version::TLS13), (12, &version::TLS12)];
    Some(all.into_iter().filter(|(number, _)| (least..=most).contains(number)).map(|(_, version)| version).collect())
}

/// The names given, if any are; each is known.
fn suites(section: &mut Section, findings: &mut Findings) -> Option<Option<Vec<String>>> {
    let (names, key) = (section.texts("cipher_suites", findings), section.key("cipher_suites"));
    let mut fine = true;
    for name in &names {
        if ALWAYS.contains(&&**name) || SUITES.iter().any(|(known, _)| known == name) {
            continue;
        }
        let known = SUITES.map(|(known, _)| known).join(", ");
        let what = if name.contains("_CBC_") || name.starts_with("TLS_RSA_") || name.contains("_RC4_") {
            format!("this suite is weak and not spoken here; take it out, or write one of {known}")
        } else {
            format!("it is not known; one of {known} is wanted")
        };
        findings.refuse(&key, Some(name), what);
        fine = false;
    }
    fine.then(|| Some(names).filter(|names| !names.is_empty()))
}

fn curves(section: &mut Section, findings: &mut Findings) -> Option<Vec<&'static dyn SupportedKxGroup>> {
    let (names, key) = (section.texts("curve_preferences", findings), section.key("curve_preferences"));
    let mut groups = Vec::with_capacity(names.len());
    let count = names.len();
    for name in names {
        match &*name {
            "X25519" => groups.push(ring::kx_group::X25519),
            "CurveP256" => groups.push(ring::kx_group::SECP256R1),
            "CurveP384" => groups.push(ring::kx_group::SECP384R1),
            "CurveP521" => {
                let what = "this curve is not spoken here; take it out, or write CurveP384, CurveP256 or X25519";
                findings.refuse(&key, Some("CurveP521"), what);
            }
            other => findings.refuse(&key, Some(other), "X25519, CurveP256 or CurveP384 is wanted"),
        }
    }
    (groups.len() == count).then_some(groups)
}
