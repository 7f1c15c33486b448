//! What compose.yaml starts, as far as it can be had without its images: the exporter, Prometheus, Alertmanager and the
//! Collector by the arguments, environment and configurations that stand there. Only addresses are others, and times shorter.

use std::net::TcpListener;
use std::process::Command;

use serde_json::json;
use serde_norway::Value;

use super::files::{document, read, texts};
use crate::rules::{place, yaml};
use crate::support::alertmanager::Alertmanager;
use crate::support::exporter::Exporter;
use crate::support::peer::{Prometheus, peer};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::{until, web};

/// The exporter of compose.yaml, with these settings in place of its own.
fn exporter(services: &Value, endpoint: &str, others: &[(&str, &str)]) -> Exporter {
    let service = &services["exporter"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_jelou-exporter"));
    command.env_clear().args(texts(&service["command"]).iter().map(|argument| match argument.strip_prefix(ENDPOINT) {
        Some(_) => format!("{ENDPOINT}{endpoint}"),
        None => argument.clone(),
    }));
    for (name, value) in service["environment"].as_mapping().unwrap() {
        command.env(name.as_str().unwrap(), value.as_str().unwrap());
    }
    command.env("JELOU_EXPORTER_WEB_LISTEN_ADDRESS", "127.0.0.1:0").envs(others.iter().copied());
    Exporter::run(&mut command)
}

/// What a demo is told by a flag, and by nothing else.
const ENDPOINT: &str = "--otlp.endpoint=";

/// An address that was free a moment ago.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The text with each of these, which must be in it, replaced.
#[track_caller]
fn with(text: &str, replaced: &[(&str, &str)]) -> String {
    replaced.iter().fold(text.to_owned(), |text, (here, there)| {
        assert!(text.contains(here), "no {here} in:\n{text}");
        text.replace(here, there)
    })
}

#[test]
fn the_prometheus_of_compose_stores_all_that_the_exporter_has() {
    let Some(binary) = peer("JELOU_TEST_PROMETHEUS") else { return };
    let services = document("compose.yaml")["services"].clone();
    // Nothing is pushed: where nothing listens.
    let exporter = exporter(&services, "http://127.0.0.1:9", &[]);
    let configuration = with(
        &read("deploy/compose/prometheus.yml"),
        &[
            ("exporter:10110", &exporter.address),
            ("alertmanager:9093", "127.0.0.1:9"),
            ("interval: 15s", "interval: 1s"),
        ],
    );
    let flags = texts(&services["prometheus"]["command"]);
    let ours = ["--config.file=", "--storage.tsdb.path="];
    let flags: Vec<&str> =
        flags.iter().map(String::as_str).filter(|flag| !ours.iter().any(|name| flag.starts_with(name))).collect();
    let prometheus = Prometheus::configured(binary, &configuration, &flags);
    let has = |what: &str, expression: &str| {
        until(what, || prometheus.query(expression).is_ok_and(|rows| !rows.is_empty()));
    };
    has("a scrape", "up{job=\"jelou-exporter\"} == 1");
    has("classic buckets", "jelou_operator_reply_time_seconds_bucket{le=~\"300(\\\\.0)?\"} > 0");
    has("native histograms", "histogram_count(jelou_operator_reply_time_seconds) > 0");
    let exemplars = "/api/v1/query_exemplars?query=jelou_operator_reply_time_seconds_bucket&start=0&end=9999999999";
    until("exemplars", || {
        web::get(&prometheus.address, exemplars).is_ok_and(|answer| answer.body.contains("\"conversation_id\""))
    });
}

#[test]
fn the_alertmanager_of_compose_shows_who_would_be_told() {
    let Some(binary) = peer("JELOU_TEST_ALERTMANAGER") else { return };
    let alertmanager = Alertmanager::start(binary, &yaml(&place("deploy/compose/alertmanager.yml")));
    let routes = [
        (
            json!({ "alertname": "JelouCustomerWaitsTooLong", "severity": "page", "concerns": "customers" }),
            "supervisors",
        ),
        (json!({ "alertname": "JelouExporterAbsent", "severity": "page", "concerns": "exporter" }), "on-call"),
        (json!({ "alertname": "JelouReloadRefused", "severity": "ticket", "concerns": "exporter" }), "tickets"),
    ];
    alertmanager.report(&routes.each_ref().map(|(labels, _)| labels.clone()));
    for (labels, receiver) in &routes {
        until(receiver, || {
            alertmanager
                .alerts()
                .iter()
                .any(|alert| alert["labels"] == *labels && alert["receivers"] == json!([{ "name": receiver }]))
        });
    }
}

#[test]
fn the_collector_of_compose_takes_what_the_exporter_pushes() {
    let Some(binary) = peer("JELOU_TEST_COLLECTOR") else { return };
    let services = document("compose.yaml")["services"].clone();
    let (http, grpc) = (free(), free());
    let configuration =
        with(&read("deploy/compose/otel-collector.yml"), &[("0.0.0.0:4317", &grpc), ("0.0.0.0:4318", &http)]);
    let scratch = Scratch::new();
    let path = scratch.0.join("config.yaml");
    // Without its own metrics, which would take a port of everybody.
    std::fs::write(&path, configuration + "  telemetry: {metrics: {level: none}}\n").unwrap();
    let flags = texts(&services["otel-collector"]["command"]);
    let at = format!("--config={}", path.display());
    let flags = flags.iter().map(|flag| if flag.starts_with("--config=") { &at } else { flag });
    let collector = Program::start(Command::new(binary).args(flags));
    until("the Collector listens", || web::get(&http, "/").is_ok());
    let arguments = texts(&services["exporter"]["command"]);
    let endpoint = arguments.iter().find_map(|argument| argument.strip_prefix(ENDPOINT)).unwrap();
    let endpoint = with(endpoint, &[("otel-collector:4318", &http)]);
    let exporter = exporter(&services, &endpoint, &[("JELOU_EXPORTER_OTLP_INTERVAL", "1s")]);
    exporter.scraped("an export that was taken whole", |scrape| {
        scrape.total("jelou_exporter_otlp_exports_total", &[("result", "success")]) > 0.0
    });
    for told in ["jelou.operator.reply_time", "jelou.conversations.waiting", "poll"] {
        until(told, || (collector.stdout() + &collector.stderr()).contains(told));
    }
}
