//! What is pushed adds up: in the Collector by every way and in every form, and in a receiver that nobody can rely on.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use jelou_exporter::simulator::SimulatorOptions;
use jelou_exporter::simulator::faults::Fault;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, metric};

use crate::oracle::lifelike;
use crate::peers::{comparable, polled, same};
use crate::support::adder::Adder;
use crate::support::collector::Collector;
use crate::support::exporter::{Exporter, polling};
use crate::support::exposition::Scrape;
use crate::support::lasting::is_lasting;
use crate::support::otlp::{self, Counts};
use crate::support::peer::{Prometheus, peer};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::world::{now, simulate};
use crate::support::{eventually, until};

/// What adds up to what is counted, whatever becomes of requests, answers and the process.
fn deltas_add_up(histograms: &str, seed: u64) {
    let world = SimulatorOptions { per_hour: 3600.0, pace: 0.01, history: 1_800_000, quirks: false, ..lifelike(seed) };
    let (simulator, folder, adder) = (simulate(world), Scratch::new(), Adder::start(seed));
    let path = folder.state();
    let settings = [
        ("state.path", &*path),
        ("otlp.endpoint", &adder.endpoint),
        ("otlp.temporality", "delta"),
        ("otlp.histograms", histograms),
        ("otlp.interval", "500ms"),
        ("otlp.timeout", "400ms"),
        ("poll.interval", "200ms"),
        ("poll.overlap", "2s"),
        ("poll.initial_lookback", "15m"),
    ];
    let (mut dice, kills) = (Rng::with_seed(seed), 8);
    for kill in 0..kills {
        if kill % 4 == 3 {
            // At some moment on its way to its port.
            let program = Program::start(&mut polling(&simulator.base_url(), &settings));
            until("its first word", || !program.stderr().is_empty());
        } else {
            let taken = adder.taken() + dice.usize(1..6);
            let _exporter = Exporter::start(&simulator.base_url(), &settings);
            until("some exports", || adder.taken() >= taken);
        }
    }
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    // How many there are by now depends on how quick the machine was, and on the hour.
    exporter.scraped("conversations", |scrape| scrape.total("jelou_conversations_started_total", &[]) > 50.0);
    simulator.freeze_at(now());
    adder.be_reliable();
    exporter.succeeds_again(2.0);
    let wanted = |name: &str| is_lasting(name) && (histograms == "explicit" || !name.ends_with("_bucket"));
    eventually(|| otlp::same(&otlp::counts(&exporter.scrape(), &wanted), &adder.counts()));
    adder.is_content(kills);
}

#[test]
fn deltas_add_up_to_the_counters_over_kills_and_lost_answers() {
    deltas_add_up("explicit", 51);
}

#[test]
fn exponential_deltas_add_up_over_kills_and_lost_answers() {
    deltas_add_up("exponential", 52);
}

/// An endpoint that is down for long, over a restart too: what was missed comes in two exports, the one that waited and
/// the one that holds all the rest.
#[test]
fn what_was_missed_is_in_the_next_export() {
    let world = SimulatorOptions { per_hour: 3600.0, pace: 0.01, history: 1_800_000, quirks: false, ..lifelike(53) };
    let (simulator, folder, adder) = (simulate(world), Scratch::new(), Adder::start(53));
    let path = folder.state();
    let settings = |endpoint| {
        [
            ("state.path", &*path),
            ("otlp.endpoint", endpoint),
            ("otlp.temporality", "delta"),
            ("otlp.interval", "500ms"),
            ("poll.interval", "200ms"),
            ("poll.overlap", "2s"),
            ("poll.initial_lookback", "15m"),
        ]
    };
    for _ in 0..2 {
        let exporter = Exporter::start(&simulator.base_url(), &settings("http://127.0.0.1:1"));
        exporter.scraped("failed exports", |scrape| {
            scrape.total("jelou_exporter_otlp_exports_total", &[("result", "failure")]) >= 5.0
                && scrape.total("jelou_conversations_started_total", &[]) > 50.0
        });
    }
    simulator.freeze_at(now());
    adder.be_reliable();
    let exporter = Exporter::start(&simulator.base_url(), &settings(&adder.endpoint));
    exporter.scraped("conversations", |scrape| scrape.total("jelou_conversations_started_total", &[]) > 50.0);
    eventually(|| otlp::same(&otlp::counts(&exporter.scrape(), &is_lasting), &adder.counts()));
}

/// Exponential histograms are not in the text: of these, count and sum.
fn shown(scrape: &Scrape, histograms: &str) -> Counts {
    let told = |name: &str| histograms == "explicit" || !name.ends_with("_bucket");
    otlp::counts(scrape, &|name| name.starts_with("jelou_") && is_count(name) && stands_still(name) && told(name))
}

fn is_count(name: &str) -> bool {
    ["_total", "_count", "_sum", "_bucket"].iter().any(|suffix| name.ends_with(suffix))
}

/// Whether a family stands still between polls.
fn stands_still(name: &str) -> bool {
    !["jelou_exporter_http_requests", "jelou_exporter_log_messages", "jelou_exporter_otlp_"]
        .iter()
        .any(|moving| name.starts_with(moving))
}

#[test]
fn the_collector_writes_the_same() {
    let Some(binary) = peer("JELOU_TEST_COLLECTOR") else { return };
    for protocol in ["http/protobuf", "http/json", "grpc"] {
        for temporality in ["cumulative", "delta"] {
            for histograms in ["explicit", "exponential"] {
                collector_writes_the_same(&Collector::start(&binary), protocol, temporality, histograms);
            }
        }
    }
}

