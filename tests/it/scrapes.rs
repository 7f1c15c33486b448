//! Prometheus scrapes each format, with all that each can carry: the same series, native histograms, exemplars, and start
//! times that show neither a start nor a restart as a burst.

use std::net::TcpListener;

use jelou_exporter::domain::time::UnixMillis;
use jelou_exporter::simulator::story::Story;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use serde_json::Value;

use crate::peers::{comparable, polled, same};
use crate::support::exporter::Exporter;
use crate::support::exposition::{Scrape, Series};
use crate::support::peer::{Prometheus, peer};
use crate::support::scratch::Scratch;
use crate::support::world::{frozen, now};
use crate::support::{eventually, until, web};

/// Prometheus 3, told which format to ask for.
const ALL_OF_3: &str = "--enable-feature=exemplar-storage,created-timestamp-zero-ingestion,zstd-scrape";
/// Prometheus 2.42, which asks for protobuf when it is to store native histograms.
const ALL_OF_2: &str = "--enable-feature=exemplar-storage,native-histograms";

fn asking_for(protocol: &str) -> String {
    format!("scrape_protocols: [{protocol}], scrape_native_histograms: true, always_scrape_classic_histograms: true,")
}

/// What a format can carry.
struct Carries {
    classic: bool,
    native: bool,
    exemplars: bool,
}

const TEXT: Carries = Carries { classic: true, native: false, exemplars: false };
const OPENMETRICS: Carries = Carries { classic: true, native: false, exemplars: true };
const PROTOBUF: Carries = Carries { classic: true, native: true, exemplars: true };

/// One conversation of a bot of its own, replied to after 2 s.
const EXAMPLE: (&str, &str) = ("6481f0d9af1c2b0012345678", "Bot of the example");

fn check(variable: &str, settings: &str, flag: &str, carries: &Carries) {
    let Some(binary) = peer(variable) else { return };
    let before = now();
    let (simulator, exporter) = polled(&[("poll.interval", "1s")]);
    simulator.put(Story::new(EXAMPLE.0, now() - 30_000).by(EXAMPLE.1, "A").replied_after(2_000));
    let example = [("bot", EXAMPLE.1)];
    exporter.scraped("the example", |scrape| scrape.total("jelou_operator_reply_time_seconds_count", &example) == 1.0);
    let prometheus = Prometheus::scraping(binary, Some(&exporter.address), settings, &[flag]);
    let (scrape, natives) = eventually(|| {
        let (scrape, theirs) = (exporter.scrape(), prometheus.query("{__name__=~\"jelou_.*\"}")?);
        let natives = natives(&prometheus)?;
        let mut ours = comparable(&scrape.series);
        let mut theirs = comparable(theirs.iter().map(|(series, value)| (series, value)));
        // Polls go on meanwhile: what tells of these moves.
        for series in [&mut ours, &mut theirs] {
            series.retain(|series, _| !series.name.starts_with("jelou_exporter_") && series.name != "jelou_up");
            if !carries.classic {
                series.retain(|series, _| !["_bucket", "_sum", "_count"].iter().any(|end| series.name.ends_with(end)));
            }
        }
        same(&ours, &theirs)?;
        Ok((scrape, natives))
    });
    let histograms = scrape.series.keys().filter(|series| series.name.ends_with("_count")).count();
    assert_eq!(natives.len(), if carries.native { histograms } else { 0 });
    for (series, native) in &natives {
        if !series.name.starts_with("jelou_exporter_") {
            check_native(series, native, &scrape);
        }
    }
    let exemplars = eventually(|| {
        let exemplars = exemplars(&prometheus)?;
        let wanted = exemplars.is_empty() != carries.exemplars;
        wanted.then_some(exemplars).ok_or_else(|| "exemplars".to_owned())
    });
    if carries.exemplars {
        check_exemplars(&exemplars, before, &simulator);
    }
}

