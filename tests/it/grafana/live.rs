//! Simulator, exporter and a real Prometheus: every panel's query answers, however the metrics come there.

use std::collections::BTreeMap;

use jelou_exporter::domain::distribution::EXEMPLAR_LABEL;
use jelou_exporter::domain::time::UnixMillis;
use jelou_exporter::simulator::story::Story;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use serde_json::Value;

use super::expressions::{choices, substitute};
use super::files::{self, Dashboard};
use crate::support::exporter::Exporter;
use crate::support::peer::{Prometheus, peer};
use crate::support::scratch::Scratch;
use crate::support::world::{now, simulate};
use crate::support::{eventually, until, web};

/// How the metrics come to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Scraped by Prometheus 3, native histograms beside the classic ones.
    Scraped,
    /// Scraped by Prometheus 2, which stores `le` as `300`.
    ScrapedByOld,
    /// Pushed by OTLP into Prometheus 3.
    Pushed,
    /// The same with exponential histograms, which are all native there: no `_bucket`, `_count` or `_sum`.
    PushedExponential,
}

/// Nothing of what is asked for lies so far back, or it is not there this way.
struct Empty {
    dashboard: &'static str,
    panel: &'static str,
    /// What the expression holds.
    query: &'static str,
    ways: &'static [Way],
    why: &'static str,
}

/// Queries that rightly find nothing in a world of seconds.
const EMPTY: [Empty; 5] = [
    Empty {
        dashboard: "jelou-overview",
        panel: "Conversations started, by origin",
        query: "offset 1w",
        ways: &[Way::Scraped, Way::ScrapedByOld, Way::Pushed, Way::PushedExponential],
        why: "nothing is a week old",
    },
    Empty {
        dashboard: "jelou-team",
        panel: "Replies by waiting time",
        query: "increase",
        ways: &[Way::PushedExponential],
        why: "exponential histograms have no classic buckets",
    },
    Empty {
        dashboard: "jelou-team",
        panel: "Replies by waiting time, in fine steps",
        query: "increase",
        ways: &[Way::ScrapedByOld, Way::Pushed],
        why: "neither the text format nor explicit buckets carry native histograms",
    },
    Empty {
        dashboard: "jelou-exporter",
        panel: "Memory",
        query: "process_",
        ways: &[Way::Pushed, Way::PushedExponential],
        why: "what the kernel tells of the process is not pushed",
    },
    Empty {
        dashboard: "jelou-exporter",
        panel: "Which exporters",
        query: "otlp_last_success",
        ways: &[Way::Scraped, Way::ScrapedByOld],
        why: "nobody takes what is pushed there",
    },
];

/// What stands for time in a world of seconds.
const TIMES: [(&str, &str); 4] = [("__range", "2m"), ("window", "2m"), ("__interval", "5s"), ("__rate_interval", "1m")];

/// A Prometheus without it keeps no dots.
const EXEMPLARS: &str = "--enable-feature=exemplar-storage";

/// How much of the past a graph shows, seconds.
const SHOWN: i64 = 120;

/// Two teams, each behind a bot.
const TEAMS: [(&str, &str); 2] = [("Bot A", "Team A"), ("Bot B", "Team B")];

/// Conversations enough for every guard: answered at once, late and never; ended in several ways, open, and waiting.
fn bustle(simulator: &Simulator) {
    let start = now() - 400_000;
    for number in 0..48 {
        let (bot, team) = TEAMS[number % 2];
        let at = UnixMillis(start.0 + 1000 * number as i64);
        let story = Story::new(format!("{number:024x}"), at).by(bot, team);
        simulator.put(match number / 2 % 6 {
            0 | 1 => story.replied_after(20_000).ended_after(200_000, "closed", "closed_by_operator"),
            2 => story.replied_after(310_000).ended_after(320_000, "transferred", "transferred"),
            3 => story.ended_after(300_000, "expired", "expired"),
            4 => story.replied_after(45_000),
            _ => story,
        });
    }
}

/// Whether some of the dots that this query asks for tell their conversation.
fn ask_for_dots(prometheus: &Prometheus, target: &Value, values: &BTreeMap<String, String>) -> Result<(), String> {
    let (expression, end) = (web::escape(&substitute(target["expr"].as_str().unwrap(), values)?), now().seconds() + 60);
    let path = format!("/api/v1/query_exemplars?query={expression}&start={}&end={end}", end - 7 * 86_400);
    let rows = prometheus.rows(&path)?;
    let mut dots = rows.iter().filter_map(|(_, row)| row["exemplars"].as_array()).flatten();
    let tells = dots.any(|dot| dot["labels"][EXEMPLAR_LABEL].as_str().is_some_and(|id| !id.is_empty()));
    if tells { Ok(()) } else { Err(format!("no dots, or none with {EXEMPLAR_LABEL}")) }
}

