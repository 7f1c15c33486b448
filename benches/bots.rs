//! A million distinct bots: what an upstream that names another bot in every conversation does to memory and scrapes.
//!
//! `cargo bench --bench bots`. At each of ten polls a tenth of them begins, all in one second. The limit of label sets is the
//! default.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Conversations, each of a bot of its own.
const BOTS: usize = 1_000_000;
const POLLS: usize = 10;
/// As many rows as the exporter takes in one answer.
const PAGE: usize = 10_000;
/// Of bot and team, by default.
const LABEL_SETS: f64 = 2000.0;
/// What is wanted at most, MiB: a million remembered conversations (113) and the label sets (60), and the rows of the longest
/// walk there is, which are held until it is over: half a million, each some 400 bytes.
const MOST: u64 = 113 + 60 + 190;
/// Of one scrape: what so many label sets take, each some 60 lines of 160 bytes.
const MOST_SCRAPED: usize = 2000 * 60 * 160;
const PATIENCE: Duration = Duration::from_secs(600);

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let bots = if is_bench { BOTS } else { BOTS / 50 };
    let url = upstream(bots);
    let began = Instant::now();
    let exporter = Exporter::start(&url);
    let sum = |text: &str, name: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    };
    let mut longest = Duration::ZERO;
    let text = loop {
        let asked = Instant::now();
        let text = exporter.scrape();
        longest = longest.max(asked.elapsed());
        let (known, pending) = ["ledger_entries", "unsettled_conversations"]
            .map(|name| sum(&text, &format!("jelou_exporter_{name}")))
            .into();
        if known >= bots as f64 && pending == 0.0 {
            break text;
        }
        assert!(began.elapsed() < PATIENCE, "{known} of {bots} known, {pending} to be read again\n{}", exporter.said());
        std::thread::sleep(Duration::from_millis(100));
    };
    let took = began.elapsed();
    let (sets, overflowed) =
        ["label_sets", "label_sets_overflowed_total"].map(|name| sum(&text, &format!("jelou_exporter_{name}"))).into();
    let started = sum(&text, "jelou_conversations_started_total");
    let peak = exporter.peak_kib() >> 10;
    let told = exporter.said().lines().filter(|line| line.contains("level=warn")).count();
    println!(
        "{bots} bots in {took:.1?}: peak {peak} MiB (at most {MOST} wanted), {sets} label sets, {overflowed} conversations \
         beyond them, {started} counted, a scrape of {:.1} MB, the slowest of them after {longest:.1?}, {told} warnings: {}",
        text.len() as f64 / 1e6,
        if peak <= MOST { "kept" } else { "broken" },
    );
    assert!(peak <= MOST, "{peak} MiB");
    assert_eq!((sets, overflowed, started), (LABEL_SETS, bots as f64 - LABEL_SETS + 1.0, bots as f64));
    assert!(text.len() < MOST_SCRAPED, "{} bytes", text.len());
    assert_eq!(told, 1, "{}", exporter.said());
}

/// The conversations that have begun, by their second: all of a poll's begin at once.
#[derive(Debug)]
struct World {
    /// How many begin with each poll.
    group: usize,
    groups: usize,
    begun: Vec<i64>,
}

impl World {
    /// One page of those that began within these seconds, both included; a poll that asks for the present finds new ones.
    fn page(&mut self, from: i64, until: i64, page: usize) -> String {
        let is_new = self.begun.last().is_none_or(|last| *last < until);
        // What is known is asked for again second by second.
        if page == 1 && is_new && until - from > 3 && self.begun.len() < self.groups {
            self.begun.push(until);
        }
        let listed: Vec<usize> = (0..self.begun.len()).filter(|at| (from..=until).contains(&self.begun[*at])).collect();
        let total = listed.len() * self.group;
        let mut rows = String::with_capacity(PAGE * 200);
        for place in ((page - 1) * PAGE)..total.min(page * PAGE) {
            let group = listed[place / self.group];
            let (bot, start) = (group * self.group + place % self.group, self.begun[group]);
            let comma = if rows.is_empty() { "" } else { "," };
            write!(
                rows,
                "{comma}{{\"_id\":\"{bot:024x}\",\"startAt\":{start}000,\"endAt\":{start}500,\"state\":\"closed\",\
                 \"endedReason\":\"closed_by_operator\",\"conversationDuration\":{}00,\"timeRepliedOperator\":{}00,\
                 \"bot\":{{\"name\":\"bot {bot}\"}}}}",
                1 + bot % 5,
                1 + bot % 4,
            )
            .expect("a String takes everything");
        }
        format!("{{\"results\":[{rows}],\"pagination\":{{\"total\":{total}}}}}")
    }
}

/// An upstream of that world; where it listens.
fn upstream(bots: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound port"));
    let world = Arc::new(Mutex::new(World { group: bots / POLLS, groups: POLLS, begun: Vec::new() }));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let world = Arc::clone(&world);
            std::thread::spawn(move || converse(stream, &world));
        }
    });
    url
}

/// Answers requests until the exporter hangs up.
fn converse(stream: TcpStream, world: &Mutex<World>) {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if !reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            return;
        }
        if line != "\r\n" {
            lines.push(line);
            continue;
        }
        let target = lines[0].split(' ').nth(1).expect("a request line");
        let url = reqwest::Url::parse("http://upstream").and_then(|base| base.join(target)).expect("a URL");
        let query = |name| url.query_pairs().find(|(key, _)| key == name).expect("it is asked for").1.into_owned();
        let second = |name| query(name).parse::<jiff::Timestamp>().expect("an instant").as_second();
        let page = query("page").parse().expect("a number");
        let body = world.lock().expect("nobody panics with it").page(second("startAt"), second("endAt"), page);
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        if reader.get_mut().write_all(&[head.as_bytes(), body.as_bytes()].concat()).is_err() {
            return;
        }
        lines.clear();
    }
}

/// A running exporter.
struct Exporter {
    child: Child,
    address: String,
    said: Arc<Mutex<String>>,
}

impl Exporter {
    fn start(url: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
        let address = free.to_string();
        let settings = [
            ("API_URL", url),
            ("API_CLIENT_ID", "bench"),
            ("API_CLIENT_SECRET", "bench"),
            ("API_DIALECT", "external-get"),
            ("API_REQUESTS_PER_SECOND", "1000"),
            ("POLL_INTERVAL", "2s"),
            ("POLL_OVERLAP", "4s"),
            ("POLL_INITIAL_LOOKBACK", "1m"),
            ("POLL_COUNT_INITIAL", "true"),
            ("STATE_PATH", ""),
            ("WEB_LISTEN_ADDRESS", &address),
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_jelou-exporter"));
        command.env_clear().envs(settings.map(|(key, value)| (format!("JELOU_EXPORTER_{key}"), value)));
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
        let (said, mut lines) = (Arc::<Mutex<String>>::default(), BufReader::new(child.stderr.take().expect("a pipe")));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                heard.lock().expect("nobody panics with it").push_str(&line);
                line.clear();
            }
        });
        let exporter = Self { child, address, said };
        let began = Instant::now();
        while TcpStream::connect(&exporter.address).is_err() {
            assert!(began.elapsed() < PATIENCE, "it does not listen: {}", exporter.said());
            std::thread::yield_now();
        }
        exporter
    }

    fn said(&self) -> String {
        self.said.lock().expect("nobody panics with it").clone()
    }

    /// The body of a scrape.
    fn scrape(&self) -> String {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        assert!(read.is_ok(), "{read:?} after {} bytes: {}", answer.len(), self.said());
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        body.to_owned()
    }

    /// The most memory that it has had.
    fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line on its peak");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
