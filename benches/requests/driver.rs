//! Runs the poller over a world and keeps, by poll, what it asked and what that took.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use jelou_exporter::domain::distribution::Layout;
use jelou_exporter::domain::label::PollResult;
use jelou_exporter::domain::ledger::{Ledger, LedgerSettings};
use jelou_exporter::domain::plan::{Plan, PlanSettings};
use jelou_exporter::domain::reading::Page;
use jelou_exporter::domain::snapshot::Own;
use jelou_exporter::domain::time::{Range, UnixMillis};
use jelou_exporter::jelou::{ApiError, Budget};
use jelou_exporter::poller::{Parts, Poller, PollerSettings, Traces};
use jelou_exporter::store::Store;
use tokio::runtime::Builder;
use tokio::time::Instant;

use crate::world::{BEGIN, Fake, HOUR, PAGE, PausedClock, WEEK, World};

pub(crate) const PLAN: PlanSettings =
    PlanSettings { interval: 60, overlap: 600, horizon: WEEK, sweep_interval: 6 * HOUR, initial_lookback: 24 * HOUR };

/// What a request is for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// The newest stretch, which is this range.
    Newest(Range),
    Unsettled,
    /// Sweep and catch-up.
    Slow,
}

pub(crate) struct Asked {
    /// When the poll began that asks.
    pub(crate) poll: UnixMillis,
    pub(crate) purpose: Purpose,
}

/// Where this process stood at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    /// Bytes handed to the system in writes so far.
    written: u64,
    at: std::time::Instant,
}

impl Mark {
    fn now() -> Self {
        // Elsewhere than on Linux there is no such file, and the column says 0.
        let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
        let written = io.lines().find_map(|line| line.strip_prefix("wchar: ")).and_then(|bytes| bytes.parse().ok());
        Self { written: written.unwrap_or_default(), at: std::time::Instant::now() }
    }
}

/// What a poll took of the exporter, the disk included.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) written: u64,
    pub(crate) time: Duration,
}

/// One poll, from its first request to the first of the next one.
#[derive(Clone, Copy)]
pub(crate) struct Poll {
    pub(crate) newest: usize,
    pub(crate) newest_range: Option<Range>,
    pub(crate) unsettled: usize,
    pub(crate) slow: usize,
    /// When it began.
    from: Mark,
    /// What the upstream took of it, which is no work of the exporter's.
    upstream: Duration,
}

/// Every poll so far by the instant at which it began.
#[derive(Default)]
pub(crate) struct Costs(BTreeMap<UnixMillis, Poll>);

impl Costs {
    /// Counts the request, and answers it.
    pub(crate) fn ask(&mut self, asked: Asked, answer: impl FnOnce() -> Page) -> Result<Page, ApiError> {
        let poll = self.0.entry(asked.poll).or_insert_with(|| Poll {
            newest: 0,
            newest_range: None,
            unsettled: 0,
            slow: 0,
            from: Mark::now(),
            upstream: Duration::ZERO,
        });
        match asked.purpose {
            Purpose::Newest(range) => {
                poll.newest += 1;
                poll.newest_range = Some(range);
            }
            Purpose::Unsettled => poll.unsettled += 1,
            Purpose::Slow => poll.slow += 1,
        }
        let began = std::time::Instant::now();
        let page = answer();
        poll.upstream += began.elapsed();
        Ok(page)
    }
}

/// A poll that is over, and what it took.
pub(crate) type Measured = (UnixMillis, Poll, Cost);

/// Polls the world until `polls` polls have begun and ended after the second `from`, and returns these. Every poll has
/// to succeed, and by then no more may be unsettled than `most_unsettled`.
pub(crate) fn run(
    world: &Arc<World>,
    (ledger, plan, store): (Ledger, Plan, Option<Store>),
    from: i64,
    polls: usize,
    most_unsettled: u64,
) -> Vec<Measured> {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let clock = PausedClock(Instant::now());
        let fake = Fake {
            world: Arc::clone(world),
            clock,
            costs: Arc::new(Mutex::new(Costs::default())),
            snapshots: Arc::new(OnceLock::new()),
        };
        let parts = Parts {
            upstream: fake.clone(),
            budget: Budget::new(2.0),
            clock: Arc::new(clock),
            jitter: Box::new(|| 0.5),
            ledger,
            plan,
            own: Own::new(UnixMillis::from_seconds(BEGIN), "", 300_000, 60_000),
            account: "default".into(),
            store,
            silence: None,
            traces: Traces::off(),
        };
        let settings = PollerSettings {
            interval: Duration::from_secs(60),
            requests_per_second: 2.0,
            page_size: u32::try_from(PAGE).expect("small"),
        };
        let (poller, mut snapshots) = Poller::new(settings, parts);
        assert!(fake.snapshots.set(snapshots.clone()).is_ok(), "set once");
        let poller = tokio::spawn(poller.run());

        let from = UnixMillis::from_seconds(from);
        let begun = |costs: &Costs| costs.0.range(from..).count();
        let last = snapshots
            .wait_for(|_| begun(&fake.costs.lock().expect("nobody panics with it")) > polls)
            .await
            .expect("the poller lives")
            .own
            .clone();
        poller.abort();
        assert!(last.up && last.polls.get(PollResult::Failure) == 0, "polls failed");
        assert!(last.unsettled <= most_unsettled, "{} are unsettled, not {most_unsettled}", last.unsettled);
        let costs = fake.costs.lock().expect("nobody panics with it");
        let found: Vec<_> = costs.0.range(from..).map(|(at, poll)| (*at, *poll)).collect();
        let cost = |poll: &Poll, next: &Poll| Cost {
            written: next.from.written - poll.from.written,
            time: (next.from.at - poll.from.at).saturating_sub(poll.upstream),
        };
        found.windows(2).map(|two| (two[0].0, two[0].1, cost(&two[0].1, &two[1].1))).take(polls).collect()
    })
}

/// By which rules the ledger counts here.
pub(crate) fn ledger_settings() -> LedgerSettings {
    let layout = Arc::new(Layout::new([60_000, 300_000, 3_600_000], 3));
    LedgerSettings {
        reply: Arc::clone(&layout),
        duration: layout,
        reply_target: 300_000,
        excluded_origins: Vec::new(),
        recent_window: 3_600_000,
        max_label_sets: 2000,
        stale_after: 900_000,
        count_initial: true,
    }
}
