//! Each file of `tests/fixtures/web` with what its first lines say of it, and the files that cannot stand there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::*;
use crate::tls::tests::Authority;

/// A folder that goes with its test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("jelou-exporter-web-{}", uuid::Uuid::new_v4()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Puts a file there as a careful administrator would: whole, at once.
    pub(crate) fn put(&self, name: &str, text: &str) -> PathBuf {
        let (path, new) = (self.0.join(name), self.0.join("new"));
        fs::write(&new, text).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// What the fixtures name: `server.crt` with `server.key`, a key of another certificate, and an authority of clients.
struct Files {
    server: (String, String),
    other: String,
    authority: String,
}

impl Files {
    fn new() -> Self {
        let authority = Authority::new();
        Self { server: authority.issue("localhost"), other: authority.issue("other").1, authority: authority.pem() }
    }

    /// Reads the text as `w.yml`.
    fn read(&self, text: &str) -> Result<WebConfig, Vec<String>> {
        let read_file = |path: &Path| match path.to_str().unwrap() {
            "w.yml" => Ok(text.to_owned()),
            "server.crt" | "tls/server.crt" => Ok(self.server.0.clone()),
            "server.key" | "/abs/server.key" => Ok(self.server.1.clone()),
            "other.key" => Ok(self.other.clone()),
            "ca.crt" => Ok(self.authority.clone()),
            "empty" => Ok(String::new()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        let config = read(Path::new("w.yml"), Reading { read_file: &read_file, open_probes: false });
        config.map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }
}

/// What the comments of a fixture say behind this mark.
fn said<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix("# ")?.strip_prefix(mark)).map(str::trim).collect()
}

fn fixtures(kind: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/web").join(kind);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect()
}

/// One thing said for each that is wanted, each beginning so; in any order.
fn match_up(name: &str, told: &[String], wanted: &[&str]) {
    let found = wanted.iter().all(|wanted| told.iter().any(|told| told.starts_with(wanted)));
    assert!(found && told.len() == wanted.len(), "{name}: wanted {wanted:#?}, told {told:#?}");
}

#[test]
fn good_files_are_taken() {
    let (files, fixtures) = (Files::new(), fixtures("good"));
    assert!(fixtures.len() > 20);
    for (name, text) in fixtures {
        let config = files.read(&text).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"));
        match_up(&name, &config.warnings, &said(&text, "warning:"));
        assert_eq!(config.tls.is_some(), text.contains("cert_file"), "{name}");
        assert_eq!(config.users.is_empty(), !text.contains("$2y$"), "{name}");
    }
}

#[test]
fn bad_files_are_refused_with_every_problem() {
    let (files, fixtures) = (Files::new(), fixtures("bad"));
    assert!(fixtures.len() > 40);
    for (name, text) in fixtures {
        let Err(problems) = files.read(&text) else { panic!("{name} was taken") };
        match_up(&name, &problems, &said(&text, "problem:"));
        assert!(!problems.join("").contains("hunter2"), "{name}: {problems:?}");
    }
}

fn indented(pem: &str) -> String {
    pem.lines().map(|line| format!("    {line}\n")).collect()
}

#[test]
fn certificates_may_stand_in_the_file_itself() {
    let files = Files::new();
    let (certificate, key) = (indented(&files.server.0), indented(&files.server.1));
    let authority = indented(&files.authority);
    let text = format!(
        "tls_server_config:\n  cert: |\n{certificate}  key: |\n{key}  client_ca: |\n{authority}  \
         client_auth_type: RequireAndVerifyClientCert\n"
    );
    assert!(files.read(&text).unwrap().tls.unwrap().verifies_all());
    let swapped = format!("tls_server_config:\n  cert: |\n{key}  key: |\n{certificate}");
    let problems = files.read(&swapped).unwrap_err();
    match_up(
        "swapped",
        &problems,
        &["tls_server_config.cert (w.yml): no certificate in PEM", "tls_server_config.key (w.yml): no private key"],
    );
    assert!(!problems.join("").contains("BEGIN"), "{problems:?}");
}

#[test]
fn what_was_said_is_held() {
    let files = Files::new();
    let of = |name: &str| {
        let text = fixtures("good").into_iter().find(|(path, _)| path.ends_with(&format!("/{name}.yml"))).unwrap().1;
        files.read(&text).unwrap()
    };
    let protocols = |name| of(name).tls.unwrap().server.alpn_protocols.clone();
    assert_eq!(protocols("tls"), [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert_eq!(protocols("http2_off"), [b"http/1.1".to_vec()]);
    let suites = |name| {
        let tls = of(name).tls.unwrap();
        let suites = tls.server.crypto_provider().cipher_suites.iter();
        suites.filter(|suite| suite.tls13().is_none()).map(|suite| format!("{:?}", suite.suite())).collect::<Vec<_>>()
    };
    assert_eq!(suites("suites").len(), 6);
    assert_eq!(suites("suites_that_http2_does_not_like"), ["TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"]);
    assert_eq!(suites("suites_of_tls13").len(), 0);
    let turned = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"];
    assert_eq!(suites("suites_and_their_order"), turned);
    let curves = of("curves")
        .tls
        .unwrap()
        .server
        .crypto_provider()
        .kx_groups
        .iter()
        .map(|group| group.name())
        .collect::<Vec<_>>();
    assert_eq!(format!("{curves:?}"), "[secp256r1, secp384r1, X25519]");
    assert_eq!(of("rate").rate.map(|rate| (rate.interval.as_secs(), rate.burst)), Some((1, 5)));
    assert_eq!(of("rate_of_go").rate.map(|rate| rate.interval.as_millis()), Some(61_500));
    assert_eq!(of("rate_of_microseconds").rate.map(|rate| rate.interval.as_nanos()), Some(100_000));
    assert_eq!((of("rate_off").rate, of("rate_off_with_a_burst").rate), (None, None));
    assert_eq!(of("headers").headers.len(), 5);
    assert_eq!(of("headers_left_blank").headers.len(), 0);
    assert_eq!(of("users").users.len(), 2);
}

#[test]
fn a_reading_opens_nothing_that_was_closed() {
    let files = Files::new();
    let config = |text: &str| files.read(text).unwrap();
    let tls = "tls_server_config: {cert_file: server.crt, key_file: server.key";
    let user = "\nbasic_auth_users: {ada: $2y$10$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzABDEC}\n";
    let verified = format!("{tls}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt}}");
    let named = verified.replace('}', ", client_allowed_sans: [a]}");
    let any = format!("{tls}, client_auth_type: RequireAnyClientCert}}");
    let any_named = any.replace('}', ", client_allowed_sans: [a]}");
    let rate = "\nrate_limit: {interval: 1s, burst: 5}\n";
    for (before, after, opens) in [
        (format!("{tls}}}"), String::new(), true),
        (user.to_owned(), String::new(), true),
        (format!("{tls}}}{user}"), format!("{tls}}}"), true),
        (format!("{tls}}}{user}"), user.to_owned(), true),
        (verified.clone(), format!("{tls}}}"), true),
        (named.clone(), verified.clone(), true),
        (named.clone(), verified.replace('}', ", client_allowed_sans: }"), true),
        (any.clone(), format!("{tls}}}"), true),
        (any.clone(), format!("{tls}, client_auth_type: RequestClientCert}}"), true),
        (any_named, any.clone(), true),
        (verified.clone(), any.clone(), true),
        (any, verified.clone(), false),
        (rate.to_owned(), String::new(), true),
        (rate.to_owned(), rate.replace("1s", "0"), true),
        (rate.to_owned(), rate.replace("1s", "2s"), false),
        (String::new(), rate.to_owned(), false),
        (named.clone(), named.replace("[a]", "[b, c]"), false),
        (verified.clone(), named, false),
        (verified.clone(), verified, false),
        (String::new(), format!("{tls}}}{user}"), false),
        (user.to_owned(), user.replace("ada", "bob"), false),
    ] {
        assert_eq!(config(&before).opened_by(&config(&after)).is_some(), opens, "{before}\n{after}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_makes_it_panic(
        text in "\\PC*|((tls_server_config|basic_auth_users|rate_limit|cert|key|burst|\\PC)(:|: |\n  |\n|\\{|\\}|\\[|\\]|,)){0,20}"
    ) {
        let read_file = |_: &Path| Ok(text.clone());
        let _ = read(Path::new("w.yml"), Reading { read_file: &read_file, open_probes: true });
    }
}
