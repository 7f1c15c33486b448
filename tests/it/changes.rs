//! The configuration changes between restarts, and the state goes on: nothing is lost, counted twice or begun anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use jelou_exporter::domain::conversation::Origin;
use jelou_exporter::domain::time::UnixMillis;
use jelou_exporter::simulator::oracle::{self, OracleRules, PairTotals, Times, Totals};
use jelou_exporter::simulator::story::Story;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};

use crate::oracle::{first_asked, lifelike};
use crate::support::expected::Expected;
use crate::support::exporter::{Exporter, polling};
use crate::support::exposition::{Scrape, Series};
use crate::support::receiver::Receiver;
use crate::support::scratch::Scratch;
use crate::support::world::{now, simulate};
use crate::support::{eventually, until};

const OVERFLOW: &str = "__overflow__";

/// The truth over changing rules: what was counted of a conversation by the rules of its day stands.
#[derive(Clone, Default)]
struct Annals {
    told: BTreeMap<Box<str>, (Labels, PairTotals)>,
}

type Labels = (String, String);

impl Annals {
    /// Everything listed at `at` has been read under these rules; with `full`, new pairs found no room.
    fn add(&mut self, simulator: &Simulator, at: UnixMillis, rules: &OracleRules, full: bool) -> Totals {
        let known: BTreeSet<Labels> = self.told.values().map(|(labels, _)| labels.clone()).collect();
        for story in simulator.stories(first_asked(simulator), at) {
            let Some((labels, now)) = oracle::totals([&*story], at, rules).pairs.pop_first() else { continue };
            let told = match self.told.remove(&story.id) {
                // Labels are those of the first sight; a conversation that found no room stays without.
                Some((labels, before)) => (labels, continued(before, now)),
                None if full && !known.contains(&labels) => ((OVERFLOW.to_owned(), OVERFLOW.to_owned()), now),
                None => (labels, now),
            };
            self.told.insert(story.id.clone(), told);
        }
        let mut totals = Totals::default();
        for (labels, told) in self.told.values() {
            match totals.pairs.get_mut(labels) {
                Some(pair) => add(pair, told),
                None => drop(totals.pairs.insert(labels.clone(), told.clone())),
            }
        }
        totals
    }

    /// What must be shown in this phase.
    fn expects(&mut self, simulator: &Simulator, at: UnixMillis, phase: &Phase) -> Expected {
        let mut rules = usual_rules();
        (phase.rules)(&mut rules);
        Expected::of(&self.add(simulator, at, &rules, phase.full))
    }

    fn has_folded(&self) -> bool {
        self.told.values().any(|((bot, _), _)| bot == OVERFLOW)
    }
}

/// One conversation, counted by earlier rules, as it is now.
fn continued(before: PairTotals, mut now: PairTotals) -> PairTotals {
    if before.met + before.missed > 0 {
        (now.met, now.missed) = (before.met, before.missed);
    }
    if !before.ended.is_empty() {
        now.unanswered = before.unanswered;
    }
    if before.duration.count > 0 {
        let millis = before.duration.sum_ms;
        let le = now.duration.le.iter().map(|(bound, _)| (*bound, u64::from(millis <= u128::from(*bound)))).collect();
        now.duration = Times { le, ..before.duration };
    }
    now
}

fn add(pair: &mut PairTotals, other: &PairTotals) {
    other.started.iter().for_each(|(origin, count)| *pair.started.entry(*origin).or_default() += count);
    other.ended.iter().for_each(|(how, count)| *pair.ended.entry(*how).or_default() += count);
    for (times, more) in [(&mut pair.reply, &other.reply), (&mut pair.duration, &other.duration)] {
        times.count += more.count;
        times.sum_ms += more.sum_ms;
        times.le.iter_mut().zip(&more.le).for_each(|((_, count), (_, more))| *count += more);
    }
    pair.unanswered += other.unanswered;
    pair.met += other.met;
    pair.missed += other.missed;
    pair.reopened += other.reopened;
    pair.active += other.active;
    pair.waiting += other.waiting;
    pair.oldest_waiting = [pair.oldest_waiting, other.oldest_waiting].into_iter().flatten().min();
}

/// The settings of one life of the exporter, and what they mean to the oracle.
struct Phase {
    name: &'static str,
    settings: &'static [(&'static str, &'static str)],
    rules: fn(&mut OracleRules),
    /// There is no room for new pairs.
    full: bool,
}

