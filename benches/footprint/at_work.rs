//! Resident memory of the exporter at work: polls, a state on the disk, and scrapes in every format.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use jelou_exporter::clock::{Clock as _, SystemClock};
use jelou_exporter::render::exposition::Format;
use jelou_exporter::simulator::story::Story;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use tokio::net::TcpListener;

use super::limits::{self, Limits};
use super::process::{Killed, PATIENCE, free_port, get, wait_for};

/// (bot, team) pairs.
const PAIRS: i64 = 10;
/// Conversations that the ledger remembers.
const CONVERSATIONS: i64 = 1000;
const FEW: u64 = 10;

/// Prints what it is after ten polls, and after so many.
pub(super) fn measure(many: u64, limits: &mut Limits) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let simulator = runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        Simulator::start(SimulatorOptions::scripted(), Arc::new(SystemClock), listener).expect("it starts")
    });
    let now = SystemClock.now();
    for number in 0..CONVERSATIONS {
        let pair = number % PAIRS;
        let (start, apart) = (now - 60_000 - number * 72_000, number.unsigned_abs());
        let story =
            Story::new(format!("{number:024x}"), start).by(&format!("bot {}", pair / 2), &format!("team {pair}"));
        simulator.put(story.replied_after(5_000 + apart * 311).closed_after(600_000 + number * 4_001));
    }

    let state = std::env::temp_dir().join(format!("jelou-exporter-bench-{}.db", std::process::id()));
    let port = free_port();
    let world = SimulatorOptions::default();
    let (url, listen) = (simulator.base_url(), format!("127.0.0.1:{port}"));
    let settings = [
        ("API_URL", &*url),
        ("API_CLIENT_ID", &*world.client_id),
        ("API_CLIENT_SECRET", &*world.client_secret),
        ("API_REQUESTS_PER_SECOND", "1000"),
        ("POLL_INTERVAL", "50ms"),
        ("POLL_COUNT_INITIAL", "true"),
        ("STATE_PATH", state.to_str().expect("a plain path")),
        ("WEB_LISTEN_ADDRESS", &*listen),
        ("LOG_LEVEL", "error"),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_jelou-exporter"));
    command.env_clear().envs(settings.map(|(key, value)| (format!("JELOU_EXPORTER_{key}"), value)));
    let child = Killed(command.spawn().expect("the program starts"));
    let polled = |wanted: u64| {
        wait_for("polls", PATIENCE + Duration::from_secs(wanted), || {
            // Most polls ask for more than one page, so what was asked says only when it is too early to look.
            let may_be = simulator.request_count() > CONVERSATIONS as u64 / 50 + wanted;
            let reached = may_be.then(|| successful_polls(port))??;
            let ready =
                || get(port, "/-/ready", "text/plain").is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200"));
            (reached >= wanted && ready()).then_some(reached)
        })
    };
    let few_polls = polled(FEW);
    scrape_all(port);
    let few = child.memory();
    let many_polls = polled(many);
    scrape_all(port);
    let later = child.memory();
    println!("at work: {PAIRS} pairs, {CONVERSATIONS} conversations, a scrape of each format");
    println!("  after {few_polls:>7} polls {few}");
    println!("  after {many_polls:>7} polls {later}, {:.2} times as much", later.resident / few.resident);
    limits.at_most("memory at work, MiB", few.resident, limits::RESIDENT);
    limits.at_most("its growth", later.resident / few.resident, limits::GROWTH);
    drop(child);
    // Whatever is left of it lies in the temporary directory.
    let _ = std::fs::remove_file(&state);
}

/// How many polls have succeeded; nothing while it shows no metrics.
fn successful_polls(port: u16) -> Option<u64> {
    let answer = get(port, "/metrics", Format::ALL[0].content_type())?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let line = text
        .lines()
        .find(|line| line.starts_with("jelou_exporter_polls_total{") && line.contains("result=\"success\""))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn scrape_all(port: u16) {
    for format in Format::ALL {
        wait_for("a scrape", PATIENCE, || get(port, "/metrics", format.content_type()).map(drop));
    }
}
