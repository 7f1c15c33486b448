//! Each format as independent readers understand it: the official Python client, the Pushgateway (with the decoders of Go's
//! client), and the crate `prometheus`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;

use jelou_exporter::domain::pair::{Pair, PairLabels};
use jelou_exporter::domain::snapshot::{Live, Snapshot};
use jelou_exporter::render::exposition::{self, Format, Options};

use crate::peers::{comparable, polled, same};
use crate::support::exposition::{Scrape, Series};
use crate::support::peer::peer;
use crate::support::program::Program;
use crate::support::{until, web};

#[path = "../../benches/exposition/rival.rs"]
mod rival;
#[allow(dead_code, reason = "the benchmark uses all of it")]
#[path = "../../benches/exposition/world.rs"]
mod world;

const OPENMETRICS: &str = "accept: application/openmetrics-text;version=1.0.0\r\n";

/// Names that break careless writers and readers.
fn torture() -> Vec<String> {
    let mut names: Vec<String> = [
        "\"",
        "\\",
        "\n",
        "\\n",
        "\\\"\n\\",
        "a\"b\\c\nd",
        "}",
        "{le=\"1\"} 5",
        "#",
        "# EOF",
        "\r\t",
        "a\0b",
        "🤖 Ñandú 客服",
        "\u{2028}\u{85}",
    ]
    .map(str::to_owned)
    .into();
    names.push("x".repeat(10_000));
    names.push("🤖\\\"\n".repeat(2_500));
    names
}

/// A snapshot in which each of these names is a bot and a team.
fn tortured() -> Snapshot {
    let names = torture();
    let mut snapshot = world::snapshot(names.len(), 20);
    let shown = snapshot.conversations.as_mut().unwrap();
    for (pair, name) in shown.pairs.iter_mut().zip(&names) {
        let labels = PairLabels { bot: name.as_str().into(), team: name.as_str().into() };
        *pair = Arc::new(Pair { labels, ..Pair::clone(pair) });
    }
    snapshot
}

fn encoded(format: Format, options: Options, snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    exposition::kept(format, options, snapshot, &mut |piece| out.extend_from_slice(piece));
    out.extend(exposition::fresh(format, options, snapshot, &Live::default(), &[]));
    out
}

fn text_of(snapshot: &Snapshot) -> String {
    String::from_utf8(encoded(Format::Text, Options::default(), snapshot)).unwrap()
}

#[test]
fn text_says_what_the_crate_prometheus_would_say() {
    for snapshot in [world::snapshot(3, 50), world::snapshot(0, 0), tortured()] {
        let ours = text_of(&snapshot);
        let theirs = rival::text(&rival::registry(&Arc::new(snapshot), Live::default()));
        // The crate sorts; apart from the order every line is the same, comments and spelling of numbers included.
        let [mut ours, mut theirs] = [&ours, &theirs].map(|text| text.lines().collect::<Vec<_>>());
        ours.sort_unstable();
        theirs.sort_unstable();
        let differ = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
        assert!(differ.is_none() && ours.len() == theirs.len(), "{differ:?}, {} and {}", ours.len(), theirs.len());
    }
}

/// What the official Python client reads: samples, and the exemplars by series.
struct Parsed {
    series: BTreeMap<Series, String>,
    exemplars: Vec<(Series, BTreeMap<String, String>)>,
    kinds: BTreeMap<String, String>,
}

const PYTHON: &str = r"
import json, sys
from prometheus_client import parser as text
from prometheus_client.openmetrics import parser as openmetrics
parse = (openmetrics if sys.argv[1] == 'openmetrics' else text).text_string_to_metric_families
samples, kinds = [], {}
for family in parse(sys.stdin.buffer.read().decode('utf-8')):
    kinds[family.name] = [family.type, family.unit]
    for sample in family.samples:
        exemplar = sample.exemplar and [sample.exemplar.labels, sample.exemplar.value, float(sample.exemplar.timestamp)]
        samples.append([sample.name, sample.labels, repr(float(sample.value)), exemplar])
json.dump([samples, kinds], sys.stdout)
";