const REPLY_BOUNDS: [u64; 7] = [100, 200, 500, 1000, 2000, 5000, 20_000];
const DURATION_BOUNDS: [u64; 5] = [500, 1000, 2000, 10_000, 60_000];

const USUAL: Phase = Phase { name: "as at first", settings: &[], rules: |_| {}, full: false };

/// What decides about counting comes before the short horizon, for what was forgotten is never judged again.
const PHASES: [Phase; 11] = [
    USUAL,
    Phase {
        name: "other buckets",
        settings: &[
            ("metrics.reply_time_buckets", "200ms,700ms,1s,3s,30s"),
            ("metrics.duration_buckets", "1500ms,2s,90s"),
            ("metrics.native_histogram_schema", "0"),
        ],
        rules: |rules| {
            rules.reply_bounds_ms = vec![200, 700, 1000, 2000, 3000, 30_000];
            rules.duration_bounds_ms = vec![1500, 2000, 90_000];
        },
        full: false,
    },
    Phase { name: "the first buckets again", settings: &[("metrics.native_histogram_schema", "5")], ..USUAL },
    Phase {
        name: "another target",
        settings: &[("metrics.reply_target", "700ms")],
        rules: |rules| {
            rules.reply_target_ms = 700;
            rules.reply_bounds_ms = vec![100, 200, 500, 700, 1000, 2000, 5000, 20_000];
        },
        full: false,
    },
    Phase {
        name: "other exclusions",
        settings: &[("metrics.reply_target_excluded_origins", "organic,ticket")],
        rules: |rules| rules.excluded_origins = vec![Origin::Organic, Origin::Ticket],
        full: false,
    },
    Phase {
        name: "a short horizon",
        settings: &[("poll.horizon", "100s"), ("poll.initial_lookback", "90s"), ("poll.interval", "100ms")],
        ..USUAL
    },
    Phase {
        name: "a long horizon, another overlap",
        settings: &[
            ("poll.horizon", "30d"),
            ("poll.initial_lookback", "7d"),
            ("poll.overlap", "2m"),
            ("poll.count_initial", "false"),
        ],
        ..USUAL
    },
    Phase {
        name: "the other dialect, small pages",
        settings: &[("api.dialect", "external-get"), ("api.page_size", "7")],
        rules: |rules| rules.whole_seconds = false,
        full: false,
    },
    Phase { name: "another zone", settings: &[("api.timezone", "Asia/Kolkata"), ("api.page_size", "1000")], ..USUAL },
    Phase { name: "no room for labels", settings: &[("metrics.max_label_sets", "2")], full: true, ..USUAL },
    Phase {
        name: "room again",
        settings: &[("poll.interval", "500ms"), ("metrics.recent_window", "5m"), ("metrics.stale_after", "1m")],
        ..USUAL
    },
];

struct Bench {
    simulator: Simulator,
    receiver: Receiver,
    folder: Scratch,
    annals: Annals,
    /// Family and bound (milliseconds) that were not counted from the first on.
    adopted: BTreeSet<(String, u64)>,
    /// By how much such a bound is off, for good, in the series that were there before it.
    off: BTreeMap<Series, i128>,
}

