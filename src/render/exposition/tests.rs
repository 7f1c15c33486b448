use std::collections::BTreeMap;

use prometheus::core::Collector as _;
use prometheus::proto::{Counter, Gauge, Metric, MetricType};
use prost::Message as _;

use super::*;
use crate::live::LiveStats;
use crate::render::protobuf::messages;
use crate::render::sample;

const NO_OPTIONS: Options = Options { openmetrics_created: false };

/// Two families as the process collector has them.
fn process() -> [MetricFamily; 2] {
    let mut cpu = Metric::default();
    let mut counter = Counter::default();
    counter.set_value(7.0);
    cpu.set_counter(counter);
    let mut memory = Metric::default();
    let mut gauge = Gauge::default();
    gauge.set_value(12_345_678.0);
    memory.set_gauge(gauge);
    let families = [
        ("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", MetricType::COUNTER, cpu),
        ("process_resident_memory_bytes", "Resident memory size in bytes.", MetricType::GAUGE, memory),
    ];
    families.map(|(name, help, kind, metric)| {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(vec![metric]);
        family
    })
}

fn whole(format: Format, options: Options, snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    kept(format, options, snapshot, &mut |piece| out.extend_from_slice(piece));
    out.extend(fresh(format, options, snapshot, &LiveStats::new(true).live(), &process()));
    out
}

fn text(format: Format, options: Options, snapshot: &Snapshot) -> String {
    String::from_utf8(whole(format, options, snapshot)).unwrap()
}

fn families(snapshot: &Snapshot) -> Vec<messages::MetricFamily> {
    let bytes = whole(Format::Protobuf, NO_OPTIONS, snapshot);
    let (mut rest, mut families) = (&*bytes, Vec::new());
    while !rest.is_empty() {
        families.push(messages::MetricFamily::decode_length_delimited(&mut rest).unwrap());
    }
    families
}

