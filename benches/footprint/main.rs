//! From exec to the first served `/metrics`, and resident memory when idle, beside exporters written in Go; then resident
//! memory at work.
//!
//! `cargo bench --bench footprint`. The peers are those of Debian's packages that are installed; the figures are
//! medians of starts taken in turns. The idle exporter polls an address where nothing listens.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod at_work;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const STARTS: usize = 15;
/// Polls of the exporter at work.
const POLLS: u64 = 1000;
/// Far more than anything takes; only a failure lasts so long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Program {
    name: &'static str,
    path: String,
    /// `{}` stands for the port.
    arguments: &'static [&'static str],
}

fn main() {
    let ours = Program {
        name: "jelou-exporter",
        path: env!("CARGO_BIN_EXE_jelou-exporter").to_owned(),
        arguments: &["--web.listen-address", "127.0.0.1:{}", "--api.url", "http://127.0.0.1:9", "--state.path", ""],
    };
    let node: &[&str] = &["--web.listen-address", "127.0.0.1:{}"];
    let blackbox: &[&str] = &["--web.listen-address", "127.0.0.1:{}", "--config.file", "/etc/prometheus/blackbox.yml"];
    let peers = [("prometheus-node-exporter", node), ("prometheus-blackbox-exporter", blackbox)];
    let peers = peers.map(|(name, arguments)| Program { name, path: format!("/usr/bin/{name}"), arguments });
    let programs: Vec<Program> =
        std::iter::once(ours).chain(peers).filter(|program| fs::exists(&program.path).unwrap_or(false)).collect();
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let (starts, polls) = if is_bench { (STARTS, POLLS) } else { (1, 20) };

    let mut figures: Vec<Vec<(Duration, u64)>> = vec![Vec::new(); programs.len()];
    for _ in 0..starts {
        for (program, figures) in programs.iter().zip(&mut figures) {
            figures.push(start(program));
        }
    }
    let medians: Vec<(Duration, u64)> = figures
        .into_iter()
        .map(|figures| {
            let (mut times, mut sizes): (Vec<_>, Vec<_>) = figures.into_iter().unzip();
            times.sort_unstable();
            sizes.sort_unstable();
            (times[times.len() / 2], sizes[sizes.len() / 2])
        })
        .collect();
    for (program, (time, kib)) in programs.iter().zip(&medians) {
        let (ratio_time, ratio_size) =
            (ratio(medians[0].0.as_secs_f64(), time.as_secs_f64()), ratio(medians[0].1 as f64, *kib as f64));
        println!(
            "{:<30} first /metrics after {time:>9.2?}, resident {:>5.1} MiB; ours to this: {ratio_time:.2} in time, {ratio_size:.2} in memory",
            program.name,
            *kib as f64 / 1024.0,
        );
    }
    at_work::measure(polls);
}

fn ratio(ours: f64, theirs: f64) -> f64 {
    ours / theirs
}

/// Time to the first answer, and resident memory (KiB) after it.
fn start(program: &Program) -> (Duration, u64) {
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
    (began.elapsed(), resident(&child))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

fn wait_for(what: &str, patience: Duration, mut ready: impl FnMut() -> Option<()>) {
    let began = Instant::now();
    while ready().is_none() {
        assert!(began.elapsed() < patience, "waited {patience:?} in vain for {what}");
        std::thread::yield_now();
    }
}

/// Resident memory of a process, KiB.
fn resident(child: &Killed) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.0.id())).expect("the process lives");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line on resident memory");
    resident.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The answer, head and body; `None` where there is none.
fn get(port: u16, path: &str, accept: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(answer)
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
