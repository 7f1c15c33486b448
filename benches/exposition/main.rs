//! What scrapes cost: beside the crate `prometheus`, all at once, and in memory.
//!
//! `cargo bench --bench exposition`. 1 000 (bot, team) pairs, each with 1 000 replies and 1 000 durations, log-normal from
//! 1 s to 8 h. Times are medians of answers taken in turns with those of the crate, without a network between; scrapes at
//! once go over the loopback, packed by gzip as Prometheus asks for it. Memory is that of a process of its own, which has
//! the pairs and the web server, and no ledger.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod rival;
mod scrape;
mod world;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue};
use hyper::{HeaderMap, Method};
use jelou_exporter::clock::ManualClock;
use jelou_exporter::domain::snapshot::{Live, Snapshot};
use jelou_exporter::http::{self, HttpState};
use jelou_exporter::live::LiveStats;
use jelou_exporter::render::exposition::{Format, Options};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use world::World;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, pairs, conversations, formats] = &arguments[..]
        && word == "resident"
    {
        let [pairs, conversations, formats] = [pairs, conversations, formats].map(|number| number.parse().unwrap_or(1));
        resident(pairs, conversations, formats);
        return;
    }
    // Without `--bench` (as `cargo test --benches` runs it) it is only shown to work.
    let is_bench = arguments.iter().any(|word| word == "--bench");
    let (pairs, conversations, turns) = if is_bench { (1_000, 1_000, 15) } else { (20, 20, 2) };
    speed(pairs, conversations, turns);
    at_once(pairs, conversations, turns);
    for (pairs, formats, limit) in [(pairs, 3, 64.0), (pairs * 10, 1, 320.0)] {
        let run = Command::new(&arguments[0])
            .args(["resident", &pairs.to_string(), &conversations.to_string(), &formats.to_string()])
            .output()
            .expect("this program starts again");
        print!("{}", String::from_utf8_lossy(&run.stdout));
        println!("    at most {limit} MiB wanted");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }
}

/// As in the program: two threads.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

struct Server {
    publish: watch::Sender<Arc<Snapshot>>,
    state: HttpState,
}

fn server(snapshot: Arc<Snapshot>) -> Server {
    let (publish, snapshots) = watch::channel(snapshot);
    let clock = Arc::new(ManualClock::new(world::NOW));
    let state = HttpState::new(snapshots, clock, Arc::new(LiveStats::new(true)), "/metrics", Options::default());
    Server { publish, state }
}

fn headers(format: Format, coding: &'static str) -> HeaderMap {
    let accept = HeaderValue::from_static(format.content_type());
    HeaderMap::from_iter([(ACCEPT, accept), (ACCEPT_ENCODING, HeaderValue::from_static(coding))])
}

/// An answer, all of it; its length.
fn answered(runtime: &Runtime, server: &Server, headers: &HeaderMap) -> usize {
    runtime.block_on(async {
        let response = server.state.answer(&Method::GET, "/metrics", headers).await;
        assert_eq!(response.status(), 200);
        let (mut body, mut length) = (std::pin::pin!(response.into_body()), 0);
        while let Some(frame) = body.frame().await {
            length += frame.expect("nothing can fail").into_data().map_or(0, |data| data.len());
        }
        length
    })
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let done = work();
    (began.elapsed(), done)
}