impl Bench {
    /// What a phase is run by, and what goes before that.
    fn settings(&self, phase: &Phase) -> BTreeMap<&'static str, String> {
        let millis = |bounds: &[u64]| bounds.iter().map(|bound| format!("{bound}ms")).collect::<Vec<_>>().join(",");
        let (reply, duration) = (millis(&REPLY_BOUNDS), millis(&DURATION_BOUNDS));
        let usual = [
            ("poll.interval", "200ms"),
            ("poll.overlap", "25s"),
            ("poll.sweep_interval", "1s"),
            ("poll.initial_lookback", "3m"),
            ("metrics.reply_target", "2s"),
            ("metrics.reply_time_buckets", &reply),
            ("metrics.duration_buckets", &duration),
        ];
        let all = usual.iter().chain(phase.settings);
        all.map(|(key, value)| (*key, (*value).to_owned())).collect()
    }

    fn start(&self, phase: &Phase) -> Exporter {
        let settings = self.settings(phase);
        let mut settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let (path, endpoint) = (self.folder.state(), self.receiver.endpoint.clone());
        settings.extend([("state.path", path.as_str()), ("otlp.endpoint", &endpoint), ("otlp.interval", "100ms")]);
        Exporter::start(&self.simulator.base_url(), &settings)
    }

    /// Writes the file that a running exporter reads again.
    fn write(&self, phase: &Phase) -> PathBuf {
        let path = self.folder.0.join("c.yml");
        let lines: String = self.settings(phase).iter().map(|(key, value)| format!("{key}: '{value}'\n")).collect();
        std::fs::write(&path, lines).unwrap();
        path
    }

    /// The same exporter goes through all phases.
    fn start_once(&self, phase: &Phase) -> Exporter {
        let (path, endpoint) = (self.folder.state(), self.receiver.endpoint.clone());
        let settings = [("state.path", path.as_str()), ("otlp.endpoint", &endpoint), ("otlp.interval", "100ms")];
        let mut command = polling(&self.simulator.base_url(), &settings);
        for key in ["POLL_INTERVAL", "POLL_COUNT_INITIAL"] {
            command.env_remove(format!("JELOU_EXPORTER_{key}"));
        }
        Exporter::run(command.arg("--poll.count-initial").arg("--config.file").arg(self.write(phase)))
    }

    /// The running exporter goes on by the settings of this phase.
    fn reload(&self, exporter: &Exporter, phase: &Phase) {
        self.write(phase);
        let taken_over = || exporter.program.stderr().matches("the poller goes on by the reloaded settings").count();
        let before = taken_over();
        exporter.program.signal("HUP");
        until("it goes on by the new settings", || taken_over() > before);
    }

    /// Waits until the numbers are right by the rules of this phase and of those before.
    fn agrees(&mut self, exporter: &Exporter, phase: &Phase, at: UnixMillis) -> Scrape {
        let mut check = || {
            let mut scrape = exporter.scrape();
            for (series, off) in &self.off {
                if let Some(value) = scrape.series.get_mut(series) {
                    *value = (value.parse::<i128>().unwrap() - off).to_string();
                }
            }
            // The clock goes on deciding.
            let expected = self.annals.expects(&self.simulator, at, phase);
            expected.compare(&scrape).map_err(|why| format!("{}: {why}", phase.name))?;
            Ok(scrape)
        };
        eventually(&mut check);
        exporter.succeeds_again(2.0);
        let scrape = eventually(&mut check);
        self.receiver.is_content();
        scrape
    }

    /// Bounds that are counted from this start on begin between their neighbours, and are off by no more than they are now.
    fn adopt_new_bounds(&mut self, exporter: &Exporter, phase: &Phase, at: UnixMillis) {
        let expected = self.annals.expects(&self.simulator, at, phase);
        // By the first rules, but nothing is counted by them now.
        let of_first = self.annals.clone().expects(&self.simulator, at, &USUAL);
        let mut new = BTreeSet::new();
        for (series, shown) in &exporter.scrape().series {
            let Some(first) = bounds_of(&series.name) else { continue };
            let Some(bound) = series.labels["le"].parse::<f64>().ok().map(|le| (le * 1000.0).round() as u64) else {
                continue;
            };
            let of_family = (series.name.clone(), bound);
            if series.labels["le"] == "+Inf" || first.contains(&bound) || self.adopted.contains(&of_family) {
                continue;
            }
            new.insert(of_family);
            let at_bound = |le: String| {
                let mut neighbour = series.clone();
                neighbour.labels.insert("le".to_owned(), le);
                of_first.of_series(&neighbour) / 1000
            };
            let seconds = |millis: &u64| (*millis as f64 / 1000.0).to_string();
            let below = first.iter().rfind(|known| **known < bound).map_or(0, |known| at_bound(seconds(known)));
            let above = at_bound(first.iter().find(|known| **known > bound).map_or("+Inf".to_owned(), seconds));
            let shown = shown.parse::<i128>().unwrap();
            assert!((below..=above).contains(&shown), "{series} is {shown}, its neighbours are {below} and {above}");
            self.off.insert(series.clone(), shown - expected.of_series(series) / 1000);
        }
        self.adopted.extend(new);
    }

    /// Conversations that are handed on, closed, answered or left alone within the next seconds.
    fn put(&self, phase: &Phase, team: &str) {
        let from = now();
        for number in 0..8 {
            let story = Story::new(format!("{}-{number}", phase.name), from + 100 * number).by("Bot", team);
            self.simulator.put(match number % 4 {
                // Who finds no room stays until there is some again.
                0 if phase.full => story,
                0 => story.closed_after(3000),
                1 => story.ended_after(700, "transferred", "transferred"),
                2 => story.replied_after(300).closed_after(900),
                _ => story.ended_after(1100, "expired", "expired"),
            });
        }
    }
}