/// Every native histogram, as the API tells it.
fn natives(prometheus: &Prometheus) -> Result<Vec<(Series, Value)>, String> {
    let rows = prometheus.rows(&format!("/api/v1/query?query={}", web::escape("{__name__=~\"jelou_.*\"}")))?;
    let natives = rows.into_iter().filter_map(|(series, row)| Some((series, row.get("histogram")?[1].clone())));
    Ok(natives.collect())
}

/// The native histogram holds what the classic one holds.
fn check_native(series: &Series, native: &Value, scrape: &Scrape) {
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let labels: Vec<_> = series.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let classic = |end: &str| scrape.total(&format!("{}{end}", series.name), &labels);
    assert_eq!(number(&native["count"]), classic("_count"), "{series}");
    assert!((number(&native["sum"]) - classic("_sum")).abs() < 1e-6, "{series}");
    let rows = native["buckets"].as_array().map_or(&[][..], |rows| &rows[..]);
    // Which of its ends belong to the bucket stands first.
    let buckets: Vec<_> = rows.iter().map(|row| (number(&row[1]), number(&row[2]), number(&row[3]))).collect();
    let total: f64 = buckets.iter().map(|(.., count)| count).sum();
    assert_eq!(total, classic("_count"), "{series}");
    let bounds = scrape.series.iter().filter(|(bucket, _)| {
        bucket.name == format!("{}_bucket", series.name)
            && bucket.labels["le"] != "+Inf"
            && series.labels.iter().all(|(key, value)| bucket.labels.get(key) == Some(value))
    });
    for (bucket, at_most) in bounds {
        let (bound, at_most): (f64, f64) = (bucket.labels["le"].parse().unwrap(), at_most.parse().unwrap());
        let of = |wanted: &dyn Fn(f64, f64) -> bool| -> f64 {
            buckets.iter().filter(|(above, up_to, _)| wanted(*above, *up_to)).map(|(.., count)| count).sum()
        };
        let (surely, perhaps) = (of(&|_, up_to| up_to <= bound), of(&|above, _| above < bound));
        assert!(surely <= at_most && at_most <= perhaps, "{bucket}: {surely} {at_most} {perhaps}");
    }
}

/// Every exemplar of the reply times: its series and what the API tells of it.
fn exemplars(prometheus: &Prometheus) -> Result<Vec<(Series, Value)>, String> {
    let query = web::escape("{__name__=~\"jelou_operator_reply_time_seconds(_bucket)?\"}");
    let (from, until) = (now().seconds() - 3_600, now().seconds() + 60);
    let rows = prometheus.rows(&format!("/api/v1/query_exemplars?query={query}&start={from}&end={until}"))?;
    let each = |(series, row): (Series, Value)| {
        let exemplars = row["exemplars"].as_array().cloned().unwrap_or_default();
        exemplars.into_iter().map(move |exemplar| (series.clone(), exemplar))
    };
    Ok(rows.into_iter().flat_map(each).collect())
}

/// Each leads to a conversation that the upstream has; the one of the example says all that is known.
fn check_exemplars(exemplars: &[(Series, Value)], before: UnixMillis, simulator: &Simulator) {
    for (series, exemplar) in exemplars {
        let labels = exemplar["labels"].as_object().unwrap();
        let id = labels["conversation_id"].as_str().unwrap();
        assert!(labels.len() == 1 && simulator.find(id).is_some(), "{series}: {exemplar}");
        let stamp = exemplar["timestamp"].as_f64().unwrap();
        assert!(before.as_seconds_f64() <= stamp && stamp <= now().as_seconds_f64(), "{series}: {exemplar}");
    }
    let of_example = exemplars.iter().filter(|(series, _)| series.labels["bot"] == EXAMPLE.1);
    let told: Vec<_> =
        of_example.map(|(_, exemplar)| (&exemplar["labels"]["conversation_id"], &exemplar["value"])).collect();
    assert!(told.contains(&(&Value::from(EXAMPLE.0), &Value::from("2"))), "{told:?}");
}

