//! Days of the simulated world in minutes, into a Prometheus: what the pictures of the dashboards are drawn from.
//!
//! `cargo run --example history -- 127.0.0.1:9090 8d 2026-11-20T22:30:00Z`: pushes to the OTLP receiver of this Prometheus what an
//! exporter would have pushed every three minutes of the eight days before that instant. The real poller polls the simulated
//! API over HTTP; only the time is not real. The Prometheus must be empty, started with `--web.enable-otlp-receiver`, and
//! scrape nothing: it takes no sample that is much older than one that it has.
#![allow(clippy::print_stdout, reason = "a tool prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jelou_exporter::clock::{Clock, ManualClock};
use jelou_exporter::config::{Config, Profile, Sources};
use jelou_exporter::domain::distribution::Layout;
use jelou_exporter::domain::ledger::{Ledger, LedgerSettings};
use jelou_exporter::domain::plan::{Plan, PlanSettings};
use jelou_exporter::domain::reading::Page;
use jelou_exporter::domain::snapshot::{Live, Own, Snapshot};
use jelou_exporter::domain::time::{Range, UnixMillis};
use jelou_exporter::jelou::{ApiError, Budget, Client};
use jelou_exporter::poller::{Parts, Poller, PollerSettings, Traces, Upstream};
use jelou_exporter::render::otlp::{self, HistogramKind};
use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};
use tokio::time::Instant;

/// From poll to poll, and from push to push: less than Prometheus looks back for a value.
const INTERVAL: Duration = Duration::from_secs(180);
const DAY: i64 = 86_400_000;

/// The time of the poller, which stands still while anything is waited for.
struct PausedClock {
    began: Instant,
    at: UnixMillis,
}