fn collector_writes_the_same(collector: &Collector, protocol: &str, temporality: &str, histograms: &str) {
    let address = if protocol == "grpc" { &collector.grpc } else { &collector.http };
    let endpoint = format!("http://{address}");
    let (_simulator, mut exporter) = polled(&[
        ("otlp.endpoint", &endpoint),
        ("otlp.protocol", protocol),
        ("otlp.temporality", temporality),
        ("otlp.histograms", histograms),
        ("otlp.interval", "1h"),
    ]);
    let scrape = exporter.scrape();
    until("the first export", || !collector.received().is_empty());
    exporter.program.signal("TERM");
    assert_eq!(exporter.program.ended_within(Duration::from_secs(5)).code(), Some(0));
    let received = eventually(|| match collector.received() {
        received if received.len() == 2 => Ok(received),
        received => Err(format!("{} messages", received.len())),
    });
    let (told, expected) = match temporality {
        "delta" => (&received[..], AggregationTemporality::Delta),
        _ => (&received[1..], AggregationTemporality::Cumulative),
    };
    let mut theirs = Counts::new();
    for message in told {
        otlp::add(&mut theirs, message, expected, &|name| stands_still(name)).unwrap();
    }
    otlp::same(&shown(&scrape, histograms), &theirs).unwrap();
    let ours = comparable(scrape.series.iter().filter(|(series, _)| !is_count(&series.name)));
    assert!(ours.len() > 50, "{} gauges", ours.len());
    let theirs: BTreeMap<_, _> =
        otlp::gauges(&received[1]).into_iter().map(|(series, value)| (series, value.to_string())).collect();
    same(&ours, &comparable(theirs.iter())).unwrap();
    check_histograms(&received[1], temporality, histograms);
}

/// The kind that was asked for, with exemplars in order, and with extremes where the whole of time is told.
fn check_histograms(message: &ExportMetricsServiceRequest, temporality: &str, histograms: &str) {
    let scopes = message.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let mut checked = 0;
    for metric in scopes.flat_map(|scope| &scope.metrics) {
        let (kind, points): (_, Vec<_>) = match &metric.data {
            Some(metric::Data::Histogram(it)) => {
                ("explicit", it.data_points.iter().map(|it| (it.count, it.min, it.max, &it.exemplars)).collect())
            }
            Some(metric::Data::ExponentialHistogram(it)) => {
                let buckets = |it: &&opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint| {
                    it.positive.as_ref().map_or(0, |positive| positive.bucket_counts.len())
                };
                assert!(it.data_points.iter().all(|it| buckets(&it) <= 160));
                ("exponential", it.data_points.iter().map(|it| (it.count, it.min, it.max, &it.exemplars)).collect())
            }
            _ => continue,
        };
        assert_eq!(kind, histograms, "{}", metric.name);
        for (count, min, max, exemplars) in points {
            let values = exemplars.iter().map(|exemplar| format!("{:?}", exemplar.value));
            assert!(exemplars.len() as u64 <= count);
            let numbers: Vec<f64> = exemplars.iter().filter_map(otlp::exemplar).collect();
            assert!(numbers.is_sorted() && numbers.len() == exemplars.len(), "{:?}", values.collect::<Vec<_>>());
            if count > 0 && temporality == "cumulative" {
                assert!(min.unwrap() <= max.unwrap(), "{}", metric.name);
                checked += exemplars.len();
            }
        }
    }
    assert!(checked > 0 || temporality == "delta", "no exemplar");
}

/// A receiver of deltas that keeps totals: Prometheus adds up what it gets.
#[test]
fn prometheus_adds_up_deltas() {
    let Some(binary) = peer("JELOU_TEST_PROMETHEUS") else { return };
    let flags = ["--web.enable-otlp-receiver", "--enable-feature=otlp-deltatocumulative"];
    let prometheus = Prometheus::start(binary, None, &flags);
    let endpoint = format!("http://{}/api/v1/otlp", prometheus.address);
    let settings = [("otlp.endpoint", &*endpoint), ("otlp.interval", "500ms"), ("otlp.temporality", "delta")];
    let (_simulator, exporter) = polled(&settings);
    let ours = comparable(&exporter.scrape().series);
    eventually(|| {
        let theirs = prometheus.query("{__name__=~\"jelou_.*\"}")?;
        same(&ours, &comparable(theirs.iter().map(|(series, value)| (series, value))))
    });
}

/// Rule **stale**, pushed: a query finds nothing at once, not only after five minutes.
#[test]
fn facts_of_the_moment_leave_prometheus_at_once() {
    let Some(binary) = peer("JELOU_TEST_PROMETHEUS") else { return };
    let prometheus = Prometheus::start(binary, None, &["--web.enable-otlp-receiver"]);
    let endpoint = format!("http://{}/api/v1/otlp", prometheus.address);
    let simulator = simulate(lifelike(54));
    let settings = [("otlp.endpoint", &*endpoint), ("otlp.interval", "300ms"), ("metrics.stale_after", "2s")];
    let _exporter = Exporter::start(&simulator.base_url(), &settings);
    let active = || prometheus.query("jelou_conversations_active");
    eventually(|| active().and_then(|found| if found.is_empty() { Err("none".to_owned()) } else { Ok(()) }));
    simulator.script(Fault::BadGateway, u64::MAX);
    eventually(|| active().and_then(|found| if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }));
    // What counts stays.
    assert!(!prometheus.query("jelou_conversations_started_total").unwrap().is_empty());
}
