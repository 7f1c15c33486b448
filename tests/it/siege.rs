//! The web server under attack by other people's tools: whoever scrapes is answered meanwhile, completely and rightly, the
//! exporter polls on and stays small, counts what it cuts off, and says so once.
//!
//! How long a scrape takes under each of these attacks is the business of `cargo bench --bench siege`.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;
use std::net::IpAddr;

use hyper::body::Bytes;
use jelou_exporter::simulator::oracle::OracleRules;
use jelou_exporter::simulator::story::Story;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use jelou_exporter::tls::{self, TlsTexts};
use reqwest::{Client, RequestBuilder, StatusCode};

use crate::support::attack::{Attack, Door};
use crate::support::expected::Expected;
use crate::support::exporter::{Exporter, polling};
use crate::support::exposition::Scrape;
use crate::support::peer::peer;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::tls::Authority;
use crate::support::world::{HOUR, RUNTIME, frozen, now};
use crate::support::{PATIENCE, eventually, until};

/// What Prometheus asks for when it is told to scrape text.
const TEXT: &str = "text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
/// What Prometheus 3 asks for by itself.
const OPENMETRICS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
    application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
    text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

/// An exporter that has counted, and what it has to show for it.
struct Besieged {
    exporter: Exporter,
    expected: Expected,
    client: Client,
    /// The same from another address.
    elsewhere: Client,
    door: Door,
    /// How often a request had no answer, for its connection was closed.
    turned_away: Cell<u64>,
    _simulator: Simulator,
    _folder: Scratch,
}

impl Besieged {
    #[track_caller]
    fn start(door: Door) -> Self {
        let (simulator, at) = frozen(SimulatorOptions::scripted());
        for number in 0..500 {
            // More metrics than the system keeps of an answer that is not taken.
            let (bot, team) = (format!("bot {}", number % 10), format!("team {}", number % 100));
            let story = Story::new(format!("{number:024x}"), at - 3 * HOUR + number * 1000).by(&bot, &team);
            simulator.put(story.replied_after(5_000).closed_after(600_000));
        }
        let rules = OracleRules::defaults(now());
        let expected = Expected::of(&simulator.totals(at - 4 * HOUR, at, &rules));
        let (folder, authority) = (Scratch::new(), Authority::new());
        let mut settings = vec![];
        let file = folder.0.join("web.yml");
        if let Some(text) = config(door, &folder, &authority) {
            std::fs::write(&file, text).unwrap();
            settings.push(("web.config_file", file.to_str().unwrap()));
        }
        let exporter = Exporter::listening(Program::start(&mut polling(&simulator.base_url(), &settings)));
        let trusted = TlsTexts { authorities: Some(authority.pem()), identity: None };
        let config = tls::config_with(&trusted, &[b"h2", b"http/1.1"]).unwrap();
        // A connection for each scrape: one that was kept may have been closed to make room.
        let client = || {
            let builder = Client::builder().tls_backend_preconfigured(config.clone()).no_proxy().no_gzip();
            builder.timeout(PATIENCE).pool_max_idle_per_host(0)
        };
        let elsewhere = client().local_address(IpAddr::from([127, 0, 0, 2])).build().unwrap();
        let client = client().build().unwrap();
        let (turned_away, _simulator, _folder) = (Cell::new(0), simulator, folder);
        let besieged = Self { exporter, expected, client, elsewhere, door, turned_away, _simulator, _folder };
        until("it has counted", || besieged.expected.compare(&besieged.scrape()).is_ok());
        besieged
    }

    fn ask(&self, path: &str) -> RequestBuilder {
        let (scheme, address) = (if self.door.tls { "https" } else { "http" }, &self.exporter.address);
        let request = self.client.get(format!("{scheme}://{address}{path}")).header("user-agent", "Prometheus/3.16.0");
        request.basic_auth("ada", Some("one"))
    }

    /// What Prometheus gets that asks for this.
    #[track_caller]
    fn metrics(&self, accept: &str) -> String {
        let (status, packed) = self.answer(|| {
            let request = self.ask("/metrics").header("accept", accept).header("accept-encoding", "gzip");
            request.header("x-prometheus-scrape-timeout-seconds", "10")
        });
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&packed));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*packed).read_to_string(&mut text).unwrap();
        text
    }

    /// What comes, asking again if the connection had to leave for another before its request was there: where more want to be
    /// let in than there is room for, that may happen to whoever is slow to ask.
    #[track_caller]
    fn answer(&self, request: impl Fn() -> RequestBuilder) -> (StatusCode, Bytes) {
        let whole = async || {
            let response = request().send().await?;
            Ok((response.status(), response.bytes().await?))
        };
        eventually(|| {
            RUNTIME.block_on(whole()).map_err(|error: reqwest::Error| {
                self.turned_away.update(|times| times + 1);
                format!("{error:?}")
            })
        })
    }

    #[track_caller]
    fn scrape(&self) -> Scrape {
        Scrape::read(&self.metrics(TEXT))
    }

    /// Whoever has business here is served.
    #[track_caller]
    fn serves(&self) {
        self.expected.compare(&self.scrape()).unwrap();
        let openmetrics = self.metrics(OPENMETRICS);
        assert!(openmetrics.ends_with("# EOF\n"), "{openmetrics}");
        let (health, _) = self.answer(|| self.ask("/-/healthy"));
        assert_eq!(health, 200);
    }
}

