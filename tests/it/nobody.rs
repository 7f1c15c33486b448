//! No person and no secret leaves the exporter, by whichever way; a conversation's id only where it is promised.

use std::fs;

use jelou_exporter::simulator::SimulatorOptions;
use jelou_exporter::simulator::faults::{FailureInside, Fault, RetryAfter};

use crate::support::exporter::Exporter;
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
/// Where a conversation's id may stand: exemplars, the most talkative log, and the state, which is made of them.
const WITH_IDS: [&str; 5] = ["log", "openmetrics", "protobuf", "OTLP metrics", "checkpoint"];

fn formats(address: &str) -> [(&'static str, Vec<u8>); 3] {
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
    let exporter = Exporter::start(&simulator.base_url(), &settings);
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

    let people = simulator.personal_data(at - 24 * HOUR, at);
    assert!(people.len() > 100);
    let ids: Vec<_> = simulator.stories(at - 24 * HOUR, at).iter().map(|story| story.id.clone()).collect();
    let options = SimulatorOptions::default();
    let basic = "c2ltdWxhdGVkLWNsaWVudDpzaW11bGF0ZWQtc2VjcmV0";
    for (place, bytes) in told {
        let text = String::from_utf8_lossy(&bytes);
        // As it is, and as a debug print of bytes or text would show it.
        let shown = |secret: &str| {
            [secret.to_owned(), secret.escape_default().to_string(), secret.as_bytes().escape_ascii().to_string()]
                .iter()
                .any(|form| text.contains(form))
        };
        let person = people.iter().find(|person| shown(person));
        assert_eq!(person, None, "in the {place}");
        assert!(!shown(&options.client_secret) && !shown(basic), "the secret is in the {place}");
        if !WITH_IDS.contains(&place) {
            assert_eq!(ids.iter().find(|id| shown(id)), None, "in the {place}");
        }
    }
}
