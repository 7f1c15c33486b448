//! How long a normal scrape takes while the web server is under attack, beside an exporter written in Go.
//!
//! `eval "$(scripts/install)" && cargo bench --bench siege`: attacks by slowhttptest, wrk, h2load and ab, and meanwhile one
//! scrape every 100 ms, each by a connection of its own, as a Prometheus asks whose kept connection was closed. The tools run on
//! the same machine, at the lowest priority (`nice -n 19`): on others they would take no processor from the server. The
//! peer is the node exporter that `JELOU_TEST_NODE_EXPORTER` names, or Debian's. What is named on the command line is
//! measured alone: `cargo bench --bench siege -- "wrong passwords"`.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../../tests/it/support/attack.rs"]
mod attack;
mod scrapes;
mod target;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use attack::Attack;
use scrapes::{Scraper, Times};
use target::{Doors, Exporter, PEER, Upstream};

/// Scrapes under each attack: of so many, the 99th percentile is the third worst.
const SCRAPES: usize = 300;
/// What the slowest of a hundred scrapes may take.
const LIMIT: Duration = Duration::from_millis(100);
/// From the start of an attack to the first scrape.
const LEAD: Duration = Duration::from_secs(3);
/// Far more than anything takes; only a failure lasts so long.
const PATIENCE: Duration = Duration::from_secs(60);

const ATTACKS: [Attack; 14] = [
    Attack::SLOW_HEADERS,
    Attack::FEW_SLOW_HEADERS,
    Attack::SLOW_BODIES,
    Attack::SLOW_READERS,
    Attack::IDLE,
    Attack::REQUESTS,
    Attack::CROWD,
    Attack::PAGES,
    Attack::CONNECTIONS,
    Attack::STREAMS,
    Attack::HANDSHAKES,
    Attack::TLS_STREAMS,
    Attack::PASSWORDS,
    Attack::LOCKED_PASSWORDS,
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let named: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let (scrapes, lead) = if is_bench { (SCRAPES, LEAD) } else { (3, Duration::ZERO) };
    let (upstream, doors, scraper) = (Upstream::start(), Doors::new(), Scraper::new());
    let peer = target::peer();
    println!("a scrape every 100 ms, {scrapes} under each attack; p50 / p99 / slowest");
    let mut broken = 0;
    report("no attack", &scraper.scrapes(&Exporter::ours(&upstream, &doors, Attack::REQUESTS.door), scrapes), "");
    for attack in ATTACKS.iter().filter(|attack| named.is_empty() || named.iter().any(|name| *name == attack.name)) {
        let Some(tool) = named_by(attack.tool) else {
            println!("{:<40} left out: {} is not set", attack.name, attack.tool);
            continue;
        };
        let besieged = |exporter| besieged(&exporter, attack, &tool, &scraper, (scrapes, lead));
        let (times, effect) = besieged(Exporter::ours(&upstream, &doors, attack.door));
        broken += usize::from(!report(attack.name, &times, &effect));
        if let Some(peer) = &peer {
            let (times, effect) = besieged(Exporter::peer(peer, &doors, attack.door));
            report(&format!("  {PEER}, {}", attack.name), &times, &effect);
        }
    }
    println!("{broken} broken");
}

/// The program that this environment variable names.
fn named_by(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The scrapes while the attack goes on, and what it made of it.
fn besieged(
    exporter: &Exporter,
    attack: &Attack,
    tool: &Path,
    scraper: &Scraper,
    (scrapes, lead): (usize, Duration),
) -> (Times, String) {
    let before = scraper.answers(exporter);
    let mut command = attack.command(tool, &exporter.address);
    let mut attacker = Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the tool starts"));
    std::thread::sleep(lead);
    let began = Instant::now();
    let times = scraper.scrapes(exporter, scrapes);
    let after = scraper.answers(exporter);
    let ended = attacker.0.try_wait().expect("it was started").is_some();
    drop(attacker);
    let seconds = (began.elapsed() + lead).as_secs_f64();
    let answers = (after.0 - before.0) / seconds;
    let cut = (after.1 - before.1) / seconds;
    // As h2load does with a server that speaks no HTTP/2 without TLS.
    let ended = if ended { ", the tool gave up" } else { "" };
    (times, format!("{answers:.0} answers/s, {cut:.0} cut off/s, peak {} MiB{ended}", exporter.peak_kib() >> 10))
}

/// Prints a line; whether the limit was kept.
fn report(name: &str, times: &Times, effect: &str) -> bool {
    let kept = times.failed == 0 && times.percentile(99) <= LIMIT;
    println!(
        "{name:<40} {:>9.2?} {:>9.2?} {:>9.2?}, {} failed: {}; {effect}",
        times.percentile(50),
        times.percentile(99),
        times.percentile(100),
        times.failed,
        if kept { "kept" } else { "broken" },
    );
    kept
}

/// A child that does not outlive us.
struct Killed(Child);

impl Killed {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"))
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
