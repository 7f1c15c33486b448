//! Since when each series counts, as other people's programs keep it: the same before and after a kill.

use std::collections::BTreeMap;

use jelou_exporter::domain::time::UnixMillis;
use jelou_exporter::simulator::Simulator;
use jelou_exporter::simulator::story::Story;

use crate::oracle::lifelike;
use crate::support::eventually;
use crate::support::exporter::Exporter;
use crate::support::exposition::Series;
use crate::support::lasting::is_lasting;
use crate::support::peer::{Prometheus, peer};
use crate::support::rotel::Rotel;
use crate::support::scratch::Scratch;
use crate::support::world::{frozen, now};

/// Start by series, milliseconds; of histograms the count.
type Starts = BTreeMap<Series, i64>;

/// What a receiver knows so far of the lasting series.
trait Receives {
    fn starts(&self) -> Result<Starts, String>;
}

impl Receives for Rotel {
    fn starts(&self) -> Result<Starts, String> {
        let points = self.last_export();
        let counting = points.iter().filter(|point| point.kind != "Gauge").filter_map(|point| {
            let series = point.series().into_iter().map(|(series, _)| series);
            let series = series.into_iter().find(|series| is_judged(&series.name))?;
            Some((series, i64::try_from(point.start / 1_000_000).unwrap()))
        });
        Ok(counting.collect())
    }
}

impl Receives for Prometheus {
    fn starts(&self) -> Result<Starts, String> {
        let mut starts = Starts::new();
        for name in JUDGED {
            for (series, seconds) in self.query(&format!("start_timestamp({name})"))? {
                let millis = (seconds.parse::<f64>().map_err(|error| error.to_string())? * 1000.0).round();
                starts.insert(Series { name: name.to_owned(), labels: series.labels }, millis as i64);
            }
        }
        Ok(starts)
    }
}

/// One of each kind, and every counter of conversations.
const JUDGED: [&str; 8] = [
    "jelou_operator_reply_time_seconds_count",
    "jelou_conversation_duration_seconds_count",
    "jelou_conversations_started_total",
    "jelou_conversations_ended_total",
    "jelou_conversations_unanswered_total",
    "jelou_operator_reply_decided_total",
    "jelou_conversations_reopened_total",
    "jelou_exporter_amendments_total",
];

fn is_judged(name: &str) -> bool {
    JUDGED.contains(&name) && is_lasting(name)
}

/// All the starts, once as many series have come as `/metrics` shows.
#[track_caller]
fn complete(receiver: &impl Receives, exporter: &Exporter) -> Starts {
    let shown = || exporter.scrape().series.keys().filter(|series| is_judged(&series.name)).count();
    eventually(|| match (receiver.starts()?, shown()) {
        (starts, shown) if starts.len() == shown && shown > JUDGED.len() => Ok(starts),
        (starts, shown) => Err(format!("{} of {shown} series", starts.len())),
    })
}

fn last_poll(exporter: &Exporter) -> i64 {
    (exporter.scrape().total("jelou_exporter_last_poll_timestamp_seconds", &[]) * 1000.0).round() as i64
}

/// The starts of a team's series that is new, which lie within this time.
#[track_caller]
fn check_new(starts: &Starts, team: &str, from: i64, until: i64) {
    let new: Vec<_> =
        starts.iter().filter(|(series, _)| series.labels.get("team").is_some_and(|it| it == team)).collect();
    assert!(new.len() >= JUDGED.len() - 1, "{new:?}");
    for (series, start) in new {
        assert!((from..=until).contains(start), "{series} counts since {start}, not from {from} to {until}");
    }
}

#[track_caller]
fn check_same(before: &Starts, after: &Starts) {
    for (series, start) in before {
        assert_eq!(after.get(series), Some(start), "{series}");
    }
}

/// Counting begins at the zero line; a team comes while the exporter lives, one while it is down.
fn starts_last(receiver: &impl Receives, endpoint: &str) {
    let ((simulator, at), folder) = (frozen(lifelike(41)), Scratch::new());
    let path = folder.state();
    let settings = [
        ("state.path", &*path),
        ("poll.count_initial", "false"),
        ("otlp.endpoint", endpoint),
        ("otlp.interval", "500ms"),
    ];
    let appears = |simulator: &Simulator, team: &str| {
        simulator.put(Story::new(format!("of-{team}"), at - 5000).by("Bot", team).replied_after(400).closed_after(900));
    };
    let before = now();
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    exporter.is_up();
    let first = complete(receiver, &exporter);
    let zero_line = *first.values().max().unwrap();
    assert!(before.0 <= zero_line && UnixMillis(zero_line) <= now());
    let is_of_conversations = |series: &Series| series.labels.contains_key("team");
    assert!(first.iter().all(|(series, start)| !is_of_conversations(series) || *start == zero_line), "{first:?}");

    let polled = last_poll(&exporter);
    appears(&simulator, "while it lives");
    exporter.scraped("the new team", |scrape| {
        scrape.sum("jelou_conversations_started_total", &[("team", "while it lives")]) == Some(1.0)
    });
    let shown = now();
    let second = complete(receiver, &exporter);
    check_same(&first, &second);
    check_new(&second, "while it lives", polled, shown.0);

    // Dropping it is kill -9.
    drop(exporter);
    appears(&simulator, "while it is down");
    let restarted = now();
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    exporter.is_up();
    let shown = now();
    let third = complete(receiver, &exporter);
    check_same(&second, &third);
    check_new(&third, "while it is down", restarted.0, shown.0);
}

#[test]
fn a_receiver_sees_the_same_starts_after_a_kill() {
    let Some(binary) = peer("JELOU_TEST_ROTEL") else { return };
    let rotel = Rotel::start(&binary);
    starts_last(&rotel, &format!("http://{}", rotel.http));
}

#[test]
fn prometheus_keeps_the_same_starts_over_a_kill() {
    let Some(binary) = peer("JELOU_TEST_PROMETHEUS") else { return };
    let features = "--enable-feature=st-storage,use-start-timestamps,promql-experimental-functions";
    let prometheus = Prometheus::start(binary, None, &["--web.enable-otlp-receiver", features]);
    starts_last(&prometheus, &format!("http://{}/api/v1/otlp", prometheus.address));
    let number = |query: &str| prometheus.query(query).unwrap()[0].1.clone();
    // One instance, of which nothing ever went down.
    assert_eq!(number("count(count by (instance) (jelou_up))"), "1");
    for name in JUDGED {
        assert_eq!(number(&format!("sum(resets({name}[5m]))")), "0", "{name}");
    }
}