#[test]
fn prometheus_3_scrapes_text() {
    check("JELOU_TEST_PROMETHEUS", &asking_for("PrometheusText0.0.4"), ALL_OF_3, &TEXT);
}

/// A version of the text format that is not ours: what it gets is 0.0.4, and says so.
#[test]
fn prometheus_3_scrapes_text_though_it_asks_for_a_later_version() {
    check("JELOU_TEST_PROMETHEUS", &asking_for("PrometheusText1.0.0"), ALL_OF_3, &TEXT);
}

#[test]
fn prometheus_3_scrapes_openmetrics() {
    check("JELOU_TEST_PROMETHEUS", &asking_for("OpenMetricsText1.0.0"), ALL_OF_3, &OPENMETRICS);
}

#[test]
fn prometheus_3_scrapes_protobuf() {
    check("JELOU_TEST_PROMETHEUS", &asking_for("PrometheusProto"), ALL_OF_3, &PROTOBUF);
}

#[test]
fn prometheus_2_scrapes_openmetrics() {
    check("JELOU_TEST_PROMETHEUS2", "", "--enable-feature=exemplar-storage", &OPENMETRICS);
}

#[test]
fn prometheus_2_scrapes_protobuf() {
    // It cannot store both kinds of histogram of one name.
    check("JELOU_TEST_PROMETHEUS2", "", ALL_OF_2, &Carries { classic: false, ..PROTOBUF });
}

/// Seconds and value of each sample.
type Samples = Vec<(f64, f64)>;

/// The samples of each series of the last hour.
fn samples(prometheus: &Prometheus, selector: &str) -> Result<Vec<(Series, Samples)>, String> {
    let rows = prometheus.rows(&format!("/api/v1/query?query={}", web::escape(&format!("{selector}[1h]"))))?;
    let each = rows.into_iter().map(|(series, row)| {
        let values = row["values"].as_array().cloned().unwrap_or_default();
        let sample = |row: &Value| (row[0].as_f64().unwrap(), row[1].as_str().unwrap().parse().unwrap());
        (series, values.iter().map(sample).collect())
    });
    Ok(each.collect())
}

#[test]
fn what_was_counted_before_the_first_scrape_begins_at_zero_at_its_start() {
    for protocol in ["PrometheusProto", "OpenMetricsText1.0.0"] {
        let Some(binary) = peer("JELOU_TEST_PROMETHEUS") else { return };
        let before = now();
        let (_simulator, exporter) = polled(&[("web.openmetrics_created", "true")]);
        let ready = now();
        let requests = exporter.scrape().total("jelou_exporter_api_requests_total", &[("outcome", "ok")]);
        assert!(requests > 0.0);
        let prometheus = Prometheus::scraping(binary, Some(&exporter.address), &asking_for(protocol), &[ALL_OF_3]);
        let seen = eventually(|| {
            let seen = samples(&prometheus, "jelou_exporter_api_requests_total{outcome=\"ok\"}")?;
            seen.first()
                .map(|(_, samples)| samples.clone())
                .filter(|seen| seen.len() > 3)
                .ok_or("no scrapes yet".to_owned())
        });
        let [(start, zero), rest @ ..] = &seen[..] else { panic!("{protocol}: {seen:?}") };
        assert_eq!(*zero, 0.0, "{protocol}: {seen:?}");
        assert!(before.as_seconds_f64() <= *start && *start <= ready.as_seconds_f64(), "{protocol}: {seen:?}");
        assert!(rest.iter().all(|(_, value)| *value == requests), "{protocol}: {seen:?}");
        let starts = prometheus.query("{__name__=~\".*_created\"}").unwrap();
        assert!(starts.is_empty(), "{protocol}: start times are no series: {starts:?}");
    }
}

