//! Client certificates: who is asked for one, who vouches for it, and which names are let in.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::section::{Findings, Section};
use super::tls::Around;
use crate::tls::certificates;

/// The policies of Go's `crypto/tls`, which the file names them by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clients {
    /// Nobody is asked.
    NoCert,
    /// Asked, whatever comes or not.
    Request,
    /// There must be one, whoever signed it.
    RequireAny,
    /// One that comes must be vouched for.
    VerifyIfGiven,
    /// There must be one, and it must be vouched for.
    RequireAndVerify,
}

impl Clients {
    const NAMED: [(&'static str, Self); 6] = [
        ("NoClientCert", Self::NoCert),
        ("RequestClientCert", Self::Request),
        ("RequireAnyClientCert", Self::RequireAny),
        ("VerifyClientCertIfGiven", Self::VerifyIfGiven),
        ("RequireAndVerifyClientCert", Self::RequireAndVerify),
        // An older name that the toolkit still takes.
        ("RequireClientCert", Self::RequireAny),
    ];

    /// Whether there must be one.
    pub(super) const fn demands_certificate(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }

    const fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }
}

/// The policy, and what verifies by it; without a verifier something was found wrong.
pub(super) fn read(
    section: &mut Section,
    around: Around<'_>,
    findings: &mut Findings,
) -> (Clients, Option<Arc<dyn ClientCertVerifier>>) {
    let given = section.has("client_auth_type");
    let policy = section.word("client_auth_type", &Clients::NAMED, findings);
    let has_authorities = section.has("client_ca") || section.has("client_ca_file");
    let authorities = around.material(section, "client_ca", findings);
    if section.has_empty_list("client_allowed_sans") {
        let what =
            "at least one name is wanted, for no certificate has one of none; take the key out to let in every name";
        findings.refuse(&section.key("client_allowed_sans"), Some("[]"), what);
    }
    let names = section.texts("client_allowed_sans", findings);
    let clients = match policy {
        Some(policy) => policy,
        None if given => return (Clients::NoCert, None),
        None => Clients::NoCert,
    };
    let key = section.key("client_auth_type");
    if clients == Clients::NoCert {
        if has_authorities || !names.is_empty() {
            let what = "RequireAndVerifyClientCert is wanted: authorities or names of clients are given, and nobody is asked for a certificate";
            findings.refuse(&key, given.then_some("NoClientCert"), what);
            return (clients, None);
        }
        return (clients, Some(WebPkiClientVerifier::no_client_auth()));
    }
    if !names.is_empty() && !clients.demands_certificate() {
        let what = "RequireAndVerifyClientCert is wanted with client_allowed_sans: by this policy whoever shows no certificate gets past \
                    the names";
        let given = Clients::NAMED.iter().find(|(_, policy)| *policy == clients).map(|(name, _)| *name);
        findings.refuse(&key, given, what);
        return (clients, None);
    }
    if !clients.verifies() {
        let what = if names.is_empty() {
            "such certificates prove nothing: anybody can make one; RequireAndVerifyClientCert lets in whom an authority vouches for"
        } else {
            "such certificates prove nothing: anybody can make one with a name of client_allowed_sans; RequireAndVerifyClientCert lets in \
             only those that an authority vouches for"
        };
        findings.warn(&key, what);
    }
    let mut trusted = Vec::new();
    if let Some(pem) = &authorities {
        match certificates(&pem.text) {
            Ok(certificates) => trusted = certificates,
            Err(why) => {
                pem.refuse(why, findings);
                return (clients, None);
            }
        }
    } else if has_authorities {
        return (clients, None);
    }
    if trusted.is_empty() && clients == Clients::RequireAndVerify {
        findings.refuse(
            &section.key("client_ca_file"),
            None,
            "the authority of the clients is wanted: without one nobody could get in",
        );
        return (clients, None);
    }
    if trusted.is_empty() && clients == Clients::VerifyIfGiven {
        findings
            .warn(&key, "without client_ca_file no client certificate can be verified: whoever shows one is refused");
    }
    let mandatory = clients.demands_certificate() && !around.reading.open_probes;
    match Visitors::new(clients, trusted, names, mandatory) {
        Ok(visitors) => (clients, Some(Arc::new(visitors))),
        Err(why) => {
            if let Some(pem) = &authorities {
                pem.refuse(why, findings);
            }
            (clients, None)
        }
    }
}