fn usual_rules() -> OracleRules {
    OracleRules {
        reply_target_ms: 2000,
        reply_bounds_ms: REPLY_BOUNDS.to_vec(),
        duration_bounds_ms: DURATION_BOUNDS.to_vec(),
        ..OracleRules::defaults(now())
    }
}

/// The bounds that were counted from the first on, if this is a histogram.
fn bounds_of(name: &str) -> Option<&'static [u64]> {
    match name {
        "jelou_operator_reply_time_seconds_bucket" => Some(&REPLY_BOUNDS),
        "jelou_conversation_duration_seconds_bucket" => Some(&DURATION_BOUNDS),
        _ => None,
    }
}

fn started_and_ended(scrape: &Scrape) -> [f64; 2] {
    ["jelou_conversations_started_total", "jelou_conversations_ended_total"].map(|name| scrape.total(name, &[]))
}

/// Each phase is a kill, a start by other settings while the world stands still, and some seconds of life.
#[test]
fn no_change_of_settings_loses_or_repeats_anything() {
    change_settings(false);
}

/// The same without a restart: the configuration is read again.
#[test]
fn no_reload_loses_or_repeats_anything() {
    change_settings(true);
}

fn change_settings(by_reload: bool) {
    // One at a time: what is known within a short horizon must be compared before it has passed.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let world = SimulatorOptions { per_hour: 12_000.0, quietest: 1.0, pace: 0.002, history: 3_600_000, ..lifelike(31) };
    let mut bench = Bench {
        simulator: simulate(world),
        receiver: Receiver::start(),
        folder: Scratch::new(),
        annals: Annals::default(),
        adopted: BTreeSet::new(),
        off: BTreeMap::new(),
    };
    let (mut instance, mut full) = (None, false);
    let mut frozen = now();
    bench.simulator.freeze_at(frozen);
    let mut running = None;
    for phase in &PHASES {
        let exporter = match running.take() {
            None if by_reload => bench.start_once(phase),
            // The one before is killed first.
            None => bench.start(phase),
            Some(exporter) => {
                bench.reload(&exporter, phase);
                exporter
            }
        };
        until("it is ready", || exporter.get("/-/ready").status == 200);
        if instance.is_some() {
            bench.adopt_new_bounds(&exporter, phase, frozen);
        }
        let before = bench.agrees(&exporter, phase, frozen);
        bench.simulator.thaw();
        // The last team comes when there is no room, and comes again when there is.
        full |= phase.full;
        bench.put(phase, if full { "Late" } else { "Early" });
        for phase in PHASES.iter().filter(|before| before.full && before.name != phase.name) {
            // Who found no room ends there, too. Before that phase there is nobody.
            let now = now();
            let close = |story: &mut Story| *story = story.clone().closed_after(now.since(story.start) + 500);
            bench.simulator.amend(&format!("{}-0", phase.name), close);
        }
        exporter.scraped("life goes on", |scrape| {
            let (was, is) = (started_and_ended(&before), started_and_ended(scrape));
            is[0] >= was[0] + 12.0 && is[1] >= was[1] + 10.0
        });
        frozen = now();
        bench.simulator.freeze_at(frozen);
        let scrape = bench.agrees(&exporter, phase, frozen);
        let overflowed = scrape.total("jelou_exporter_label_sets_overflowed_total", &[]);
        assert_eq!(overflowed > 0.0, bench.annals.has_folded(), "{}", phase.name);
        for name in ["vanished", "aged_out"].map(|name| format!("jelou_exporter_conversations_{name}_total")) {
            assert_eq!(scrape.sum(&name, &[]), Some(0.0), "{name}: {}", phase.name);
        }
        let exported = bench.receiver.exports();
        until("a push", || bench.receiver.exports() > exported + 1);
        let now = bench.receiver.newest().instance;
        assert_eq!(*instance.get_or_insert_with(|| now.clone()), now, "service.instance.id");
        running = by_reload.then_some(exporter);
    }
    bench.receiver.is_content();
    assert!(bench.adopted.len() == 5 && !bench.off.is_empty() && bench.annals.has_folded(), "{:?}", bench.adopted);
}