/// How much a series went up from its first sample to its last, resets counted, and how often it was reset.
fn increase(samples: &[(f64, f64)]) -> (f64, usize) {
    let steps = samples.windows(2).map(|pair| (pair[0].1, pair[1].1));
    let (mut sum, mut resets) = (0.0, 0);
    for (from, to) in steps {
        (sum, resets) = if to < from { (sum + to, resets + 1) } else { (sum + to - from, resets) };
    }
    (sum, resets)
}

/// Counting begins at zero, new series come up, the process is killed, and more is found by the next one: what Prometheus
/// says has happened is what has happened.
fn check_kill(variable: &str, settings: &str, flag: &str, knows_starts: bool) {
    let Some(binary) = peer(variable) else { return };
    let (simulator, at) = frozen(SimulatorOptions::scripted());
    let conversation = |number: usize, bot: &str| {
        let start = at - 60_000 - number as i64 * 1_000;
        Story::new(format!("{number:024x}"), start).by(bot, "A").replied_after(2_000).closed_after(20_000)
    };
    for number in 0..7 {
        simulator.put(conversation(number, "known"));
    }
    let folder = Scratch::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (path, url) = (folder.0.join("state.db"), simulator.base_url());
    let settings_of_ours =
        [("state.path", path.to_str().unwrap()), ("web.listen_address", &free), ("poll.count_initial", "false")];
    let start = || {
        let exporter = Exporter::start(&url, &settings_of_ours);
        until("it is ready", || exporter.get("/-/ready").status == 200);
        exporter
    };
    let mut exporter = start();
    let prometheus = Prometheus::scraping(binary, Some(&free), settings, &[flag]);
    let name = "jelou_conversations_started_total";
    // Only an increase is told, so wherever starts are not known, new series begin with what they have by then.
    let sees = |what: &str, wanted: f64| {
        eventually(|| {
            let seen = prometheus.query(&format!("sum({name})"))?;
            let seen = seen.first().map(|(_, value)| value.parse::<f64>().unwrap());
            if seen == Some(wanted) { Ok(()) } else { Err(format!("{what}: {seen:?}, not {wanted}")) }
        });
    };
    sees("the zero line", 0.0);
    for number in 10..13 {
        simulator.put(conversation(number, "known"));
    }
    sees("conversations of a known series", 3.0);
    for number in 20..25 {
        simulator.put(conversation(number, "new"));
    }
    sees("conversations of a new series", 8.0);
    exporter.program.signal("KILL");
    exporter.program.ended_within(std::time::Duration::from_secs(5));
    for number in 30..34 {
        simulator.put(conversation(number, "known"));
    }
    for number in 40..46 {
        simulator.put(conversation(number, "newest"));
    }
    let _exporter = start();
    sees("what happened while it was dead", 18.0);

    for name in [name, "jelou_conversations_ended_total", "jelou_operator_reply_time_seconds_count"] {
        let told = samples(&prometheus, name).unwrap();
        let mut total = 0.0;
        for (series, samples) in &told {
            let (increase, resets) = increase(samples);
            assert_eq!(resets, 0, "{series}: {samples:?}");
            total += if knows_starts || series.labels["bot"] == "known" { increase } else { 0.0 };
        }
        assert_eq!(total, if knows_starts { 18.0 } else { 7.0 }, "{name}: {told:?}");
    }
}

#[test]
fn prometheus_3_counts_exactly_over_a_kill() {
    check_kill("JELOU_TEST_PROMETHEUS", &asking_for("PrometheusProto"), ALL_OF_3, true);
}

#[test]
fn prometheus_3_counts_exactly_over_a_kill_by_openmetrics() {
    check_kill("JELOU_TEST_PROMETHEUS", &asking_for("OpenMetricsText1.0.0"), ALL_OF_3, false);
}

#[test]
fn prometheus_2_counts_exactly_over_a_kill() {
    check_kill("JELOU_TEST_PROMETHEUS2", "", "--enable-feature=exemplar-storage", false);
}
