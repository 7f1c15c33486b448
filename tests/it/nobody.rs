//! No person and no secret leaves the exporter, by whichever way; a conversation's id only where it is promised.

use std::fs;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jelou_exporter::simulator::SimulatorOptions;
use jelou_exporter::simulator::faults::{FailureInside, Fault, RetryAfter};

use crate::support::exporter::{Exporter, polling};
use crate::support::needles::Needles;
use crate::support::posts::Posts;
use crate::support::scratch::Scratch;
use crate::support::world::{HOUR, frozen};
use crate::support::{until, web};

/// One of each, so that every error is told of.
const FAULTS: [Fault; 13] = [
    Fault::Unauthorized,
    Fault::Unprocessable,
    Fault::ServerError,
    Fault::NoCompany,
    Fault::BadGateway,
    Fault::Redirect,
    Fault::CutBody,
    Fault::StalledBody,
    Fault::Garbage,
    Fault::Reset,
    Fault::FailureInside(FailureInside::StatusFailed),
    Fault::FailureInside(FailureInside::NoResults),
    Fault::TooManyRequests(RetryAfter::Silent),
];
/// Of the OTLP receiver, and of the proxy.
const SECRETS: [&str; 2] = ["bearer-of-otlp", "password-of-the-proxy"];

/// What a scrape gets, by format.
pub(crate) fn formats(address: &str) -> [(&'static str, Vec<u8>); 3] {
    let asked = [
        ("text", "text/plain"),
        ("openmetrics", "application/openmetrics-text; version=1.0.0"),
        ("protobuf", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"),
    ];
    asked.map(|(format, accept)| {
        let answer = web::send(address, "GET", "/metrics", &format!("accept: {accept}\r\n"), b"").unwrap();
        assert!(!answer.body.is_empty(), "{format}");
        (format, answer.body)
    })
}

/// At the most talkative level, after every kind of failure, all that comes out is searched.
#[test]
fn nobody_and_no_secret_shows_up() {
    let world = SimulatorOptions { per_hour: 60.0, quirks: true, bad_rows: 0.05, ..SimulatorOptions::default() };
    let ((simulator, at), folder, posts) = (frozen(world), Scratch::new(), Posts::take());
    let settings = [
        ("log.level", "trace"),
        ("api.timeout", "1s"),
        ("state.path", &*folder.state()),
        ("otlp.endpoint", &posts.url),
        ("otlp.interval", "200ms"),
        ("otlp.traces", "true"),
    ];
    let mut command = polling(&simulator.base_url(), &settings);
    let [bearer, proxy] = SECRETS;
    command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer {bearer}"));
    // It is read, and API and receiver, both on loopback, are reached without it: nothing listens there.
    command.env("HTTP_PROXY", format!("http://ada:{proxy}@127.0.0.1:9"));
    let exporter = Exporter::run(&mut command);
    until("it is ready", || exporter.get("/-/ready").status == 200);
    for fault in FAULTS {
        simulator.script(fault, 1);
    }
    exporter.scraped("every failure", |scrape| {
        let asked = scrape.total("jelou_exporter_api_requests_total", &[]);
        let failed = asked - scrape.total("jelou_exporter_api_requests_total", &[("outcome", "ok")]);
        failed >= FAULTS.len() as f64 && scrape.total("jelou_up", &[]) == 1.0
    });
    until("spans were sent", || !posts.to("/v1/traces").is_empty());
    until("metrics were sent", || !posts.to("/v1/metrics").is_empty());

    let logs = exporter.program.stderr() + &exporter.program.stdout();
    assert!(logs.contains("level=trace"), "the test is about these");
    let mut told = Vec::from(formats(&exporter.address));
    told.extend([
        ("log", logs.into_bytes()),
        ("page", exporter.get("/").body.into_bytes()),
        ("OTLP metrics", posts.to("/v1/metrics")),
        ("OTLP traces", posts.to("/v1/traces")),
        ("checkpoint", fs::read(folder.state()).unwrap()),
    ]);

    let needles = Needles::of(&simulator, at - 24 * HOUR, at, &SECRETS);
    for (place, bytes) in told {
        needles.absent_from(place, &bytes);
    }
}

/// Passwords of those who scrape, right or wrong, and what they are compared with.
#[test]
fn no_password_shows_up() {
    let (right, wrong) = ("the right password", "the wrong password");
    let (hash, folder) = (bcrypt::hash(right, 4).unwrap(), Scratch::new());
    let file = folder.0.join("web.yml");
    fs::write(&file, format!("basic_auth_users:\n  ada: {hash}\n")).unwrap();
    let world = SimulatorOptions { per_hour: 60.0, ..SimulatorOptions::default() };
    let (simulator, at) = frozen(world);
    let file = file.display().to_string();
    let settings = [("log.level", "trace"), ("web.config_file", &*file), ("web.open_probes", "true")];
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    until("it is ready", || exporter.get("/-/ready").status == 200);
    let sent = [right, wrong].map(|password| BASE64_STANDARD.encode(format!("ada:{password}")));
    let header = |sent: &str| format!("authorization: Basic {sent}\r\n");
    for (password, status) in sent.iter().zip([200, 401]) {
        assert_eq!(web::ask(&exporter.address, "GET", "/metrics", &header(password)).unwrap().status, status);
    }
    // A file that has become unusable is told of.
    fs::write(&file, format!("basic_auth_users:\n  ada: {hash}x\n  ada: {right}\n")).unwrap();
    until("the file was looked at", || {
        exporter.get("/");
        exporter.program.stderr().contains("basic_auth_users")
    });
    let metrics = web::ask(&exporter.address, "GET", "/metrics", &header(&sent[0])).unwrap();
    let page = web::ask(&exporter.address, "GET", "/", &header(&sent[0])).unwrap();
    assert_eq!((metrics.status, page.status), (200, 200));
    let logs = exporter.program.stderr() + &exporter.program.stdout();
    let needles = Needles::of(&simulator, at - 24 * HOUR, at, &[right, wrong, &hash, &sent[0], &sent[1]]);
    for (place, told) in [("text", metrics.body), ("page", page.body), ("log", logs)] {
        needles.absent_from(place, told.as_bytes());
    }
}
