//! The door of the exporter: TLS, passwords and client certificates with real clients, sockets of systemd, floods.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use jelou_exporter::tls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::support::endless::Endless;
use crate::support::eventually;
use crate::support::exporter::{Exporter, command, polling};
use crate::support::peer::{Prometheus, peer};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::web;
use crate::support::world::{RUNTIME, frozen};

fn quiet() -> Simulator {
    frozen(SimulatorOptions::scripted()).0
}

/// A folder with a web configuration that demands a certificate of `ca.crt` and the password `one` of `ada`; `client.crt`
/// and `stranger.crt` have keys beside them, and only the first is of that authority.
fn locked() -> Scratch {
    let folder = Scratch::new();
    let put = |name: &str, text: &str| std::fs::write(folder.0.join(name), text).unwrap();
    let authority = || {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, theirs) = (authority(), authority());
    put("ca.crt", &ours.pem());
    for (name, authority) in [("localhost", &ours), ("client", &ours), ("stranger", &theirs)] {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
        put(&format!("{name}.crt"), &certificate.pem());
        put(&format!("{name}.key"), &key.serialize_pem());
    }
    let hash = bcrypt::hash("one", 10).unwrap();
    put(
        "web.yml",
        &format!(
            "tls_server_config:\n  cert_file: localhost.crt\n  key_file: localhost.key\n  client_auth_type: \
             RequireAndVerifyClientCert\n  client_ca_file: ca.crt\nbasic_auth_users:\n  ada: {hash}\n"
        ),
    );
    folder
}

#[test]
fn prometheus_scrapes_by_tls_with_certificate_and_password() {
    for variable in ["JELOU_TEST_PROMETHEUS", "JELOU_TEST_PROMETHEUS2"] {
        let Some(binary) = peer(variable) else { continue };
        let (simulator, folder) = (quiet(), locked());
        let file = |name: &str| folder.0.join(name).display().to_string();
        let exporter = Exporter::start(&simulator.base_url(), &[("web.config_file", &file("web.yml"))]);
        for (client, password, up) in [("client", "one", "1"), ("client", "two", "0"), ("stranger", "one", "0")] {
            let settings = format!(
                "scheme: https, basic_auth: {{username: ada, password: {password}}}, tls_config: {{server_name: localhost, \
                 ca_file: '{}', cert_file: '{}', key_file: '{}'}},",
                file("ca.crt"),
                file(&format!("{client}.crt")),
                file(&format!("{client}.key"))
            );
            let prometheus = Prometheus::scraping(binary.clone(), Some(&exporter.address), &settings, &[]);
            eventually(|| match &prometheus.query("up")?[..] {
                [(_, value)] if value == up => Ok(()),
                other => Err(format!("{client} {password}: {other:?}")),
            });
            let shown = prometheus.query("jelou_exporter_build_info").unwrap().len();
            assert_eq!(shown, usize::from(up == "1"), "{client} {password}");
        }
    }
}

#[test]
fn every_address_is_listened_on_and_named() {
    let simulator = quiet();
    let mut exporter = Exporter::start(&simulator.base_url(), &[("web.listen_address", "127.0.0.1:0, localhost:0")]);
    let addresses = eventually(|| {
        let said = exporter.program.stderr();
        let named = said.lines().filter_map(|line| line.split_once("msg=\"listening\" address="));
        let named: Vec<_> = named.map(|(_, rest)| rest.split(' ').next().unwrap().to_owned()).collect();
        if named.len() == 2 { Ok(named) } else { Err(said) }
    });
    for address in addresses {
        assert_eq!(web::get(&address, "/-/healthy").unwrap().status, 200);
    }
    exporter.program.signal("TERM");
    assert!(exporter.program.ended_within(Duration::from_secs(30)).success());
}

/// As systemd does: the socket is descriptor 3, and two variables say so.
fn activated(command: &Command, stdin: Stdio) -> Program {
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\""]).arg(command.get_program());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Program::with_stdin(&mut shell, stdin)
}

#[test]
fn a_socket_that_systemd_opened_is_used() {
    let simulator = quiet();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let command = polling(&simulator.base_url(), &[("web.systemd_socket", "true")]);
    let exporter = Exporter::listening(activated(&command, OwnedFd::from(listener).into()));
    assert_eq!(exporter.address, address);
    assert_eq!(exporter.get("/-/healthy").status, 200);
    let said = exporter.program.stderr();
    assert!(said.contains("web.listen_address is ignored"), "{said}");
}

