//! Other people's programs read what we write, and find the same values in it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use jelou_exporter::domain::time::UnixMillis;
use jelou_exporter::simulator::story::Story;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};

use crate::support::expected::is_judged;
use crate::support::exporter::{Exporter, Settings};
use crate::support::exposition::{Scrape, Series};
use crate::support::peer::{Prometheus, peer};
use crate::support::rotel::{Point, Rotel};
use crate::support::world::{frozen, now};
use crate::support::{eventually, until};

/// An exporter that has polled a lifelike world once, and has nothing to do for long.
pub(crate) fn polled(settings: Settings<'_>) -> (Simulator, Exporter) {
    let world = SimulatorOptions { per_hour: 30.0, quirks: true, ..SimulatorOptions::default() };
    let (simulator, at) = frozen(world);
    // At night nobody else may be active.
    simulator.put(Story::new("waits", at - 600_000).by("Bot", "A"));
    let settings = [&[("poll.interval", "1h")][..], settings].concat();
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    until("it is ready", || exporter.get("/-/ready").status == 200);
    exporter.is_up();
    (simulator, exporter)
}

/// Whether a family stands still between polls and is not the kernel's.
fn stands_still(series: &Series) -> bool {
    let moving = ["jelou_exporter_http_requests_total", "jelou_exporter_log_messages_total"];
    series.name.starts_with("jelou_")
        && !series.name.starts_with("jelou_exporter_otlp_")
        && !moving.contains(&&*series.name)
}

/// The series that stand still, with values as numbers; bounds may be spelt `300` or `300.0`.
pub(crate) fn comparable<'a>(series: impl IntoIterator<Item = (&'a Series, &'a String)>) -> BTreeMap<Series, f64> {
    let still = series.into_iter().filter(|(series, _)| stands_still(series));
    still.map(|(series, value)| (with_plain_bound(series), value.parse().unwrap())).collect()
}

fn with_plain_bound(series: &Series) -> Series {
    let mut series = series.clone();
    if let Some(le) = series.labels.get_mut("le")
        && le != "+Inf"
    {
        *le = le.parse::<f64>().unwrap().to_string();
    }
    // To Prometheus an empty label is none.
    series.labels.retain(|_, value| !value.is_empty());
    series
}

pub(crate) fn same(ours: &BTreeMap<Series, f64>, theirs: &BTreeMap<Series, f64>) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (series, value) in ours {
        match theirs.get(series) {
            Some(other) if value == other || value.is_nan() && other.is_nan() => {}
            other => wrong.push(format!("{series} is {value}, there {other:?}")),
        }
    }
    wrong.extend(
        theirs.keys().filter(|series| !ours.contains_key(series)).map(|series| format!("only there: {series}")),
    );
    if wrong.is_empty() { Ok(()) } else { Err(format!("{} differences:\n{}", wrong.len(), wrong.join("\n"))) }
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    for variable in ["JELOU_TEST_PROMTOOL", "JELOU_TEST_PROMTOOL2"] {
        let Some(promtool) = peer(variable) else { continue };
        let (_simulator, exporter) = polled(&[("otlp.endpoint", "http://127.0.0.1:1")]);
        let text = exporter.get("/metrics").body;
        let mut command = Command::new(promtool);
        command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.trim().is_empty(), "{variable}: {}: {said}", output.status);
    }
}

#[test]
fn prometheus_scrapes_the_same_values() {
    for variable in ["JELOU_TEST_PROMETHEUS", "JELOU_TEST_PROMETHEUS2"] {
        let Some(binary) = peer(variable) else { continue };
        let (_simulator, exporter) = polled(&[]);
        let prometheus = Prometheus::start(binary, Some(&exporter.address), &[]);
        let scrape = exporter.scrape();
        let ours = comparable(&scrape.series);
        eventually(|| {
            let theirs = prometheus.query("{__name__=~\"jelou_.*\"}")?;
            same(&ours, &comparable(theirs.iter().map(|(series, value)| (series, value))))
        });
        // As a user asks: a counter, a bucket, a gauge.
        for (expression, value) in [
            ("sum(jelou_conversations_started_total)", scrape.total("jelou_conversations_started_total", &[])),
            (
                "sum(jelou_operator_reply_time_seconds_bucket{le=~\"300|300.0\"})",
                scrape.total("jelou_operator_reply_time_seconds_bucket", &[("le", "300")]),
            ),
            ("sum(jelou_conversations_active)", scrape.total("jelou_conversations_active", &[])),
        ] {
            let told = prometheus.query(expression).unwrap();
            assert!(value > 0.0);
            assert_eq!(told[0].1.parse::<f64>().unwrap(), value, "{expression}");
        }
    }
}

#[test]
fn prometheus_gets_the_same_series_pushed() {
    let Some(binary) = peer("JELOU_TEST_PROMETHEUS") else { return };
    let prometheus = Prometheus::start(binary, None, &["--web.enable-otlp-receiver"]);
    let endpoint = format!("http://{}/api/v1/otlp", prometheus.address);
    let (_simulator, exporter) = polled(&[("otlp.endpoint", &endpoint), ("otlp.interval", "500ms")]);
    let ours = comparable(&exporter.scrape().series);
    eventually(|| {
        let theirs = prometheus.query("{__name__=~\"jelou_.*\"}")?;
        same(&ours, &comparable(theirs.iter().map(|(series, value)| (series, value))))
    });
    let told = prometheus.query("count by (job) (jelou_up{job=\"jelou-exporter\", instance!=\"\"})").unwrap();
    assert_eq!(told.len(), 1);
}

