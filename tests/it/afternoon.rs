//! A whole afternoon at its own pace, on clocks that are set: the simulator's bad afternoon, the exporter that polls it, and
//! what our rules make of what it showed, told by promtool. Nothing waits for an hour to pass, and no window is shortened.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jelou_exporter::clock::{Clock, ManualClock};
use jelou_exporter::config::{Config, Profile, Sources};
use jelou_exporter::domain::distribution::Layout;
use jelou_exporter::domain::label::PollResult;
use jelou_exporter::domain::ledger::{Ledger, LedgerSettings};
use jelou_exporter::domain::plan::{Plan, PlanSettings};
use jelou_exporter::domain::snapshot::{Own, Snapshot};
use jelou_exporter::domain::time::UnixMillis;
use jelou_exporter::jelou::{Budget, Client};
use jelou_exporter::poller::{Parts, Poller, PollerSettings, Traces};
use jelou_exporter::render::exposition::{self, Format, Options};
use jelou_exporter::simulator::cast::Cast;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::rules::place;
use crate::support::exposition::{Scrape, Series};
use crate::support::peer::peer;
use crate::support::scratch::Scratch;
use crate::support::world::RUNTIME;

/// By this seed Soporte has a bad afternoon, from 14:00 to 18:00, on the first of these days, and nobody on the second.
const SEED: u64 = 23;
/// 12:00 of that Wednesday where the simulated company lives.
const BAD_DAY: UnixMillis = UnixMillis(1_772_643_600_000);
const GOOD_DAY: UnixMillis = UnixMillis(BAD_DAY.0 + 24 * 3_600_000);

/// From one scrape to the next.
const STEP: i64 = 180_000;
/// Until 19:00.
const STEPS: i64 = 7 * 3_600_000 / STEP;

/// A company that keeps its promise of five minutes on any day but a bad one.
fn world() -> SimulatorOptions {
    let mut cast = Cast::default();
    for team in &mut cast.teams {
        (team.reply_median, team.reply_spread, team.silence) = (90_000.0, 0.5, 0.0);
    }
    SimulatorOptions { seed: SEED, cast, ..SimulatorOptions::default() }
}

fn config(url: &str, world: &SimulatorOptions) -> Config {
    let settings = [("API_URL", url), ("API_CLIENT_ID", &world.client_id), ("API_CLIENT_SECRET", &world.client_secret)];
    let env = settings.map(|(key, value)| (format!("JELOU_EXPORTER_{key}"), value.to_owned())).into();
    let read_file = |path: &Path| panic!("{} is not to be read", path.display());
    let flags = BTreeMap::new();
    Config::read(Sources { flags, env: &env, file: None, read_file: &read_file, profile: Profile::RUN }).unwrap()
}

/// The exporter's poller, by default settings on this clock; in real time it polls again at once.
fn poller(config: &Config, clock: Arc<dyn Clock>) -> (Poller<Client>, watch::Receiver<Arc<Snapshot>>) {
    let (now, metrics, poll) = (clock.now(), &config.metrics, &config.poll);
    let seconds = |duration: Duration| i64::try_from(duration.as_secs()).unwrap();
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap();
    let lookback = 3600;
    let first = now.seconds() - lookback;
    let layout = |bounds: &[u64]| Arc::new(Layout::new(bounds.iter().copied(), metrics.schema));
    let ledger = LedgerSettings {
        reply: layout(&metrics.reply_bounds),
        duration: layout(&metrics.duration_bounds),
        reply_target: millis(metrics.reply_target),
        excluded_origins: metrics.excluded_origins.clone(),
        recent_window: seconds(metrics.recent_window) * 1000,
        max_label_sets: metrics.max_label_sets,
        stale_after: seconds(metrics.stale_after) * 1000,
        count_initial: false,
    };
    let plan = PlanSettings {
        interval: seconds(poll.interval),
        overlap: seconds(poll.overlap),
        horizon: seconds(poll.horizon),
        sweep_interval: seconds(poll.sweep_interval),
        initial_lookback: lookback,
    };
    let parts = Parts {
        upstream: Client::new(&config.api, Arc::clone(&clock)).unwrap(),
        budget: Budget::new(1000.0),
        clock,
        jitter: Box::new(|| 0.5),
        ledger: Ledger::new(ledger, now, UnixMillis::from_seconds(first)),
        plan: Plan::new(plan, first),
        own: Own::new(now, "", millis(metrics.reply_target), millis(poll.interval)),
        account: "acme".into(),
        store: None,
        silence: None,
        traces: Traces::off(),
    };
    let interval = Duration::from_millis(100);
    Poller::new(PollerSettings { interval, requests_per_second: 1000.0, page_size: config.api.page_size }, parts)
}

