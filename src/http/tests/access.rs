//! Who is let in: TLS, client certificates, passwords, rates, as a web configuration file says.

use std::time::Instant;

use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, SanType};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, SupportedCipherSuite};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::*;
use crate::clock::SystemClock;
use crate::domain::label::HttpDrop;
use crate::tls::tests::Authority;
use crate::tls::{TlsTexts, config_with};
use crate::web_config::tests::Folder;

/// A server with a web configuration file, and the authority that its certificate is from.
pub(super) struct Site {
    pub(super) folder: Folder,
    pub(super) authority: Authority,
    pub(super) server: Server,
}

/// TLS by the files of a [`Site`], with nothing behind.
pub(super) const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

/// `ada` with the password `one`.
pub(super) fn ada() -> String {
    format!("basic_auth_users:\n  ada: {}\n", bcrypt::hash("one", 4).unwrap())
}

impl Site {
    pub(super) async fn start(config: &str) -> Self {
        Self::opened(config, false).await
    }

    /// The same with `web.open_probes`.
    pub(super) async fn opened(config: &str, open_probes: bool) -> Self {
        Self::limited(config, open_probes, Limits::default()).await
    }

    async fn limited(config: &str, open_probes: bool, limits: Limits) -> Self {
        let (folder, authority) = (Folder::new(), Authority::new());
        let (certificate, key) = authority.issue("localhost");
        folder.put("server.crt", &certificate);
        folder.put("server.key", &key);
        folder.put("ca.crt", &authority.pem());
        let path = folder.put("w.yml", config);
        let source = Source::looking_every(Duration::ZERO, &path, open_probes, Arc::new(SystemClock));
        let source = source.unwrap_or_else(|why| panic!("{why}"));
        let access = Access { source: Arc::new(source), open_probes };
        let server = Server::guarded(sample::empty(), limits, access).await;
        Self { folder, authority, server }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.server.address.port())
    }

    /// What a client trusts that knows the authority.
    fn trust(&self, identity: Option<(String, String)>) -> TlsTexts {
        let identity = identity.map(|(certificate, key)| (certificate, key.into()));
        TlsTexts { authorities: Some(self.authority.pem()), identity }
    }

    /// A client that trusts the authority and shows this certificate.
    pub(super) fn client(&self, identity: Option<(String, String)>) -> reqwest::Client {
        let tls = config_with(&self.trust(identity), &[b"h2", b"http/1.1"]).unwrap();
        reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap()
    }

    /// The status of this path for a client with this certificate; `None` when it is not let in at all.
    async fn status(&self, identity: Option<(String, String)>, path: &str) -> Option<u16> {
        self.client(identity).get(self.url(path)).send().await.ok().map(|response| response.status().as_u16())
    }
}

#[tokio::test]
async fn tls_is_spoken_with_each_version_and_protocol() {
    let site = Site::start(TLS).await;
    let both: [&[u8]; 2] = [b"h2", b"http/1.1"];
    for (version, alpn, http) in [
        (&TLS13, &both[..], reqwest::Version::HTTP_2),
        (&TLS12, &both[..], reqwest::Version::HTTP_2),
        (&TLS13, &both[1..], reqwest::Version::HTTP_11),
        (&TLS12, &both[1..], reqwest::Version::HTTP_11),
        (&TLS12, &[], reqwest::Version::HTTP_11),
    ] {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(crate::tls::certificates(&site.authority.pem()).unwrap().remove(0)).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let mut tls = tls.with_root_certificates(roots).with_no_client_auth();
        tls.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
        let response = client.get(site.url("/metrics")).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, http));
        assert!(response.text().await.unwrap().contains("jelou_up{"));
    }
    // Whoever trusts another authority, or looks for another name, does not believe it.
    assert!(client().get(site.url("/metrics")).send().await.is_err());
    let elsewhere = format!("https://127.0.0.1:{}/metrics", site.server.address.port());
    assert!(site.client(None).get(elsewhere).send().await.is_err());
    until_dropped(&site.server, HttpDrop::Handshake, 1).await;
}

