//! The binary under test.

use std::collections::BTreeMap;
use std::process::Command;

use jelou_exporter::simulator::SimulatorOptions;

use super::exposition::Scrape;
use super::program::Program;
use super::web::{self, Answer};
use super::{eventually, until};

/// Settings by key.
pub(crate) type Settings<'a> = &'a [(&'a str, &'a str)];

/// The binary with an environment of nothing but these settings.
pub(crate) fn command(settings: Settings<'_>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jelou-exporter"));
    command.env_clear();
    for (key, value) in settings {
        command.env(format!("JELOU_EXPORTER_{}", key.replace('.', "_").to_uppercase()), value);
    }
    command
}

/// The settings with which an upstream of default credentials is polled swiftly; `settings` go before.
pub(crate) fn polling(url: &str, settings: Settings<'_>) -> Command {
    let world = SimulatorOptions::default();
    let usual = [
        ("api.url", url),
        ("api.client_id", &world.client_id),
        ("api.client_secret", &world.client_secret),
        ("api.requests_per_second", "1000"),
        ("poll.interval", "500ms"),
        ("poll.count_initial", "true"),
        ("state.path", ""),
        ("web.listen_address", "127.0.0.1:0"),
    ];
    let all: BTreeMap<_, _> = usual.iter().chain(settings).copied().collect();
    command(&all.into_iter().collect::<Vec<_>>())
}

/// A running exporter.
pub(crate) struct Exporter {
    pub(crate) program: Program,
    pub(crate) address: String,
}

impl Exporter {
    /// Polls this upstream, by the settings of [`polling`].
    #[track_caller]
    pub(crate) fn start(url: &str, settings: Settings<'_>) -> Self {
        Self::run(&mut polling(url, settings))
    }

    #[track_caller]
    pub(crate) fn run(command: &mut Command) -> Self {
        Self::listening(Program::start(command))
    }

    /// A program that has been started, once it listens.
    #[track_caller]
    pub(crate) fn listening(mut program: Program) -> Self {
        let address = program.word_after("msg=\"listening\" address=");
        Self { program, address }
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        web::get(&self.address, path).unwrap()
    }

    #[track_caller]
    pub(crate) fn scrape(&self) -> Scrape {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.body);
        Scrape::read(&answer.body)
    }

    /// The most memory that it has had.
    #[track_caller]
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.program.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Waits until a scrape satisfies.
    #[track_caller]
    pub(crate) fn scraped(&self, what: &str, satisfies: impl Fn(&Scrape) -> bool) -> Scrape {
        eventually(|| {
            let scrape = self.scrape();
            if satisfies(&scrape) { Ok(scrape) } else { Err(what.to_owned()) }
        })
    }

    #[track_caller]
    pub(crate) fn is_up(&self) {
        until("jelou_up 1", || self.scrape().total("jelou_up", &[]) == 1.0);
    }

    /// Waits for so many further polls.
    #[track_caller]
    pub(crate) fn polls_again(&self, polls: f64) {
        self.polled(polls, &[]);
    }

    /// Waits for so many further successful polls.
    #[track_caller]
    pub(crate) fn succeeds_again(&self, polls: f64) {
        self.polled(polls, &[("result", "success")]);
    }

    #[track_caller]
    fn polled(&self, more: f64, labels: &[(&str, &str)]) {
        let polls = |scrape: &Scrape| scrape.total("jelou_exporter_polls_total", labels);
        let before = polls(&self.scrape());
        self.scraped("more polls", |scrape| polls(scrape) >= before + more);
    }
}