fn config(door: Door, folder: &Scratch, authority: &Authority) -> Option<String> {
    let mut text = String::new();
    if door.tls {
        let (certificate, key) = authority.issue("127.0.0.1");
        std::fs::write(folder.0.join("server.crt"), certificate).unwrap();
        std::fs::write(folder.0.join("server.key"), key).unwrap();
        text.push_str("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n");
    }
    if door.password {
        let [ada, bob] = ["one", "three"].map(|password| bcrypt::hash(password, 8).unwrap());
        writeln!(text, "basic_auth_users:\n  ada: {ada}\n  bob: {bob}").unwrap();
    }
    (!text.is_empty()).then_some(text)
}

/// What an attack moves: a counter, all of it or with one label, and how far at least.
type Moves = (&'static str, &'static [(&'static str, &'static str)], f64);

const DROPPED: &str = "jelou_exporter_http_connections_dropped_total";
const ANSWERED: &str = "jelou_exporter_http_requests_total";

/// What a line of the log tells of: without its time, the peer, and how many there were before.
fn kind(line: &str) -> String {
    let line = line.split_once(" level=").map_or(line, |(_, rest)| rest);
    [" detail=", " before="].iter().fold(line, |line, field| line.split(field).next().unwrap_or(line)).to_owned()
}

/// Attacks until everything has moved that is to move, and serves meanwhile.
#[track_caller]
fn withstands(attack: Attack, moves: &[Moves]) {
    let Some(tool) = peer(attack.tool) else { return };
    let besieged = Besieged::start(attack.door);
    let before = besieged.scrape();
    let attacker = Program::start(&mut attack.command(tool, &besieged.exporter.address));
    let polls = |scrape: &Scrape| scrape.total("jelou_exporter_polls_total", &[("result", "success")]);
    let mut served = 0;
    eventually(|| {
        besieged.serves();
        served += 1;
        let scrape = besieged.scrape();
        for (family, labels, wanted) in moves {
            let moved = scrape.total(family, labels) - before.total(family, labels);
            if moved < *wanted {
                return Err(format!("{}: {family}{labels:?} has moved by {moved} of {wanted}", attack.name));
            }
        }
        let polled = polls(&scrape) - polls(&before);
        let enough = served >= 10 && polled >= 3.0;
        if enough { Ok(()) } else { Err(format!("{}: served {served} times, polled {polled} times", attack.name)) }
    });
    // Of each poll, two a second here, those who take nothing may hold a text of half a megabyte.
    let peak = besieged.exporter.peak_kib();
    assert!(peak < 96 << 10, "{}: {peak} KiB", attack.name);
    let said = besieged.exporter.program.stderr();
    // Of each kind it is told once, and of nothing else.
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("level=warn")).collect();
    let kinds: BTreeSet<_> = warnings.iter().map(|line| kind(line)).collect();
    assert_eq!(kinds.len(), warnings.len(), "{warnings:#?}");
    assert!(warnings.iter().all(|line| line.contains("more of the kind are only counted")), "{warnings:#?}");
    for (_, labels, _) in moves.iter().filter(|(family, ..)| *family == DROPPED) {
        let told = labels.first().map_or("reason=".to_owned(), |(_, reason)| format!("reason={reason}"));
        assert!(kinds.iter().any(|kind| kind.contains(&told)), "{told}: {warnings:#?}");
    }
    let crowded = besieged.scrape().total(DROPPED, &[("reason", "crowded")]);
    assert!(besieged.turned_away.get() == 0 || crowded > 0.0, "{}: there was room for all", attack.name);
    drop(attacker);
    besieged.serves();
}

#[test]
fn slow_headers() {
    withstands(Attack::SLOW_HEADERS, &[(DROPPED, &[], 1000.0)]);
}

/// Below the limit of connections the limit of time cuts them off.
#[test]
fn few_slow_headers() {
    withstands(Attack::FEW_SLOW_HEADERS, &[(DROPPED, &[("reason", "header_timeout")], 50.0)]);
}