#[tokio::test]
async fn who_has_to_leave_in_the_midst_of_asking_by_tls_is_closed_only_later() {
    let (soon, never) = (Duration::from_millis(300), Duration::from_secs(1000));
    let limits = Limits { connections: 1, busy: never, asks_again: soon, ..Limits::default() };
    let site = Site::limited(TLS, false, limits).await;
    let tls = TlsConnector::from(Arc::new(config_with(&site.trust(None), &[b"http/1.1"]).unwrap()));
    let asking = async || {
        let stream = TcpStream::connect(site.server.address).await.unwrap();
        let mut stream = in_time(tls.connect("localhost".try_into().unwrap(), stream)).await.unwrap();
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        in_time(stream.read_exact(&mut [0])).await.unwrap();
        stream
    };
    let mut first = asking().await;
    let began = Instant::now();
    let _second = asking().await;
    // It ends without a word of TLS, which is an error.
    let _ = in_time(first.read_to_end(&mut Vec::new())).await;
    assert!(began.elapsed() >= soon, "{:?}", began.elapsed());
}

/// The suite of TLS 1.2 that is agreed on with a client that would like these, the first most.
async fn agreed(site: &Site, offered: [SupportedCipherSuite; 2]) -> CipherSuite {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = offered.to_vec();
    let tls =
        rustls::ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&TLS12]).unwrap();
    let roots = crate::tls::authorities(&site.authority.pem()).unwrap();
    let tls = TlsConnector::from(Arc::new(tls.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(site.server.address).await.unwrap();
    let stream = tls.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.get_ref().1.negotiated_cipher_suite().unwrap().suite()
}

#[tokio::test]
async fn the_order_of_the_suites_is_that_of_the_file_or_that_of_the_client() {
    let [one, other] = [
        rustls::crypto::ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        rustls::crypto::ring::cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    let names = |first: SupportedCipherSuite, second: SupportedCipherSuite| {
        format!("{TLS}  cipher_suites: [{:?}, {:?}]\n", first.suite(), second.suite())
    };
    for (first, second) in [(one, other), (other, one)] {
        let ours = Site::start(&names(first, second)).await;
        assert_eq!(agreed(&ours, [second, first]).await, first.suite());
        let theirs = Site::start(&format!("{}  prefer_server_cipher_suites: false\n", names(first, second))).await;
        assert_eq!(agreed(&theirs, [second, first]).await, second.suite());
    }
}

/// Waits until so many connections have been dropped for this reason.
pub(super) async fn until_dropped(server: &Server, why: HttpDrop, count: u64) {
    let dropped = async {
        while server.live.live().http_dropped.get(why) < count {
            tokio::task::yield_now().await;
        }
    };
    in_time(dropped).await;
}

#[tokio::test]
async fn plain_http_to_a_port_of_tls_is_answered_so_that_people_understand() {
    let site = Site::start(TLS).await;
    let response = site.server.ask(Method::GET, "/metrics").await;
    assert_eq!(response.status(), 400);
    assert_eq!(response.text().await.unwrap(), "HTTPS is spoken here, and this was plain HTTP.\n");
    // A check that only connects is no failed handshake.
    drop(TcpStream::connect(site.server.address).await.unwrap());
    assert_eq!(site.status(None, "/metrics").await, Some(200));
    assert_eq!(site.server.live.live().http_dropped.get(HttpDrop::Handshake), 0);
}

#[tokio::test]
async fn http2_can_be_switched_off() {
    let site = Site::start(&format!("{TLS}http_server_config: {{http2: false}}\n")).await;
    let response = site.client(None).get(site.url("/metrics")).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_11);
    // Nor is it understood without TLS.
    let site = Site::start("http_server_config: {http2: false}\n").await;
    let knowing = builder().http2_prior_knowledge().build().unwrap();
    assert!(knowing.get(format!("http://{}/", site.server.address)).send().await.is_err());
    assert_eq!(site.server.get("/").await.0, 200);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_ends_the_connection() {
    let limits = Limits { handshake: Duration::from_millis(100), ..Limits::default() };
    let site = Site::limited(TLS, false, limits).await;
    // Nothing, the first byte of a handshake, and some more.
    for (begun, count) in [("", 1), ("\x16", 2), ("\x16\x03\x01\x01", 3)] {
        let stream = TcpStream::connect(site.server.address).await.unwrap();
        stream.writable().await.unwrap();
        assert_eq!(stream.try_write(begun.as_bytes()).unwrap(), begun.len());
        in_time(closed(&stream)).await;
        until_dropped(&site.server, HttpDrop::HandshakeTimeout, count).await;
    }
}

/// A certificate that vouches for itself, as an authority or not.
fn self_made(is_ca: IsCa) -> (String, String) {
    let mut params = CertificateParams::new(vec!["client".to_owned()]).unwrap();
    params.is_ca = is_ca;
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn each_policy_lets_in_whom_it_says() {
    for (policy, without, vouched, stranger) in [
        ("NoClientCert", true, true, true),
        ("RequestClientCert", true, true, true),
        ("RequireAnyClientCert", false, true, true),
        ("RequireClientCert", false, true, true),
        ("VerifyClientCertIfGiven", true, true, false),
        ("RequireAndVerifyClientCert", false, true, false),
    ] {
        let authority = if policy == "NoClientCert" { "" } else { "  client_ca_file: ca.crt\n" };
        let site = Site::start(&format!("{TLS}  client_auth_type: {policy}\n{authority}")).await;
        let let_in = [None, Some(site.authority.issue("client")), Some(self_made(IsCa::NoCa))].map(|identity| {
            let site = &site;
            async move { site.status(identity, "/metrics").await }
        });
        let [none, known, unknown] = let_in;
        let wanted = [without, vouched, stranger].map(|let_in| let_in.then_some(200));
        assert_eq!([none.await, known.await, unknown.await], wanted, "{policy}");
    }
}

#[tokio::test]
async fn without_an_authority_nobody_is_vouched_for() {
    let site = Site::start(&format!("{TLS}  client_auth_type: VerifyClientCertIfGiven\n")).await;
    assert_eq!(site.status(None, "/metrics").await, Some(200));
    assert_eq!(site.status(Some(site.authority.issue("client")), "/metrics").await, None);
}

#[tokio::test]
async fn a_certificate_may_be_its_own_authority() {
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let site = Site::start("").await;
        let (certificate, key) = self_made(is_ca);
        site.folder.put("ca.crt", &certificate);
        let policy = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n";
        site.folder.put("w.yml", &format!("{TLS}{policy}"));
        let answer = site.client(Some((certificate, key))).get(site.url("/metrics")).send().await;
        assert_eq!(answer.unwrap().status(), 200);
        assert_eq!(site.status(Some(site.authority.issue("client")), "/metrics").await, None);
    }
}

#[tokio::test]
async fn only_the_names_that_are_listed_are_let_in() {
    let site = Site::start(&format!(
        "{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n  client_allowed_sans: \
         [prometheus.example, 192.0.2.1, '2001:db8::1', ops@example.com, 'spiffe://example/prometheus']\n"
    ))
    .await;
    let text = |text: &str| Ia5String::try_from(text).unwrap();
    for (name, let_in) in [
        (SanType::DnsName(text("prometheus.example")), true),
        (SanType::DnsName(text("Prometheus.example")), false),
        (SanType::DnsName(text("*.example")), false),
        (SanType::DnsName(text("192.0.2.1")), true),
        (SanType::IpAddress("192.0.2.1".parse().unwrap()), true),
        (SanType::IpAddress("192.0.2.2".parse().unwrap()), false),
        (SanType::IpAddress("2001:db8::1".parse().unwrap()), true),
        (SanType::Rfc822Name(text("ops@example.com")), true),
        (SanType::URI(text("spiffe://example/prometheus")), true),
        (SanType::URI(text("spiffe://example/other")), false),
    ] {
        let mut params = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
        params.subject_alt_names.push(name.clone());
        let status = site.status(Some(site.authority.vouch(params)), "/metrics").await;
        assert_eq!(status, let_in.then_some(200), "{name:?}");
    }
    let nameless = site.authority.vouch(CertificateParams::new(vec![]).unwrap());
    assert_eq!(site.status(Some(nameless), "/metrics").await, None);
}

/// What exporter-toolkit lets in, too: a name that anybody can give to a certificate of theirs.
#[tokio::test]
async fn names_are_looked_at_though_nobody_has_to_vouch_for_them() {
    let names = "  client_auth_type: RequireAnyClientCert\n  client_allowed_sans: [client]\n";
    let site = Site::start(&format!("{TLS}{names}")).await;
    assert_eq!(site.status(Some(self_made(IsCa::NoCa)), "/metrics").await, Some(200));
    assert_eq!(site.status(Some(site.authority.issue("other")), "/metrics").await, None);
    assert_eq!(site.status(None, "/metrics").await, None);
}

#[tokio::test]
async fn health_can_be_told_to_those_without_a_certificate() {
    let policy = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n";
    let site = Site::opened(&format!("{TLS}{policy}{}", ada()), true).await;
    for (path, status) in [("/-/healthy", 200), ("/-/ready", 503), ("/metrics", 403), ("/", 403), ("/nowhere", 403)] {
        assert_eq!(site.status(None, path).await, Some(status), "{path}");
    }
    // A certificate does not take the place of the password, nor one that nobody vouches for that of one.
    assert_eq!(site.status(Some(site.authority.issue("client")), "/metrics").await, Some(401));
    assert_eq!(site.status(Some(self_made(IsCa::NoCa)), "/-/healthy").await, None);
    let client = site.client(Some(site.authority.issue("client")));
    let let_in = client.get(site.url("/metrics")).basic_auth("ada", Some("one")).send().await.unwrap();
    assert_eq!(let_in.status(), 200);
}

#[tokio::test]
async fn a_password_is_wanted_for_every_path() {
    let headers = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    Content-Security-Policy: \"frame-ancestors 'none'\"\n";
    let site = Site::start(&format!("{headers}{}", ada())).await;
    let url = |path: &str| format!("http://{}{path}", site.server.address);
    for path in ["/metrics", "/", "/-/healthy", "/-/ready", "/nowhere"] {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let refused = client().request(method.clone(), url(path)).send().await.unwrap();
            assert_eq!(refused.status(), 401, "{method} {path}");
            assert_eq!(header(&refused, "www-authenticate"), "Basic realm=\"jelou-exporter\", charset=\"UTF-8\"");
            assert_eq!(header(&refused, "x-frame-options"), "deny");
            assert_eq!(header(&refused, "cache-control"), "no-store");
            assert_eq!(header(&refused, "x-content-type-options"), "nosniff");
            assert_eq!(refused.text().await.unwrap().is_empty(), method == Method::HEAD);
        }
    }
    for (user, password, status) in [("ada", "one", 200), ("ada", "two", 401), ("eve", "one", 401)] {
        let request = client().get(url("/metrics")).basic_auth(user, Some(password));
        assert_eq!(request.send().await.unwrap().status(), status, "{user} {password}");
    }
    let page = client().get(url("/")).basic_auth("ada", Some("one")).send().await.unwrap();
    let policies = page.headers().get_all("content-security-policy").iter();
    let policies: Vec<_> = policies.map(|policy| policy.to_str().unwrap()).collect();
    assert!(policies.len() == 2 && policies.contains(&"frame-ancestors 'none'"), "{policies:?}");
    let counted = site.server.live.live().http_requests;
    assert_eq!(counted, [(200, 2), (401, 17)]);
}

#[tokio::test]
async fn health_can_be_told_to_those_without_a_password() {
    let site = Site::opened(&ada(), true).await;
    for (path, status) in [("/-/healthy", 200), ("/-/ready", 503), ("/metrics", 401), ("/", 401), ("/-/healthy/", 401)]
    {
        assert_eq!(site.server.get(path).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn more_requests_than_the_rate_allows_are_put_off() {
    let site = Site::opened("rate_limit: {interval: 1h, burst: 2}\n", true).await;
    let ask = async || site.server.ask(Method::GET, "/metrics").await;
    assert_eq!([ask().await.status(), ask().await.status()], [200, 200]);
    let refused = ask().await;
    assert_eq!((refused.status().as_u16(), header(&refused, "retry-after")), (429, "1"));
    assert_eq!(
        (header(&refused, "cache-control"), header(&refused, "x-content-type-options")),
        ("no-store", "nosniff")
    );
    assert_eq!(site.server.get("/-/healthy").await.0, 200);
}
