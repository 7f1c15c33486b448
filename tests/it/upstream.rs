//! The way to the upstream: authorities and certificates of one's own, proxies, and secrets that nobody sees on it.

use std::process::Command;

use jelou_exporter::simulator::{Simulator, SimulatorOptions};

use crate::support::exporter::{Exporter, polling};
use crate::support::scratch::Scratch;
use crate::support::tls::{Authority, Proxy, door};
use crate::support::until;
use crate::support::world::frozen;

/// A name that no resolver knows: whoever reaches it got there by the proxy.
const NAME: &str = "api.jelou.test";

struct Way {
    simulator: Simulator,
    authority: Authority,
    clients: Authority,
    proxy: Proxy,
    folder: Scratch,
}

impl Way {
    /// An upstream behind TLS that wants to know its clients, behind a proxy.
    fn new() -> Self {
        let (simulator, _) = frozen(SimulatorOptions { per_hour: 5.0, ..SimulatorOptions::default() });
        let (authority, clients, folder) = (Authority::new(), Authority::new(), Scratch::new());
        let plain = simulator.base_url().strip_prefix("http://").unwrap().to_owned();
        let proxy = Proxy::to(&door(&plain, NAME, &authority, Some(&clients)));
        let way = Self { simulator, authority, clients, proxy, folder };
        way.write("ca.pem", &way.authority.pem());
        way.show(&way.clients);
        way
    }

    fn write(&self, name: &str, text: &str) {
        // Whole at once: half a file would be told as a fault.
        let new = self.path("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.folder.0.join(name).to_str().unwrap().to_owned()
    }

    /// The exporter is to show a certificate of this authority.
    fn show(&self, clients: &Authority) {
        let (certificate, key) = clients.issue("exporter");
        self.write("cert.pem", &certificate);
        self.write("key.pem", &key);
    }

    /// An exporter on its way, with these settings that name files.
    fn command(&self, files: &[(&str, &str)]) -> Command {
        let paths: Vec<_> = files.iter().map(|(key, name)| (*key, self.path(name))).collect();
        let mut settings: Vec<_> = paths.iter().map(|(key, path)| (*key, path.as_str())).collect();
        settings.extend([("poll.interval", "200ms"), ("api.timeout", "3s")]);
        polling(&format!("https://{NAME}"), &settings)
    }

    fn proxy_url(&self) -> String {
        format!("http://user:hunter3@{}", self.proxy.address)
    }
}

const FILES: [(&str, &str); 3] =
    [("api.ca_file", "ca.pem"), ("api.client_certificate_file", "cert.pem"), ("api.client_key_file", "key.pem")];

#[test]
fn a_proxy_is_passed_by_authorities_and_certificates_of_ones_own() {
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let way = Way::new();
        let mut command = way.command(&FILES);
        let exporter = Exporter::run(command.env(variable, way.proxy_url()).env("JELOU_EXPORTER_LOG_LEVEL", "trace"));
        exporter.is_up();
        let heads = way.proxy.heads();
        assert!(heads[0].starts_with(&format!("CONNECT {NAME}:443 HTTP/1.1\r\n")), "{heads:?}");
        assert!(heads[0].to_lowercase().contains("proxy-authorization: basic "), "{heads:?}");
        // The credentials are for the upstream's eyes.
        assert!(!heads.iter().any(|head| head.to_lowercase().contains("\r\nauthorization:")), "{heads:?}");
        let shown = exporter.program.stderr() + &exporter.get("/metrics").body + &exporter.get("/").body;
        for secret in ["hunter3", "dXNlcjpodW50ZXIz", "PRIVATE KEY"] {
            assert!(!shown.contains(secret), "{secret}");
        }
    }
}

#[test]
fn without_them_it_is_said_what_is_missing() {
    let way = Way::new();
    way.write("other.pem", &Authority::new().pem());
    let [ca, certificate, key] = FILES;
    for (files, why) in [
        (vec![certificate, key], "invalid peer certificate: UnknownIssuer"),
        (vec![("api.ca_file", "other.pem"), certificate, key], "invalid peer certificate"),
        (vec![ca], "received fatal alert: CertificateRequired"),
    ] {
        let exporter = Exporter::run(way.command(&files).env("HTTPS_PROXY", way.proxy_url()));
        until(why, || exporter.program.stderr().contains(why));
        exporter.scraped("it counts as a connection that failed", |scrape| {
            scrape.sum("jelou_exporter_api_requests_total", &[("outcome", "connect")]) >= Some(1.0)
        });
        assert_eq!(way.simulator.request_count(), 0);
    }
}

#[test]
fn no_proxy_is_asked_for_what_it_is_not_for() {
    let way = Way::new();
    for exempt in ["NO_PROXY", "no_proxy"] {
        let mut command = way.command(&FILES);
        let exporter = Exporter::run(command.env("HTTPS_PROXY", way.proxy_url()).env(exempt, ".jelou.test"));
        // Whether a resolver says no or nothing at all, the poll fails without having asked the proxy.
        exporter.scraped("the poll fails", |scrape| {
            scrape.total("jelou_exporter_polls_total", &[("result", "failure")]) >= 1.0
        });
    }
    // Nor for this machine itself.
    let mut command = polling(&way.simulator.base_url(), &[]);
    Exporter::run(command.env("HTTP_PROXY", way.proxy_url())).is_up();
    assert_eq!(way.proxy.heads(), Vec::<String>::new());
}

#[test]
fn plain_http_goes_by_its_own_proxy() {
    let (simulator, _) = frozen(SimulatorOptions { per_hour: 5.0, ..SimulatorOptions::default() });
    let proxy = Proxy::to(simulator.base_url().strip_prefix("http://").unwrap());
    let mut command = polling(&format!("http://{NAME}:8080"), &[]);
    let exporter = Exporter::run(command.env("http_proxy", format!("http://{}", proxy.address)));
    exporter.is_up();
    assert!(proxy.heads()[0].starts_with(&format!("POST http://{NAME}:8080/v1/")), "{:?}", proxy.heads());
}

/// The files are replaced while it runs, one after the other.
#[test]
fn renewed_certificates_are_taken_over() {
    let way = Way::new();
    way.show(&Authority::new());
    let exporter = Exporter::run(way.command(&FILES).env("HTTPS_PROXY", way.proxy_url()));
    until("it is refused", || exporter.program.stderr().contains("received fatal alert"));
    let (certificate, key) = way.clients.issue("exporter");
    way.write("cert.pem", &certificate);
    until("half of them is not used", || exporter.program.stderr().contains("those read before stay in use"));
    way.write("key.pem", &key);
    exporter.is_up();
    let told = exporter.program.stderr().matches("those read before stay in use").count();
    assert_eq!(told, 1, "a fault is told once");
}