impl Clock for PausedClock {
    fn now(&self) -> UnixMillis {
        self.at + i64::try_from(self.began.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// The API client in real time, for a poller in paused time.
struct Bridge {
    client: Arc<Client>,
    real: Handle,
    paused: Arc<PausedClock>,
    simulated: Arc<ManualClock>,
}

impl Upstream for Bridge {
    async fn conversations(&self, range: Range, page: u32) -> Result<Page, ApiError> {
        // As long as a request to a far API takes.
        tokio::time::sleep(Duration::from_millis(60 + fastrand::u64(..80))).await;
        self.simulated.set(self.paused.now());
        let (answer, answered) = mpsc::channel();
        let client = Arc::clone(&self.client);
        self.real.spawn(async move { answer.send(client.conversations(range, page).await) });
        answered.recv().expect("the client answers")
    }

    fn reload_credentials(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn credentials_changed(&self) -> bool {
        false
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [prometheus, days, end] = &arguments[..] else {
        return Err("usage: history HOST:PORT DAYSd END (as 2026-11-20T22:30:00Z)".into());
    };
    let days: i64 = days.strip_suffix('d').ok_or("so many days, as 8d")?.parse()?;
    let end = UnixMillis(end.parse::<jiff::Timestamp>()?.as_millisecond());
    let begin = end - days * DAY;

    let simulated = Arc::new(ManualClock::new(begin));
    let real = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let world = SimulatorOptions {
        seed: 11,
        per_hour: 150.0,
        quietest: 0.0,
        pace: 0.4,
        history: 2 * DAY,
        ..SimulatorOptions::demo()
    };
    let simulator = real.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Simulator::start(world, Arc::clone(&simulated) as Arc<dyn Clock>, listener)
    })?;
    let paused = Builder::new_current_thread().enable_all().start_paused(true).build()?;
    paused.block_on(async {
        let clock = Arc::new(PausedClock { began: Instant::now(), at: begin });
        let config = config(&simulator.base_url())?;
        let client = Client::new(&config.api, Arc::clone(&simulated) as Arc<dyn Clock>)?;
        let bridge = Bridge {
            client: Arc::new(client),
            real: real.handle().clone(),
            paused: Arc::clone(&clock),
            simulated: Arc::clone(&simulated),
        };
        let (poller, mut snapshots) = poller(&config, bridge, Arc::clone(&clock) as Arc<dyn Clock>);
        let poller = tokio::spawn(poller.run());
        let mut said = 0;
        while clock.now() < end {
            tokio::time::sleep(INTERVAL).await;
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            push(prometheus, &snapshot, clock.now())?;
            let day = (clock.now().0 - begin.0) / DAY;
            if day > said {
                said = day;
                println!("{day} of {days} days");
            }
        }
        poller.abort();
        Ok(())
    })
}

/// The settings of an exporter that keeps nothing.
fn config(url: &str) -> Result<Config, Box<dyn Error>> {
    let world = SimulatorOptions::demo();
    let flags = [
        ("api.url", url),
        ("api.client_id", &world.client_id),
        ("api.account", "demo"),
        ("poll.interval", "180s"),
        ("poll.horizon", "1d"),
        ("state.path", ""),
    ];
    let flags: BTreeMap<_, _> = flags.into_iter().map(|(key, value)| (key, value.to_owned())).collect();
    let env = BTreeMap::from([("JELOU_EXPORTER_API_CLIENT_SECRET".to_owned(), world.client_secret)]);
    let read_file = |_: &_| Err(io::ErrorKind::NotFound.into());
    Ok(Config::read(Sources { flags, env: &env, file: None, read_file: &read_file, profile: Profile::RUN })?)
}

fn poller(
    config: &Config,
    upstream: Bridge,
    clock: Arc<dyn Clock>,
) -> (Poller<Bridge>, tokio::sync::watch::Receiver<Arc<Snapshot>>) {
    let (now, metrics) = (clock.now(), &config.metrics);
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).expect("short");
    let (seconds, interval) = (|duration: Duration| millis(duration) / 1000, config.poll.interval);
    let target = metrics.reply_target.as_millis() as u64;
    let initial_start = now.seconds() - seconds(config.poll.initial_lookback);
    let ledger = LedgerSettings {
        reply: Arc::new(Layout::new(metrics.reply_bounds.iter().copied(), metrics.schema)),
        duration: Arc::new(Layout::new(metrics.duration_bounds.iter().copied(), metrics.schema)),
        reply_target: target,
        excluded_origins: metrics.excluded_origins.clone(),
        recent_window: millis(metrics.recent_window),
        max_label_sets: metrics.max_label_sets,
        stale_after: millis(metrics.stale_after),
        count_initial: config.poll.count_initial,
    };
    let plan = PlanSettings {
        interval: seconds(interval),
        overlap: seconds(config.poll.overlap),
        horizon: seconds(config.poll.horizon),
        sweep_interval: seconds(config.poll.sweep_interval),
        initial_lookback: seconds(config.poll.initial_lookback),
    };
    let parts = Parts {
        upstream,
        budget: Budget::new(config.api.requests_per_second),
        clock,
        jitter: Box::new(fastrand::f64),
        ledger: Ledger::new(ledger, now, UnixMillis::from_seconds(initial_start)),
        plan: Plan::new(plan, initial_start),
        own: Own::new(now, "", target, interval.as_millis() as u64),
        account: config.api.account.as_str().into(),
        store: None,
        silence: None,
        traces: Traces::off(),
    };
    let settings = PollerSettings {
        interval,
        requests_per_second: config.api.requests_per_second,
        page_size: config.api.page_size,
    };
    Poller::new(settings, parts)
}

/// Once with classic buckets, and the histograms once more as native ones, as a scrape brings both.
fn push(prometheus: &str, snapshot: &Snapshot, now: UnixMillis) -> Result<(), Box<dyn Error>> {
    for histograms in [HistogramKind::Explicit, HistogramKind::Exponential] {
        let resource = vec![("service.instance.id".to_owned(), "history".to_owned())];
        let options = otlp::Options { histograms, resource, ..otlp::Options::default() };
        for mut request in otlp::requests(&otlp::Export::totals(snapshot, &Live::default(), now), &options) {
            if histograms == HistogramKind::Exponential {
                let scopes = request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics);
                scopes.for_each(|scope| {
                    scope.metrics.retain(|metric| matches!(metric.data, Some(Data::ExponentialHistogram(_))));
                });
            }
            post(prometheus, &request.encode_to_vec())?;
        }
    }
    Ok(())
}

fn post(address: &str, body: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    let head = format!(
        "POST /api/v1/otlp/v1/metrics HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-protobuf\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(answer.into()) }
}
