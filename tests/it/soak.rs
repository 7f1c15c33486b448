//! Faults on, and killed again and again at moments that move through everything the process does: at the end, and
//! whenever the world stands still for a check, every number is the oracle's, and in between none ever went back. Nobody and no
//! secret is in anything that came out, the log at its most talkative included.
//!
//! It lasts some seconds; `JELOU_TEST_SOAK=10m` makes it last as long as that, with longer lives between the kills.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant, SystemTime};

use fastrand::Rng;
use jelou_exporter::domain::time::UnixMillis;
use jelou_exporter::simulator::faults::{Fault, FaultRates};
use jelou_exporter::simulator::oracle::OracleRules;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};

use crate::nobody::formats;
use crate::oracle::{compare_by, lifelike};
use crate::support::exporter::{Exporter, polling};
use crate::support::exposition::Scrape;
use crate::support::lasting::Lasting;
use crate::support::needles::Needles;
use crate::support::program::Program;
use crate::support::receiver::Receiver;
use crate::support::scratch::Scratch;
use crate::support::world::{now, simulate};
use crate::support::{eventually, until};

/// How long a plain `cargo test` goes on killing.
const SHORT: Duration = Duration::from_secs(15);

fn asked_for() -> Option<Duration> {
    let given = std::env::var("JELOU_TEST_SOAK").ok().filter(|given| !given.is_empty())?;
    let read = given.parse::<jiff::SignedDuration>().map_err(|error| error.to_string());
    let read = read.and_then(|time| Duration::try_from(time).map_err(|error| error.to_string()));
    Some(read.unwrap_or_else(|error| panic!("JELOU_TEST_SOAK={given}: {error}")))
}

/// Bounds that suit conversations of seconds; the target is one of them.
const BOUNDS: [u64; 9] = [100, 200, 500, 1000, 2000, 5000, 20_000, 60_000, 120_000];
const TARGET: i64 = 2000;

/// When the next kill comes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The process has said its first word, and is still on its way to its state and its port.
    FirstWord,
    /// So many scrapes after it listens.
    Scrape(u64),
    /// So many requests after that: in the middle of a walk.
    Request(u64),
    /// So many successful polls after that.
    Poll(u64),
    /// As soon as the checkpoint is seen to be written for this time: in the middle of a commit.
    Commit(u64),
}

impl Moment {
    /// Each kind in its turn; no further away than `farthest`.
    fn choose(round: u64, dice: &mut Rng, farthest: u64) -> Self {
        let far = dice.u64(1..=farthest);
        match round % 6 {
            0 => Self::Request(far * 2),
            1 => Self::Commit(far * 2),
            2 => Self::Poll(far),
            3 => Self::FirstWord,
            4 => Self::Commit(far),
            _ => Self::Scrape(far * 5),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::FirstWord => "at the first word",
            Self::Scrape(_) => "after a scrape",
            Self::Request(_) => "after a request",
            Self::Poll(_) => "after a poll",
            Self::Commit(_) => "within a commit",
        }
    }
}

struct Soak {
    simulator: Simulator,
    receiver: Receiver,
    folder: Scratch,
    lasting: Lasting,
    kills: BTreeMap<&'static str, u64>,
    polls: [f64; 2],
}

impl Soak {
    fn new() -> Self {
        let world = SimulatorOptions {
            per_hour: 9000.0,
            quietest: 1.0,
            pace: 0.003,
            history: 3_600_000,
            faults: FaultRates { hang: 0.001, ..FaultRates::all(0.004) },
            bad_rows: 0.005,
            ..lifelike(21)
        };
        let (simulator, receiver, folder) = (simulate(world), Receiver::start(), Scratch::new());
        Self { simulator, receiver, folder, lasting: Lasting::default(), kills: BTreeMap::new(), polls: [0.0; 2] }
    }

    fn run(&self) -> Program {
        let bounds = BOUNDS.map(|bound| format!("{bound}ms")).join(",");
        let settings = [
            ("log.level", "trace"),
            ("state.path", &*self.folder.state()),
            ("otlp.endpoint", &self.receiver.endpoint),
            ("otlp.interval", "100ms"),
            ("api.timeout", "1s"),
            ("poll.interval", "100ms"),
            ("poll.initial_lookback", "90s"),
            // Records are listed up to 20 s late.
            ("poll.overlap", "25s"),
            // Every generated conversation is over well before, so that none ages out; a long soak forgets the first ones.
            ("poll.horizon", "6m"),
            ("poll.sweep_interval", "20s"),
            ("metrics.reply_target", "2s"),
            ("metrics.reply_time_buckets", &bounds),
            ("metrics.duration_buckets", &bounds),
        ];
        Program::start(&mut polling(&self.simulator.base_url(), &settings))
    }

    fn scrape(&mut self, exporter: &Exporter) -> Scrape {
        let scrape = exporter.scrape();
        self.lasting.see(&scrape);
        self.receiver.is_content();
        scrape
    }