/// Verifies the certificates of clients by a policy.
#[derive(Debug)]
struct Visitors {
    clients: Clients,
    mandatory: bool,
    /// What checks that an authority vouches; `None` when none is known.
    vouched: Option<Arc<dyn ClientCertVerifier>>,
    /// The authorities, one of which may itself be the client: a certificate that it signed itself.
    trusted: Vec<CertificateDer<'static>>,
    /// One of these must be among the names of the certificate, if there are any.
    names: Vec<String>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Visitors {
    fn new(
        clients: Clients,
        trusted: Vec<CertificateDer<'static>>,
        names: Vec<String>,
        mandatory: bool,
    ) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let mut roots = RootCertStore::empty();
        for authority in &trusted {
            roots.add(authority.clone()).map_err(|why| why.to_string())?;
        }
        let vouched = if roots.is_empty() || !clients.verifies() {
            None
        } else {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            Some(verifier.map_err(|why| why.to_string())?)
        };
        Ok(Self { clients, mandatory, vouched, trusted, names, algorithms })
    }

    fn vouched(&self, client: &CertificateDer<'_>, between: &[CertificateDer<'_>], now: UnixTime) -> Result<(), Error> {
        let Some(verifier) = &self.vouched else { return Err(CertificateError::UnknownIssuer.into()) };
        match verifier.verify_client_cert(client, between, now) {
            Ok(_) => Ok(()),
            // One that signed itself cannot be both authority and client to the verifier; being the very one named is enough.
            Err(_) if self.trusted.iter().any(|known| known == client) => in_its_time(client, now),
            Err(why) => Err(why),
        }
    }

    fn named(&self, client: &CertificateDer<'_>) -> Result<(), Error> {
        if self.names.is_empty() || names(client)?.iter().any(|name| self.names.contains(name)) {
            return Ok(());
        }
        let why = "none of the names of the client certificate is in client_allowed_sans";
        Err(CertificateError::Other(OtherError(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(why))))
            .into())
    }
}

fn parsed(certificate: &CertificateDer<'_>) -> Result<Certificate, Error> {
    Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding.into())
}

fn in_its_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let validity = *parsed(certificate)?.tbs_certificate().validity();
    let now = now.as_secs();
    if now < validity.not_before.to_unix_duration().as_secs() {
        Err(CertificateError::NotValidYet.into())
    } else if now > validity.not_after.to_unix_duration().as_secs() {
        Err(CertificateError::Expired.into())
    } else {
        Ok(())
    }
}

/// The names of a certificate as `client_allowed_sans` spells them.
fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, Error> {
    let certificate = parsed(certificate)?;
    let extension = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    let extension = extension.map_err(|_| Error::from(CertificateError::BadEncoding))?;
    let spelt = |name: &GeneralName| match name {
        GeneralName::DnsName(text) | GeneralName::Rfc822Name(text) | GeneralName::UniformResourceIdentifier(text) => {
            Some(text.as_str().to_owned())
        }
        GeneralName::IpAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(bytes.as_bytes()).map(IpAddr::from);
            let address = v4.or_else(|_| <[u8; 16]>::try_from(bytes.as_bytes()).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    };
    Ok(extension.map(|(_, names)| names.0.iter().filter_map(spelt).collect()).unwrap_or_default())
}

impl ClientCertVerifier for Visitors {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.vouched.as_ref().map_or(&[], |verifier| verifier.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.clients.verifies() {
            self.vouched(end_entity, intermediates, now)?;
        }
        self.named(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