fn speed(pairs: usize, conversations: usize, turns: usize) {
    let snapshot = world::snapshot(pairs, conversations);
    let runtime = runtime();
    let server = server(Arc::new(snapshot.clone()));
    let variants: Vec<_> = Format::ALL
        .into_iter()
        .flat_map(|format| ["identity", "gzip", "zstd"].map(|coding| (format, coding, headers(format, coding))))
        .collect();
    let mut rivals = Vec::new();
    let mut times = vec![(Vec::new(), Vec::new(), 0); variants.len()];
    let mut lines = 0;
    for _ in 0..turns {
        let rival = rival::registry(&Arc::new(snapshot.clone()), Live::default());
        let (time, text) = timed(|| rival::text(&rival));
        rivals.push(time);
        lines = text.lines().count();
        for ((.., headers), (first, again, length)) in variants.iter().zip(&mut times) {
            server.publish.send_replace(Arc::new(snapshot.clone()));
            let (time, bytes) = timed(|| answered(&runtime, &server, headers));
            (*length, _) = (bytes, first.push(time));
            for _ in 0..10 {
                again.push(timed(|| answered(&runtime, &server, headers)).0);
            }
        }
    }
    let rival = median(&mut rivals);
    println!(
        "{pairs} pairs of {conversations} conversations, {lines} lines; the crate prometheus gathers and encodes in {rival:.2?}"
    );
    for ((format, coding, _), (mut first, mut again, length)) in variants.into_iter().zip(times) {
        let (first, again) = (median(&mut first), median(&mut again));
        let [times_first, times_again] = [first, again].map(|time| rival.as_secs_f64() / time.as_secs_f64());
        println!(
            "  {:<11} {coding:<8} {:>9} bytes, first {first:>9.2?} ({times_first:>5.1} x faster), unchanged {again:>9.2?} ({times_again:>6.0} x faster)",
            format!("{format:?}"),
            length,
        );
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

const SCRAPES: usize = 200;
const RECORDS: usize = 10_000;

/// Scrapes at once, while nothing happens and while a poll folds.
fn at_once(pairs: usize, conversations: usize, turns: usize) {
    let mut world = World::new(pairs, conversations);
    let runtime = runtime();
    let Server { publish, state } = server(Arc::new(world.show()));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    runtime.spawn(http::serve(vec![listener], state, http::Access::open(), std::future::pending()));
    let mut scrapers = scrape::Scrapers::connect(address, SCRAPES, &headers(Format::Text, "gzip"));
    scrapers.all_at_once();
    let (mut idle, mut busy, mut folds) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..turns {
        idle.extend(scrapers.all_at_once());
        let walk = world.walk(RECORDS);
        // As the poller does it: on a thread that serves connections too, and what was folded is published.
        let poll = runtime.spawn({
            let publish = publish.clone();
            async move {
                let (time, ()) = timed(|| world.fold(&walk));
                publish.send_replace(Arc::new(world.show()));
                (world, time)
            }
        });
        busy.extend(scrapers.all_at_once());
        let (back, time) = runtime.block_on(poll).expect("folding does not fail");
        world = back;
        folds.push(time);
        // The next idle round finds the new snapshot encoded.
        scrapers.all_at_once();
    }
    let fold = median(&mut folds);
    let [idle, busy] = [&mut idle, &mut busy].map(|times| {
        times.sort_unstable();
        (times[times.len() / 2], times[times.len() * 99 / 100])
    });
    println!(
        "{SCRAPES} scrapes at once: median {:.2?} and p99 {:.2?} idle, {:.2?} and {:.2?} while a poll folds {RECORDS} records in {fold:.2?}: p99 {:.2} x idle (at most 2 wanted)",
        idle.0,
        idle.1,
        busy.0,
        busy.1,
        busy.1.as_secs_f64() / idle.1.as_secs_f64(),
    );
}

/// Resident memory after one packed scrape of the first so many formats.
fn resident(pairs: usize, conversations: usize, formats: usize) {
    let runtime = runtime();
    let server = server(Arc::new(world::snapshot(pairs, conversations)));
    let before = resident_mib();
    for format in &Format::ALL[..formats] {
        answered(&runtime, &server, &headers(*format, "gzip"));
    }
    let after = resident_mib();
    println!(
        "{pairs} pairs of {conversations} conversations: resident {before:.1} MiB, after one packed scrape of {formats} formats {after:.1} MiB"
    );
}

fn resident_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").expect("this process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line on resident memory");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
}
