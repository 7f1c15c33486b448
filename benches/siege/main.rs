//! How long a normal scrape takes while the web server is under attack, beside an exporter written in Go.
//!
//! `eval "$(scripts/install)" && cargo bench --bench siege`: attacks by slowhttptest, wrk, h2load and ab, and meanwhile one
//! scrape every 100 ms, each by a connection of its own, as a Prometheus asks whose kept connection was closed. The tools run on
//! the same machine, at the lowest priority (`nice -n 19`): on others they would take no processor from the server. And whoever
//! scrapes has an address of its own; the worst of them is measured from that of the attackers as well.
//! What is named on the command line is measured alone: `cargo bench --bench siege -- "wrong passwords"`. Of a hundred scrapes
//! ninety-nine are to take at most 100 ms, and none is to fail; the exit status tells whether that was kept. So it does when
//! an attack was none: a tool that ends at once and reaches nobody keeps every limit.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

#[path = "../../tests/it/support/attack.rs"]
mod attack;
mod scrapes;
mod target;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use attack::Attack;
use scrapes::{Scraper, Times};
use target::{Doors, Exporter, PEER, PEER_VARIABLE, Upstream};

/// Scrapes under each attack: of so many, the 99th percentile is that of rank 297, the fourth worst.
const SCRAPES: usize = 300;
/// What the slowest of a hundred scrapes may take.
const LIMIT: Duration = Duration::from_millis(100);
/// Where the tools are.
const ATTACKERS: [u8; 4] = [127, 0, 0, 1];
/// Where whoever scrapes is.
const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];
/// From the start of an attack to the first scrape.
const LEAD: Duration = Duration::from_secs(3);
/// Far more than anything takes; only a failure lasts so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Requests of ours beside the scrapes of an attack, at most.
const OWN: usize = 10;
/// How often a tool that does its work is begun at most, though all its connections are cut off.
const FEW: usize = 3;

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

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_bench = arguments.iter().any(|argument| argument == "--bench");
    let named: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let (scrapes, lead) = if is_bench { (SCRAPES, LEAD) } else { (3, Duration::ZERO) };
    let (upstream, doors, scraper) = (Upstream::start(), Doors::new(), Scraper::at(ELSEWHERE));
    let neighbour = Scraper::at(ATTACKERS);
    let peer = named_by(PEER_VARIABLE);
    if peer.is_none() {
        println!("left out: the comparison with {PEER}, because {PEER_VARIABLE} is not set");
    }
    println!("a scrape every 100 ms, {scrapes} under each attack; p50 / p99 / slowest");
    let mut broken = 0;
    let door = Attack::REQUESTS.door;
    report("no attack", &scraper.scrapes(&Exporter::ours(&upstream, &doors, door), scrapes), "");
    if let Some(peer) = &peer {
        report(&format!("  {PEER}, no attack"), &scraper.scrapes(&Exporter::peer(peer, &doors, door), scrapes), "");
    }
    for attack in ATTACKS.iter().filter(|attack| named.is_empty() || named.iter().any(|name| *name == attack.name)) {
        let Some(tool) = named_by(attack.tool) else {
            println!("left out: {}, because {} is not set", attack.name, attack.tool);
            continue;
        };
        let besieged = |exporter, scraper| besieged(&exporter, attack, &tool, scraper, (scrapes, lead));
        let ours = |name: &str, scraper| {
            let (times, effect) = besieged(Exporter::ours(&upstream, &doors, attack.door), scraper);
            report(name, &times, &effect.text) && effect.attacked
        };
        broken += usize::from(!ours(attack.name, &scraper));
        if attack.name == Attack::CROWD.name {
            broken += usize::from(!ours("  from the same address", &neighbour));
        }
        if let Some(peer) = &peer {
            let (times, effect) = besieged(Exporter::peer(peer, &doors, attack.door), &scraper);
            report(&format!("  {PEER}, {}", attack.name), &times, &effect.text);
            broken += usize::from(!effect.attacked);
        }
    }
    // A debug build is not judged, nor is what so few scrapes say.
    if broken == 0 || !is_bench { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The program that this environment variable names.
fn named_by(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// What an attack made of the server.
struct Effect {
    text: String,
    /// Whether there was one.
    attacked: bool,
}

/// The scrapes while the attack goes on, and what it made of it.
fn besieged(
    exporter: &Exporter,
    attack: &Attack,
    tool: &Path,
    scraper: &Scraper,
    (scrapes, lead): (usize, Duration),
) -> (Times, Effect) {
    let before = scraper.answers(exporter);
    let attacker = Attacker::start(attack.command(tool, &exporter.address));
    thread::sleep(lead);
    let began = Instant::now();
    let times = scraper.scrapes(exporter, scrapes);
    let after = scraper.answers(exporter);
    let begun = attacker.stop();
    let seconds = (began.elapsed() + lead).as_secs_f64();
    let (answers, cut) = (after.0 - before.0, after.1 - before.1);
    // The scrapes were answered as well. Whoever only holds connections open is neither answered nor, by the peer, cut off,
    // but keeps at it; what cannot be started, or is refused at once, ends ten times a second.
    let attacked = answers > (scrapes + OWN) as f64 || cut > 0.0 || begun <= FEW;
    let peak = exporter.peak_kib() >> 10;
    let text = format!(
        "{:.0} answers/s, {:.0} cut off/s, peak {peak} MiB, attacked {begun} times{}",
        answers / seconds,
        cut / seconds,
        if attacked { "" } else { ": NO ATTACK" }
    );
    (times, Effect { text, attacked })
}

/// Prints a line; whether the limit was kept.
fn report(name: &str, times: &Times, effect: &str) -> bool {
    let kept = times.failed == 0 && times.percentile(99).is_some_and(|time| time <= LIMIT);
    let [half, most, all] = [50, 99, 100]
        .map(|percentile| times.percentile(percentile).map_or_else(|| "none".to_owned(), |time| format!("{time:.2?}")));
    println!(
        "{name:<40} {half:>9} {most:>9} {all:>9}, {} failed: {}; {effect}",
        times.failed,
        if kept { "kept" } else { "BROKEN" },
    );
    kept
}

/// A tool at work. It is begun again whenever it ends, as some do when all their connections were cut off.
struct Attacker {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<usize>,
}

impl Attacker {
    fn start(mut command: Command) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            let (mut tool, mut begun) = (Killed::start(&mut command), 1);
            while stopped.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                if tool.0.try_wait().expect("it was started").is_some() {
                    tool = Killed::start(&mut command);
                    begun += 1;
                }
            }
            begun
        });
        Self { stop, thread }
    }

    /// Ends it, and says how often it was begun.
    fn stop(self) -> usize {
        drop(self.stop);
        self.thread.join().expect("the tool starts")
    }
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