    /// One life of the process, from its start to its kill.
    fn live_until(&mut self, moment: Moment) {
        let mut program = self.run();
        if let Moment::FirstWord = moment {
            program.word_after("level=");
        } else {
            let exporter = Exporter::listening(program);
            let asked = self.simulator.request_count();
            let (mut scrapes, mut last) = (0, self.scrape(&exporter));
            if let Moment::Commit(commits) = moment {
                self.see_commits(commits);
            } else {
                until(&format!("the kill at {moment:?}"), || {
                    last = self.scrape(&exporter);
                    scrapes += 1;
                    match moment {
                        Moment::Scrape(wanted) => scrapes >= wanted,
                        Moment::Request(wanted) => self.simulator.request_count() - asked >= wanted,
                        Moment::Poll(wanted) => polls(&last)[0] >= wanted as f64,
                        Moment::FirstWord | Moment::Commit(_) => true,
                    }
                });
            }
            let logs = exporter.program.stderr();
            // Dropping it is kill -9.
            drop(exporter);
            self.count_polls(&last);
            self.needles().absent_from("log", logs.as_bytes());
        }
        *self.kills.entry(moment.name()).or_default() += 1;
    }

    fn see_commits(&self, commits: u64) {
        let written = || -> Option<SystemTime> { fs::metadata(self.folder.state()).ok()?.modified().ok() };
        let (began, mut seen, mut last) = (Instant::now(), 0, written());
        // While the upstream asks for silence there may be nothing to commit: the kill comes all the same.
        while seen < commits && began.elapsed() < Duration::from_secs(5) {
            let now = written();
            if now != last {
                (seen, last) = (seen + 1, now);
            }
            std::thread::yield_now();
        }
    }

    fn count_polls(&mut self, last: &Scrape) {
        let polls = polls(last);
        self.polls = [self.polls[0] + polls[0], self.polls[1] + polls[1]];
    }

    /// The world stands still until every number is the oracle's, faults or no faults, and stays so.
    fn check(&mut self) -> Scrape {
        let at = now();
        self.simulator.freeze_at(at);
        let exporter = Exporter::listening(self.run());
        eventually(|| self.compare(&exporter, at));
        let before = polls(&self.scrape(&exporter))[0];
        until("three more polls", || polls(&self.scrape(&exporter))[0] >= before + 3.0);
        let scrape = eventually(|| self.compare(&exporter, at));
        let mut told = Vec::from(formats(&exporter.address));
        told.push(("page", exporter.get("/").body.into_bytes()));
        told.push(("log", exporter.program.stderr().into_bytes()));
        drop(exporter);
        told.push(("checkpoint", fs::read(self.folder.state()).unwrap()));
        told.push(("OTLP metrics", self.receiver.body().to_vec()));
        let needles = self.needles();
        told.iter().for_each(|(place, bytes)| needles.absent_from(place, bytes));
        self.count_polls(&scrape);
        self.simulator.thaw();
        scrape
    }

    /// Everybody whom the exporter may have read of lately.
    fn needles(&self) -> Needles {
        let at = now();
        Needles::of(&self.simulator, at - 10 * 60_000, at, &[])
    }

    fn compare(&mut self, exporter: &Exporter, at: UnixMillis) -> Result<Scrape, String> {
        let bounds = BOUNDS.to_vec();
        let rules = OracleRules {
            reply_target_ms: TARGET,
            reply_bounds_ms: bounds.clone(),
            duration_bounds_ms: bounds,
            ..OracleRules::defaults(now())
        };
        self.scrape(exporter);
        compare_by(exporter, &self.simulator, at, &rules)
    }

    fn report(&self, last: &Scrape, checks: u64, took: Duration) -> String {
        let faults = self.simulator.requests().iter().filter(|request| request.fault != Fault::Nothing).count();
        let total = |name: &str| last.total(name, &[]);
        format!(
            "soak of {took:.0?}: {} kills {:?}, {} successful and {} failed polls seen, {} requests, {faults} of them met \
             a fault, {} scrapes, {} exports, {checks} exact checks, {} conversations started and {} ended, {} remembered",
            self.kills.values().sum::<u64>(),
            self.kills,
            self.polls[0],
            self.polls[1],
            self.simulator.request_count(),
            self.lasting.scrapes,
            self.receiver.exports(),
            total("jelou_conversations_started_total"),
            total("jelou_conversations_ended_total"),
            total("jelou_exporter_ledger_entries"),
        )
    }
}

/// Successful and failed ones of this process.
fn polls(scrape: &Scrape) -> [f64; 2] {
    ["success", "failure"].map(|result| scrape.total("jelou_exporter_polls_total", &[("result", result)]))
}

#[test]
fn exactly_once_through_kills() {
    let asked_for = asked_for();
    let (lasts, farthest) = asked_for.map_or((SHORT, 6), |time| (time, 30));
    let (began, mut soak, mut dice) = (Instant::now(), Soak::new(), Rng::with_seed(21));
    let (mut round, mut checks) = (0, 0);
    let last = loop {
        soak.live_until(Moment::choose(round, &mut dice, farthest));
        round += 1;
        // Each kind of moment has had its turn, however slow the machine.
        let over = began.elapsed() >= lasts && round >= 6;
        if over || round % 30 == 0 {
            let scrape = soak.check();
            checks += 1;
            if over {
                break scrape;
            }
        }
    };
    println!("{}", soak.report(&last, checks, began.elapsed()));
    assert!(soak.kills.len() == 5, "every kind of moment has come: {:?}", soak.kills);
    assert!(soak.receiver.exports() > 0 && last.total("jelou_conversations_ended_total", &[]) > 100.0);
}