#[test]
fn sockets_that_are_missing_or_wrong_are_named() {
    let simulator = quiet();
    let command = || polling(&simulator.base_url(), &[("web.systemd_socket", "true")]);
    let mut none = Program::start(&mut command());
    assert_eq!(none.ended_within(Duration::from_secs(30)).code(), Some(1));
    assert!(none.stderr().contains("no socket was passed: start the .socket unit"), "{}", none.stderr());
    let mut wrong = activated(&command(), Stdio::null());
    assert_eq!(wrong.ended_within(Duration::from_secs(30)).code(), Some(1));
    assert!(wrong.stderr().contains("socket 1 that systemd passed cannot be used"), "{}", wrong.stderr());
}

#[test]
fn check_config_reads_the_web_configuration_too() {
    let folder = locked();
    let file = folder.0.join("web.yml");
    let check = || {
        let settings =
            [("api.client_id", "me"), ("api.client_secret", "hunter2"), ("web.config_file", file.to_str().unwrap())];
        command(&settings).arg("check-config").output().unwrap()
    };
    let fine = check();
    assert!(fine.status.success(), "{}", String::from_utf8_lossy(&fine.stderr));
    std::fs::write(&file, "tls_server_config: {cert_file: gone.crt, key_file: localhost.key}\nrate: 1\n").unwrap();
    let bad = check();
    let said = String::from_utf8(bad.stderr).unwrap();
    assert_eq!(bad.status.code(), Some(2));
    assert!(said.contains("(2 problems)") && said.contains("gone.crt\" (") && said.contains("rate_limit"), "{said}");
}

/// Thousands of connections that ask nothing, or only half: a scrape is answered while they come and while they stay.
#[test]
fn a_flood_of_idle_connections_keeps_no_scraper_out() {
    let simulator = quiet();
    let exporter = Exporter::start(&simulator.base_url(), &[]);
    // More than are let in at once. The oldest were closed by the server, or wait for a place; this process keeps only the
    // newer ones.
    let (mut idle, kept) = (VecDeque::new(), 700);
    for number in 0..4000 {
        let mut stream = TcpStream::connect(&exporter.address).unwrap();
        if number % 2 == 0 {
            // It may have been closed already.
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nx: ");
        }
        idle.push_back(stream);
        if idle.len() > kept {
            idle.pop_front();
        }
        if number % 150 == 149 {
            assert_eq!(exporter.get("/metrics").status, 200);
        }
    }
    let scrape = exporter.scrape();
    let dropped = |reason| scrape.total("jelou_exporter_http_connections_dropped_total", &[("reason", reason)]);
    // How many depends on who gives up first: those who did were not closed by the server.
    let closed = dropped("crowded") + dropped("header_timeout");
    assert!(closed > 0.0, "there was room for all");
    // However many there were, the log says it once.
    let said = exporter.program.stderr();
    assert_eq!(said.matches("reason=crowded").count(), 1, "{said}");
    assert_eq!(idle.len(), kept);
}

/// A gigabyte that nobody asked for, by both versions of HTTP: it is answered before it has come, and most of it never comes.
#[test]
fn a_gigabyte_that_is_sent_to_us_is_not_read() {
    const GIGABYTE: usize = 1 << 30;
    let simulator = quiet();
    let exporter = Exporter::start(&simulator.base_url(), &[("web.enable_reload", "true")]);
    for (path, answer) in [("/metrics", "HTTP/1.1 405 "), ("/-/reload", "HTTP/1.1 200 "), ("/nowhere", "HTTP/1.1 404 ")]
    {
        let mut stream = TcpStream::connect(&exporter.address).unwrap();
        write!(stream, "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {GIGABYTE}\r\n\r\n").unwrap();
        let mut head = [0; 13];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(String::from_utf8_lossy(&head), answer);
        let mut sent = 0;
        while sent < GIGABYTE && stream.write_all(&[0; 1 << 16]).is_ok() {
            sent += 1 << 16;
        }
        assert!(sent < GIGABYTE / 8, "{path}: {sent} bytes were taken");
    }
    let sent = Arc::<AtomicU64>::default();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls::client_config(&[])).no_proxy();
    let client = client.http2_prior_knowledge().build().unwrap();
    let body = reqwest::Body::wrap(Endless::new(Vec::new(), vec![0; 1 << 16].into(), &sent));
    let response = client.post(format!("http://{}/metrics", exporter.address)).body(body).send();
    assert_eq!(RUNTIME.block_on(response).unwrap().status(), 405);
    assert!(sent.load(Ordering::Relaxed) < GIGABYTE as u64 / 8, "{sent:?} bytes were taken");
    assert_eq!(exporter.get("/-/healthy").status, 200);
    let peak = exporter.peak_kib();
    assert!(peak < 64 << 10, "{peak} KiB");
}
