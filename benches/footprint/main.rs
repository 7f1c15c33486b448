//! Is the exporter as small as it is meant to be? The size of its binary, the time from exec to the first served `/metrics` and
//! resident memory when idle, beside exporters written in Go; then resident memory at work.
//!
//! `eval "$(scripts/install)" && cargo bench --bench footprint`. The figures are medians of starts taken in turns; the idle exporter
//! polls an address where nothing listens. The limits, in `limits.rs`: a stripped binary of at most 15 MiB; the first `/metrics`
//! after at most half of what a Go exporter takes; at work, with 10 pairs, 1 000 conversations and a scrape of each format,
//! at most 12 MiB resident after 10 polls, and after 1 000 at most a tenth more than after 10. The exit status tells whether they
//! were kept. A limit whose peer is left out is not judged.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod at_work;
mod limits;
mod process;

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use limits::Limits;
use process::{Killed, Memory, PATIENCE, free_port, get, wait_for};

const STARTS: usize = 15;
/// Polls of the exporter at work.
const POLLS: u64 = 1000;
const OURS: &str = env!("CARGO_BIN_EXE_jelou-exporter");

struct Program {
    name: &'static str,
    path: String,
    /// `{}` stands for the port.
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    let is_bench = env::args().any(|argument| argument == "--bench");
    let (starts, polls) = if is_bench { (STARTS, POLLS) } else { (1, 20) };
    let mut limits = Limits { judge: is_bench, broken: 0 };

    let size = fs::metadata(OURS).expect("the program is there").len() as f64 / f64::from(1 << 20);
    println!("binary {size:.1} MiB");
    limits.at_most("the binary, MiB", size, limits::BINARY);

    // It wants such a file; nobody asks it for a probe.
    let modules = env::temp_dir().join(format!("jelou-exporter-bench-{}.yml", std::process::id()));
    fs::write(&modules, "modules: {}\n").expect("the temporary directory can be written");
    beside_peers(&programs(&modules), starts, &mut limits);
    fs::remove_file(&modules).expect("it was written above");

    at_work::measure(polls, &mut limits);
    if limits.broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// This exporter, and those of the peers that are there; those that are not are named.
fn programs(modules: &Path) -> Vec<Program> {
    let listen = ["--web.listen-address", "127.0.0.1:{}"];
    let program = |name, path, more: &[&str]| {
        let arguments = listen.iter().chain(more).map(|&argument| argument.to_owned()).collect();
        Program { name, path, arguments }
    };
    let mut programs =
        vec![program("jelou-exporter", OURS.to_owned(), &["--api.url", "http://127.0.0.1:9", "--state.path", ""])];
    let modules = modules.to_str().expect("a plain path");
    let peers: [(_, _, &[&str]); 2] = [
        ("node_exporter", "JELOU_TEST_NODE_EXPORTER", &[]),
        ("blackbox_exporter", "JELOU_TEST_BLACKBOX_EXPORTER", &["--config.file", modules]),
    ];
    for (name, variable, more) in peers {
        match env::var(variable) {
            Ok(path) if !path.is_empty() => programs.push(program(name, path, more)),
            _ => println!("left out: the comparison with {name}, because {variable} is not set"),
        }
    }
    programs
}

fn beside_peers(programs: &[Program], starts: usize, limits: &mut Limits) {
    let mut figures: Vec<Vec<(Duration, Memory)>> = vec![Vec::new(); programs.len()];
    for _ in 0..starts {
        for (program, figures) in programs.iter().zip(&mut figures) {
            figures.push(start(program));
        }
    }
    let medians: Vec<(Duration, Memory)> = figures
        .into_iter()
        .map(|figures| {
            let (mut times, mut sizes): (Vec<_>, Vec<_>) = figures.into_iter().unzip();
            times.sort_unstable();
            sizes.sort_unstable_by(|one, other| one.resident.total_cmp(&other.resident));
            (times[times.len() / 2], sizes[sizes.len() / 2])
        })
        .collect();
    let (our_time, our_memory) = medians[0];
    for (program, (time, memory)) in programs.iter().zip(&medians) {
        let in_time = our_time.as_secs_f64() / time.as_secs_f64();
        println!(
            "{:<17} first /metrics after {time:>9.2?}, {memory}; ours to this: {in_time:.2} in time, {:.2} in memory",
            program.name,
            our_memory.resident / memory.resident,
        );
        if program.path != OURS {
            limits.at_most(&format!("our start to that of {}", program.name), in_time, limits::START);
        }
    }
}

/// Time to the first answer, and memory after it.
fn start(program: &Program) -> (Duration, Memory) {
    let port = free_port();
    let began = Instant::now();
    let child = Command::new(&program.path)
        .args(program.arguments.iter().map(|argument| argument.replace("{}", &port.to_string())))
        .env("JELOU_EXPORTER_API_CLIENT_ID", "bench")
        .env("JELOU_EXPORTER_API_CLIENT_SECRET", "bench")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let child = Killed(child);
    wait_for(program.name, PATIENCE, || {
        get(port, "/metrics", "text/plain").filter(|answer| answer.starts_with(b"HTTP/1.1 200")).map(drop)
    });
    (began.elapsed(), child.memory())
}