/// What a poll shows that began and succeeded after the clock was set to this instant.
async fn polled_at(at: UnixMillis, snapshots: &mut watch::Receiver<Arc<Snapshot>>) -> Arc<Snapshot> {
    let successes = |snapshot: &Snapshot| snapshot.own.polls.get(PollResult::Success);
    let began = snapshots.wait_for(|snapshot| snapshot.own.last_poll.is_some_and(|poll| poll >= at)).await;
    let before = successes(&began.unwrap());
    let done = snapshots.wait_for(|snapshot| snapshot.own.up && successes(snapshot) > before).await;
    Arc::clone(&done.unwrap())
}

fn read(snapshot: &Snapshot) -> Scrape {
    let mut text = Vec::new();
    exposition::kept(Format::Text, Options::default(), snapshot, &mut |piece| text.extend_from_slice(piece));
    Scrape::read(std::str::from_utf8(&text).unwrap())
}

/// Every series that the exporter showed, scrape by scrape.
type History = BTreeMap<Series, Vec<Option<String>>>;

/// The hours from 12:00 to 19:00 of a day.
fn live_through(noon: UnixMillis) -> History {
    let world = world();
    let clock = Arc::new(ManualClock::new(noon));
    let shared: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    RUNTIME.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let simulator = Simulator::start(world.clone(), Arc::clone(&shared), listener).unwrap();
        let (poller, mut snapshots) = poller(&config(&simulator.base_url(), &world), shared);
        let polling = tokio::spawn(poller.run());
        let mut history = History::new();
        for step in 0..=STEPS {
            let at = noon + step * STEP;
            clock.set(at);
            let scrape = read(&*polled_at(at, &mut snapshots).await);
            for (series, value) in scrape.series {
                let values = history.entry(series).or_default();
                values.resize(step as usize, None);
                values.push(Some(value));
            }
        }
        polling.abort();
        history
    })
}

/// As promtool wants a series: one value a step, `_` where there is none.
fn input(series: &Series, values: &[Option<String>]) -> Value {
    let mut series = series.clone();
    for (label, value) in [("job", "jelou-exporter"), ("instance", "exporter:10110")] {
        series.labels.insert(label.to_owned(), value.to_owned());
    }
    let values: Vec<_> = values.iter().map(|value| value.as_deref().unwrap_or("_")).collect();
    json!({ "series": series.to_string(), "values": values.join(" ") })
}

/// Whether the rules ask for it: neither the buckets nor the recent percentiles, of which some are NaN.
fn is_asked_for(series: &Series) -> bool {
    !series.name.ends_with("_bucket") && !series.name.contains("_recent_")
}

/// What an expression yields so many minutes after noon: for each of these teams 1, and nothing else.
fn yields(expression: &str, minutes: i64, teams: &[&str]) -> Value {
    let samples: Vec<_> =
        teams.iter().map(|team| json!({ "labels": format!("{{team={team:?}}}"), "value": 1 })).collect();
    json!({ "expr": expression, "eval_time": format!("{minutes}m"), "exp_samples": samples })
}

#[track_caller]
fn promtool_agrees(promtool: &Path, noon: UnixMillis, history: &History, expected: &[Value]) {
    let asked = history.iter().filter(|(series, _)| is_asked_for(series));
    let inputs: Vec<_> = asked.map(|(series, values)| input(series, values)).collect();
    let step = format!("{}s", STEP / 1000);
    let test = json!({
        "rule_files": [format!("{}/*.yml", place("grafana/rules").display())],
        "evaluation_interval": step,
        "tests": [{
            "interval": step,
            "start_timestamp": noon.seconds(),
            "input_series": inputs,
            "promql_expr_test": expected,
        }],
    });
    let folder = Scratch::new();
    let file = folder.0.join("afternoon.yml");
    // JSON is YAML.
    std::fs::write(&file, test.to_string()).unwrap();
    let output = Command::new(promtool).args(["test", "rules"]).arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("SUCCESS"), "{}: {said}", output.status);
}

const FAST: &str = "count by (team) (ALERTS{alertname=\"JelouReplyPromiseBurningFast\", alertstate=\"firing\"})";
/// Whoever had any alert since noon, be it pending; one without a team is a row without labels, which is nobody's.
const EVER: &str = "group by (team) (count_over_time(ALERTS[7h]))";

#[test]
fn a_bad_afternoon_burns_the_promise_of_that_team_alone() {
    let Some(promtool) = peer("JELOU_TEST_PROMTOOL") else { return };
    let history = live_through(BAD_DAY);
    let expected = [
        yields(FAST, 120, &[]),
        yields(EVER, 120, &[]),
        yields(FAST, 210, &["Soporte"]),
        yields(FAST, 360, &["Soporte"]),
        yields(FAST, 420, &[]),
        yields(EVER, 420, &["Soporte"]),
    ];
    promtool_agrees(&promtool, BAD_DAY, &history, &expected);
}

#[test]
fn a_good_day_raises_nothing() {
    let Some(promtool) = peer("JELOU_TEST_PROMTOOL") else { return };
    let history = live_through(GOOD_DAY);
    promtool_agrees(&promtool, GOOD_DAY, &history, &[yields(EVER, 420, &[])]);
}