/// One line a message, so that a difference can be seen.
fn told(families: &[messages::MetricFamily]) -> String {
    let mut told = String::new();
    for family in families {
        let (name, unit) = (family.name(), family.unit());
        told += &format!("{name} {:?} [{unit}] {}\n", family.r#type(), family.help());
        for metric in &family.metric {
            let labels: Vec<_> =
                metric.label.iter().map(|label| format!("{}={:?}", label.name(), label.value())).collect();
            told += &format!("  {{{}}}", labels.join(","));
            if let Some(gauge) = &metric.gauge {
                told += &format!(" gauge {:?}", gauge.value());
            }
            if let Some(counter) = &metric.counter {
                told += &format!(" counter {:?} since {:?}", counter.value(), counter.start_timestamp);
            }
            if let Some(histogram) = &metric.histogram {
                told += &format!("\n    {histogram:?}");
            }
            told.push('\n');
        }
    }
    told
}

fn golden_sample() -> Snapshot {
    let mut snapshot = sample::with_pairs([sample::pair("Ventas", "Quito \"Norte\"")]);
    snapshot.own.process_start = snapshot.own.process_start + 123;
    snapshot
}

#[test]
fn golden() {
    let snapshot = golden_sample();
    let version = env!("CARGO_PKG_VERSION");
    let of_no_version = |text: String| text.replace(&format!("version=\"{version}\""), "version=\"[version]\"");
    insta::assert_snapshot!("text", of_no_version(text(Format::Text, NO_OPTIONS, &snapshot)));
    insta::assert_snapshot!("openmetrics", of_no_version(text(Format::OpenMetrics, NO_OPTIONS, &snapshot)));
    let created = Options { openmetrics_created: true };
    insta::assert_snapshot!("openmetrics_created", of_no_version(text(Format::OpenMetrics, created, &snapshot)));
    insta::assert_snapshot!("protobuf", of_no_version(told(&families(&snapshot))));
}

#[test]
fn families_without_a_point_are_left_out() {
    let text = text(Format::Text, NO_OPTIONS, &sample::empty());
    assert!(!text.contains("jelou_conversations"));
    assert!(!text.contains("jelou_account_info"));
    assert!(!text.contains("timestamp_seconds{account=\"acme\"} 0\n"));
    assert!(text.contains("jelou_up{account=\"acme\"} 0\n"));
    let families = families(&sample::empty());
    for family in FAMILIES {
        let help = text.contains(&format!("# HELP {} ", family.name));
        let samples = text.contains(&format!("\n{}", family.name));
        let message = families.iter().any(|message| message.name() == family.name && !message.metric.is_empty());
        assert_eq!((help, samples), (message, message), "{}", family.name);
    }
}

#[test]
fn any_label_value_comes_back_as_it_was() {
    let torture = sample::torture();
    let snapshot = sample::with_pairs(torture.iter().map(|value| sample::pair(value, "t")));
    for format in [Format::Text, Format::OpenMetrics] {
        let text = text(format, NO_OPTIONS, &snapshot);
        let mut found = Vec::new();
        for line in text.split('\n').filter(|line| line.starts_with("jelou_conversations_active{")) {
            let (labels, value) = parse(line);
            assert_eq!(value, "4");
            assert_eq!((&*labels["account"], &*labels["team"]), ("acme", "t"));
            found.push(labels["bot"].clone());
        }
        assert_eq!(found, torture);
    }
    let families = families(&snapshot);
    let active = families.iter().find(|family| family.name() == "jelou_conversations_active").unwrap();
    let found: Vec<_> = active.metric.iter().map(|metric| metric.label[1].value()).collect();
    assert_eq!(found, torture);
}

#[test]
fn what_is_large_comes_in_pieces_and_whole() {
    let snapshot = sample::with_pairs((0..200).map(|n| sample::pair(&format!("bot {n}"), "t")));
    for format in Format::ALL {
        let (mut pieces, mut largest, mut bytes) = (0, 0, Vec::new());
        kept(format, NO_OPTIONS, &snapshot, &mut |piece| {
            (pieces, largest) = (pieces + 1, largest.max(piece.len()));
            bytes.extend_from_slice(piece);
        });
        // Of protobuf a piece is a family, for its length comes first.
        let limit = if format == Format::Protobuf { usize::MAX } else { 2 * PIECE };
        assert!(pieces > 2 && largest < limit, "{format:?}: {pieces} pieces, the largest of {largest}");
        let last = b"bot 199";
        assert!(bytes.windows(last.len()).any(|window| window == last));
    }
}

#[test]
fn openmetrics_ends_with_its_mark_alone() {
    let text = text(Format::OpenMetrics, Options { openmetrics_created: true }, &golden_sample());
    assert!(text.ends_with("\n# EOF\n"));
    assert_eq!(text.matches("# EOF").count(), 1);
}

#[test]
fn an_empty_histogram_is_native_all_the_same() {
    let families = families(&sample::empty());
    let polls = families.iter().find(|family| family.name() == "jelou_exporter_poll_duration_seconds").unwrap();
    let histogram = polls.metric[0].histogram.as_ref().unwrap();
    assert_eq!((histogram.sample_count(), histogram.zero_count(), histogram.schema()), (0, 0, 3));
    assert!(histogram.zero_threshold() > 0.0);
    assert_eq!(histogram.positive_span, [messages::BucketSpan { offset: Some(0), length: Some(0) }]);
    assert_eq!(histogram.bucket.last().unwrap().upper_bound(), f64::INFINITY);
}

#[test]
fn process_metrics_are_there() {
    let collected = prometheus::process_collector::ProcessCollector::for_self().collect();
    let fresh = fresh(Format::Text, NO_OPTIONS, &sample::empty(), &Live::default(), &collected);
    let text = String::from_utf8(fresh).unwrap();
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"] {
        assert!(text.contains(&format!("\n{name} ")), "{name} in {text}");
    }
}

/// Reads one sample line by the grammar that both text formats share.
fn parse(line: &str) -> (BTreeMap<String, String>, &str) {
    let mut rest = line.split_once('{').unwrap().1;
    let mut labels = BTreeMap::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    escaped @ ('"' | '\\') => escaped,
                    other => panic!("\\{other} is no escape"),
                }),
                (_, plain) => value.push(plain),
            }
        };
        assert!(labels.insert(name.to_owned(), value).is_none());
        rest = &after[end + 1..];
        if let Some(value) = rest.strip_prefix("} ") {
            return (labels, value);
        }
        rest = rest.strip_prefix(',').unwrap();
    }
}