/// What a query of a panel yields: how many series with a number, or why none.
fn ask(
    prometheus: &Prometheus,
    panel: &Value,
    target: &Value,
    values: &BTreeMap<String, String>,
) -> Result<usize, String> {
    let expression = web::escape(&substitute(target["expr"].as_str().unwrap(), values)?);
    let back = match panel["timeShift"].as_str() {
        None => 0,
        Some("1h") => 3600,
        Some(other) => return Err(format!("a shift of {other}, which this test does not know")),
    };
    let end = now().seconds() - back;
    let path = if target["instant"] == true {
        format!("/api/v1/query?query={expression}&time={end}")
    } else {
        format!("/api/v1/query_range?query={expression}&start={}&end={end}&step=5", end - SHOWN)
    };
    let is_number = |value: &Value| value.as_str().is_none_or(|text| text != "NaN");
    let rows = prometheus.rows(&path)?;
    let told = rows.iter().filter(|(_, row)| {
        let many = ["values", "histograms"].iter().filter_map(|key| row[*key].as_array()).flatten();
        let one = ["value", "histogram"].iter().map(|key| &row[*key]).filter(|value| value.is_array());
        many.chain(one).any(|value| is_number(&value[1]))
    });
    Ok(told.count())
}

/// Every query of the dashboard that fails, finds nothing, or finds what it is said not to find.
fn faults(prometheus: &Prometheus, dashboard: &Dashboard, way: Way) -> Vec<String> {
    let mut values = choices(dashboard.variables()).pop().unwrap();
    values.extend(TIMES.map(|(name, time)| (name.to_owned(), time.to_owned())));
    let mut wrong = Vec::new();
    for (panel, target) in files::queries(dashboard) {
        let expression = target["expr"].as_str().unwrap();
        let listed = EMPTY.iter().find(|empty| {
            dashboard.json["uid"] == empty.dashboard
                && panel["title"] == empty.panel
                && expression.contains(empty.query)
                && empty.ways.contains(&way)
        });
        let place = format!("{} {}: {expression}", dashboard.name, panel["title"]);
        match (ask(prometheus, panel, target, &values), listed) {
            (Ok(0), None) => wrong.push(format!("nothing: {place}")),
            (Ok(found @ 1..), Some(empty)) => {
                wrong.push(format!("finds {found}, and is to be empty, because {}: {place}", empty.why));
            }
            (Ok(_), _) => {}
            (Err(error), _) => wrong.push(format!("{error}: {place}")),
        }
        if target["exemplar"] == true
            && listed.is_none()
            && let Err(error) = ask_for_dots(prometheus, target, &values)
        {
            wrong.push(format!("{error}: {place}"));
        }
    }
    for variable in dashboard.variables() {
        let Some((selector, label)) = files::label_values(variable) else { continue };
        let selector = web::escape(&substitute(selector, &values).unwrap());
        let answer =
            web::get(&prometheus.address, &format!("/api/v1/label/{label}/values?match[]={selector}")).unwrap();
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        if answer["data"].as_array().is_none_or(Vec::is_empty) {
            wrong.push(format!("{}: the variable {} has no values: {answer}", dashboard.name, variable["name"]));
        }
    }
    for annotation in dashboard.json["annotations"]["list"].as_array().unwrap() {
        let expression = substitute(annotation["target"]["expr"].as_str().unwrap(), &values).unwrap();
        if let Err(error) = prometheus.query(&expression) {
            wrong.push(format!("{}: annotation {}: {error}", dashboard.name, annotation["name"]));
        }
    }
    wrong
}