#[test]
fn slow_bodies() {
    // No body is waited for.
    withstands(Attack::SLOW_BODIES, &[(ANSWERED, &[("code", "405")], 1500.0)]);
}

#[test]
fn slow_readers() {
    withstands(Attack::SLOW_READERS, &[(DROPPED, &[], 1000.0)]);
}

#[test]
fn thousands_of_idle_connections() {
    withstands(Attack::IDLE, &[(DROPPED, &[("reason", "crowded")], 3000.0)]);
}

#[test]
fn a_flood_of_requests() {
    withstands(Attack::REQUESTS, &[(ANSWERED, &[("code", "200")], 1000.0)]);
}

#[test]
fn a_crowd_of_requests() {
    let moves: [Moves; 2] = [(ANSWERED, &[("code", "200")], 500.0), (DROPPED, &[("reason", "crowded")], 500.0)];
    withstands(Attack::CROWD, &moves);
}

#[test]
fn a_flood_of_page_views() {
    withstands(Attack::PAGES, &[(ANSWERED, &[("code", "200")], 500.0)]);
}

#[test]
fn a_flood_of_new_connections() {
    withstands(Attack::CONNECTIONS, &[(ANSWERED, &[("code", "200")], 1000.0)]);
}

#[test]
fn a_flood_of_streams() {
    let moves: [Moves; 2] = [(ANSWERED, &[("code", "200")], 1000.0), (ANSWERED, &[("code", "503")], 1.0)];
    withstands(Attack::STREAMS, &moves);
}

#[test]
fn a_flood_of_handshakes() {
    withstands(Attack::HANDSHAKES, &[(ANSWERED, &[("code", "200")], 100.0)]);
}

#[test]
fn a_flood_of_streams_by_tls() {
    let moves: [Moves; 2] = [(ANSWERED, &[("code", "200")], 500.0), (ANSWERED, &[("code", "503")], 1.0)];
    withstands(Attack::TLS_STREAMS, &moves);
}

#[test]
fn a_flood_of_wrong_passwords() {
    let moves: [Moves; 2] = [(ANSWERED, &[("code", "401")], 5.0), (ANSWERED, &[("code", "503")], 100.0)];
    withstands(Attack::PASSWORDS, &moves);
}

#[test]
fn a_flood_of_wrong_passwords_by_tls() {
    let moves: [Moves; 2] = [(ANSWERED, &[("code", "401")], 5.0), (ANSWERED, &[("code", "503")], 100.0)];
    withstands(Attack::LOCKED_PASSWORDS, &moves);
}

/// Whoever asks from another address finds a place, and keeps it until it has its answer; of fifty, on a machine that is busy
/// with the crowd itself, nearly all.
#[test]
fn a_crowd_from_one_address_keeps_nobody_else_out() {
    let attack = Attack::CROWD;
    let Some(tool) = peer(attack.tool) else { return };
    let besieged = Besieged::start(attack.door);
    let _attacker = Program::start(&mut attack.command(tool, &besieged.exporter.address));
    let crowded = || besieged.scrape().total(DROPPED, &[("reason", "crowded")]);
    until("there is a crowd", || crowded() >= 500.0);
    let url = format!("http://{}/metrics", besieged.exporter.address);
    let mut cut_off = 0;
    for _ in 0..50 {
        let whole = async { besieged.elsewhere.get(&url).send().await?.error_for_status()?.text().await };
        match RUNTIME.block_on(whole) {
            Ok(text) => besieged.expected.compare(&Scrape::read(&text)).unwrap(),
            Err(_) => cut_off += 1,
        }
    }
    assert!(cut_off <= 5, "{cut_off} of 50 were cut off");
}

/// Nobody has seen bob's password yet, so it has to be checked, and the guesses come first.
#[test]
fn guesses_from_one_address_keep_nobody_else_out() {
    let attack = Attack::PASSWORDS;
    let Some(tool) = peer(attack.tool) else { return };
    let besieged = Besieged::start(attack.door);
    let _attacker = Program::start(&mut attack.command(tool, &besieged.exporter.address));
    until("guesses are refused", || besieged.scrape().total(ANSWERED, &[("code", "503")]) >= 100.0);
    let url = format!("http://{}/metrics", besieged.exporter.address);
    for (password, status) in [("one", 401), ("three", 200)] {
        let request = besieged.elsewhere.get(&url).basic_auth("bob", Some(password));
        let answered = RUNTIME.block_on(async { request.send().await.unwrap().status() });
        assert_eq!(answered, status, "{password}");
    }
}