/// What the receiver got, by every way and in every form, is what `/metrics` showed; the last of it was sent on SIGTERM.
#[test]
fn a_receiver_gets_the_same_points() {
    let Some(binary) = peer("JELOU_TEST_ROTEL") else { return };
    for (protocol, temporality) in
        [("http/protobuf", "cumulative"), ("grpc", "cumulative"), ("http/protobuf", "delta"), ("grpc", "delta")]
    {
        for histograms in ["explicit", "exponential"] {
            let rotel = Rotel::start(&binary);
            let address = if protocol == "grpc" { &rotel.grpc } else { &rotel.http };
            let endpoint = format!("http://{address}");
            let before = now();
            let (simulator, mut exporter) = polled(&[
                ("otlp.endpoint", &endpoint),
                ("otlp.protocol", protocol),
                ("otlp.histograms", histograms),
                ("otlp.temporality", temporality),
                ("otlp.interval", "1h"),
            ]);
            let scrape = exporter.scrape();
            until("the first export", || rotel.exports() == 1);
            exporter.program.signal("TERM");
            assert_eq!(exporter.program.ended_within(Duration::from_secs(5)).code(), Some(0));

            let points = eventually(|| {
                let points = rotel.last_export();
                let theirs: Vec<_> = match temporality {
                    "delta" => rotel.added_up().into_iter().collect(),
                    _ => points.iter().flat_map(Point::series).collect(),
                };
                let theirs = comparable(theirs.iter().map(|(series, value)| (series, value)));
                let mut ours = comparable(&scrape.series);
                if histograms == "exponential" {
                    ours.retain(|series, _| !series.name.ends_with("_bucket"));
                }
                same(&ours, &theirs)?;
                Ok(points)
            });
            assert_eq!(rotel.exports(), 2, "one when the first poll began, one at the end");
            let first = simulator.requests().iter().filter_map(|request| request.range).map(|(from, _)| from).min();
            for point in points.iter().filter(|_| temporality == "cumulative") {
                check_start(point, before, first.unwrap());
                check_exponential(point, &scrape);
            }
            let exponential = points.iter().any(|point| point.kind == "ExponentialHistogram");
            assert_eq!(exponential, histograms == "exponential");
        }
    }
}

fn is_of_conversations(point: &Point) -> bool {
    [point.name.clone(), format!("{}_count", point.name)].iter().any(|name| is_judged(name))
}

/// Counters and histograms tell since when they count: those of conversations since the start of the initial range, the
/// others since the process began.
fn check_start(point: &Point, process_after: UnixMillis, first: UnixMillis) {
    let start = UnixMillis(i64::try_from(point.start / 1_000_000).unwrap());
    match point.kind.as_str() {
        "Gauge" => assert_eq!(point.start, 0, "{point:?}"),
        _ if is_of_conversations(point) => assert_eq!(start, first, "{point:?}"),
        _ => assert!(process_after <= start && start <= now(), "{point:?}"),
    }
}

/// The exponential buckets hold what the classic ones hold.
fn check_exponential(point: &Point, scrape: &Scrape) {
    if point.kind != "ExponentialHistogram" {
        return;
    }
    let labels: Vec<_> = point.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let count = scrape.total(&format!("{}_count", point.name), &labels) as u64;
    let filled: u64 = point.buckets.iter().map(|(.., count)| count).sum();
    // The receiver does not print how many are zero: requests may be so quick, conversations of this world are not.
    let zeros = count.checked_sub(filled).unwrap_or_else(|| panic!("{count} in all: {point:?}"));
    assert!(zeros == 0 || !is_of_conversations(point), "{zeros} zeros: {point:?}");
    let classic = scrape.series.iter().filter(|(series, _)| {
        series.name == format!("{}_bucket", point.name)
            && point.labels.iter().all(|(key, value)| series.labels.get(key) == Some(value))
            && series.labels["le"] != "+Inf"
    });
    for (series, at_most) in classic {
        let (bound, at_most) = (series.labels["le"].parse::<f64>().unwrap(), at_most.parse::<u64>().unwrap());
        let of = |wanted: &dyn Fn(f64, f64) -> bool| {
            let wanted = point.buckets.iter().filter(|(above, up_to, _)| wanted(*above, *up_to));
            zeros + wanted.map(|(.., count)| count).sum::<u64>()
        };
        let (surely, perhaps) = (of(&|_, up_to| up_to <= bound), of(&|above, _| above < bound));
        assert!(surely <= at_most && at_most <= perhaps, "{series}: {surely} {at_most} {perhaps}");
    }
}

/// Counted from the zero line on, the series begin with it.
#[test]
fn series_begin_at_the_zero_line() {
    let Some(binary) = peer("JELOU_TEST_ROTEL") else { return };
    let rotel = Rotel::start(&binary);
    let before = now();
    let endpoint = format!("http://{}", rotel.http);
    let settings = [("otlp.endpoint", endpoint.as_str()), ("poll.count_initial", "false"), ("otlp.interval", "500ms")];
    let (_simulator, _exporter) = polled(&settings);
    let ready = now();
    let points = eventually(|| {
        let counts = |point: &Point| point.kind != "Gauge" && is_of_conversations(point);
        let points: Vec<_> = rotel.last_export().into_iter().filter(counts).collect();
        let all = points.iter().any(|point| point.name == "jelou_conversations_reopened_total");
        if all { Ok(points) } else { Err("no conversation families yet".to_owned()) }
    });
    for point in points {
        let start = UnixMillis(i64::try_from(point.start / 1_000_000).unwrap());
        assert!(before <= start && start <= ready, "{point:?}");
        assert!(point.series().iter().all(|(_, value)| value == "0"), "{point:?}");
    }
}