fn check(variable: &str, way: Way) {
    let Some(binary) = peer(variable) else { return };
    let simulator = simulate(SimulatorOptions { per_hour: 60.0, history: 3 * 3_600_000, ..SimulatorOptions::demo() });
    let state = Scratch::new();
    let start = |endpoint: &str| {
        let histograms = if way == Way::PushedExponential { "exponential" } else { "explicit" };
        let settings = [
            ("otlp.histograms", histograms.to_owned()),
            ("state.path", state.state()),
            ("otlp.endpoint", endpoint.to_owned()),
            ("otlp.interval", "500ms".to_owned()),
            ("poll.count_initial", "false".to_owned()),
            ("poll.initial_lookback", "1h".to_owned()),
            ("poll.horizon", "1h".to_owned()),
            ("poll.sweep_interval", "2s".to_owned()),
        ];
        let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let exporter = Exporter::start(&simulator.base_url(), &settings);
        until("it is ready", || exporter.get("/-/ready").status == 200);
        exporter
    };
    let nowhere = "http://127.0.0.1:1";
    let (prometheus, _exporter) = match way {
        Way::Scraped => {
            let exporter = start(nowhere);
            let settings = "scrape_native_histograms: true, always_scrape_classic_histograms: true,";
            (Prometheus::scraping(binary, Some(&exporter.address), settings, &[EXEMPLARS]), exporter)
        }
        Way::ScrapedByOld => {
            let exporter = start(nowhere);
            (Prometheus::start(binary, Some(&exporter.address), &[EXEMPLARS]), exporter)
        }
        Way::Pushed | Way::PushedExponential => {
            let prometheus = Prometheus::start(binary, None, &[EXEMPLARS, "--web.enable-otlp-receiver"]);
            let exporter = start(&format!("http://{}/api/v1/otlp", prometheus.address));
            (prometheus, exporter)
        }
    };
    for (number, (bot, team)) in TEAMS.iter().enumerate() {
        simulator.put(Story::new(format!("first of {number}"), now() - 60_000).by(bot, team));
    }
    // What happens from here on is seen to happen: the series are known at zero.
    eventually(|| {
        let known = prometheus.query("count by (team) (jelou_operator_reply_decided_total{team=~\"Team .\"})")?;
        if known.len() == TEAMS.len() { Ok(()) } else { Err(format!("teams: {known:?}")) }
    });
    bustle(&simulator);
    let dashboards = files::dashboards();
    eventually(|| {
        let wrong: Vec<_> = dashboards.iter().flat_map(|dashboard| faults(&prometheus, dashboard, way)).collect();
        if wrong.is_empty() { Ok(()) } else { Err(format!("{way:?}: {} faults:\n{}", wrong.len(), wrong.join("\n"))) }
    });
}

#[test]
fn every_panel_answers_when_scraped() {
    check("JELOU_TEST_PROMETHEUS", Way::Scraped);
}

#[test]
fn every_panel_answers_when_scraped_by_prometheus_2() {
    check("JELOU_TEST_PROMETHEUS2", Way::ScrapedByOld);
}

#[test]
fn every_panel_answers_when_pushed() {
    check("JELOU_TEST_PROMETHEUS", Way::Pushed);
}

#[test]
fn every_panel_answers_when_pushed_with_exponential_histograms() {
    check("JELOU_TEST_PROMETHEUS", Way::PushedExponential);
}

/// The first start is none that anyone has to know of; the next counts whether the series goes on or another instance, with
/// a state of its own, takes over, as in a new Pod.
#[test]
fn starts_are_counted_of_whichever_instance() {
    let Some(binary) = peer("JELOU_TEST_PROMETHEUS") else { return };
    let simulator = simulate(SimulatorOptions::demo());
    let prometheus = Prometheus::start(binary, None, &["--web.enable-otlp-receiver"]);
    let endpoint = format!("http://{}/api/v1/otlp", prometheus.address);
    let dashboards = files::dashboards();
    let (values, mut of_panels) = (choices(&[]).pop().unwrap(), dashboards.iter().flat_map(files::queries));
    let (_, target) = of_panels.find(|(panel, _)| panel["title"] == "Starts and reloads").unwrap();
    let expression = substitute(target["expr"].as_str().unwrap(), &values).unwrap();
    let (one, other) = (Scratch::new(), Scratch::new());
    for (state, wanted) in [(&one, "0"), (&one, "1"), (&other, "2"), (&other, "3")] {
        let state = state.state();
        let settings = [("state.path", &*state), ("otlp.endpoint", &endpoint), ("otlp.interval", "200ms")];
        let _exporter = Exporter::start(&simulator.base_url(), &settings);
        eventually(|| {
            let counted = prometheus.query(&expression)?;
            if counted.iter().any(|(_, value)| value == wanted) {
                Ok(())
            } else {
                Err(format!("{wanted}: {counted:?}"))
            }
        });
    }
}