/// Lets Python read it; `None` without the client.
fn parsed_by_python(kind: &str, text: &[u8]) -> Option<Parsed> {
    let mut command = Command::new(peer("JELOU_TEST_PYTHON")?);
    command.args(["-c", PYTHON, kind]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It reads to the end before it writes anything.
    child.stdin.take().unwrap().write_all(text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    type Sample = (String, BTreeMap<String, String>, String, Option<(BTreeMap<String, String>, f64, f64)>);
    let (samples, kinds): (Vec<Sample>, BTreeMap<String, (String, String)>) =
        serde_json::from_slice(&output.stdout).unwrap();
    let mut parsed = Parsed {
        series: BTreeMap::new(),
        exemplars: Vec::new(),
        kinds: kinds.into_iter().map(|(name, (kind, unit))| (name, format!("{kind} {unit}"))).collect(),
    };
    for (name, labels, value, exemplar) in samples {
        let series = Series { name, labels };
        if let Some((labels, value, stamp)) = exemplar {
            let bound: f64 = series.labels["le"].parse().unwrap();
            assert!(value <= bound && stamp > 0.0, "{series}: {value} at {stamp}");
            parsed.exemplars.push((series.clone(), labels));
        }
        assert!(parsed.series.insert(series.clone(), value).is_none(), "twice: {series}");
    }
    Some(parsed)
}

#[test]
fn python_reads_openmetrics_strictly() {
    for created in ["false", "true"] {
        let settings = [("web.openmetrics_created", created), ("otlp.endpoint", "http://127.0.0.1:1")];
        let (_simulator, exporter) = polled(&settings);
        let answer = web::ask(&exporter.address, "GET", "/metrics", OPENMETRICS).unwrap();
        assert_eq!(answer.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
        let Some(parsed) = parsed_by_python("openmetrics", answer.body.as_bytes()) else { return };
        let (starts, others): (BTreeMap<_, _>, _) =
            parsed.series.into_iter().partition(|(series, _)| series.name.ends_with("_created"));
        same(&comparable(&exporter.scrape().series), &comparable(&others)).unwrap();
        // Every series of a counter has a start, and every histogram.
        let counts = |series: &&Series| series.name.ends_with("_total") || series.name.ends_with("_count");
        let wanted = if created == "true" { others.keys().filter(counts).count() } else { 0 };
        assert_eq!(starts.len(), wanted);
        assert!(starts.values().all(|start| start.parse::<f64>().unwrap() > 1.7e9));
        for (name, told) in [
            ("jelou_operator_reply_time_seconds", "histogram seconds"),
            ("jelou_conversations_started", "counter "),
            ("jelou_exporter_api_budget_wait_seconds", "counter seconds"),
            ("jelou_exporter_build", "info "),
            ("jelou_conversations_active", "gauge "),
            ("process_resident_memory_bytes", "gauge bytes"),
        ] {
            assert_eq!(parsed.kinds[name], told, "{name}");
        }
        assert!(!parsed.exemplars.is_empty());
        assert!(parsed.exemplars.iter().all(|(_, labels)| labels.keys().eq(["conversation_id"])));
    }
}

#[test]
fn python_reads_any_name_in_either_text_format() {
    let snapshot = tortured();
    let ours = comparable(&Scrape::read(&text_of(&snapshot)).series);
    for (kind, format) in [("openmetrics", Format::OpenMetrics), ("text", Format::Text)] {
        let Some(parsed) = parsed_by_python(kind, &encoded(format, Options::default(), &snapshot)) else { return };
        same(&ours, &comparable(&parsed.series)).unwrap();
    }
}

/// What the Pushgateway makes of an exposition, which it refuses for the least fault: the series as it shows them again.
#[test]
fn the_pushgateway_takes_any_name_in_protobuf_and_text() {
    let Some(binary) = peer("JELOU_TEST_PUSHGATEWAY") else { return };
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let _program = Program::start(Command::new(binary).arg(format!("--web.listen-address={free}")));
    until("the Pushgateway is ready", || web::get(&free, "/-/ready").is_ok_and(|answer| answer.status == 200));
    let snapshot = tortured();
    let ours = comparable(&Scrape::read(&text_of(&snapshot)).series);
    for format in [Format::Text, Format::Protobuf] {
        let body = encoded(format, Options::default(), &snapshot);
        let headers = format!("content-type: {}\r\ncontent-length: {}\r\n", format.content_type(), body.len());
        let answer = web::send(&free, "PUT", "/metrics/job/x", &headers, &body).unwrap();
        let answer = web::Answer::try_from(answer).unwrap();
        assert_eq!((answer.status, &*answer.body), (200, ""), "{format:?}");
        let shown = web::get(&free, "/metrics").unwrap().body;
        let of_us = |line: &&str| {
            ["", "# TYPE ", "# HELP "]
                .iter()
                .any(|before| line.strip_prefix(before).is_some_and(|name| name.starts_with("jelou_")))
        };
        let shown: String = shown.split('\n').filter(of_us).map(|line| format!("{line}\n")).collect();
        let shown = Scrape::read(&shown).series.into_iter().map(|(mut series, value)| {
            assert_eq!(series.labels.remove("job").as_deref(), Some("x"));
            series.labels.remove("instance");
            (series, value)
        });
        same(&ours, &comparable(&shown.collect::<BTreeMap<_, _>>())).unwrap();
    }
}
