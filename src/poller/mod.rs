//! The only writer: plan → fetch → fold → commit → publish.
//!
//! A poll reads the newest stretch, then what is unsettled, then a slice of catch-up or sweep. Each walk is folded,
//! committed and published by itself, so a poll that fails half-way keeps what it learnt.

mod fetch;
mod forget;
mod keep;
#[cfg(test)]
mod model;
mod record;
mod report;
mod rest;
mod slow;
mod stages;
#[cfg(test)]
mod tests;
mod traces;
mod update;
mod upstream;
mod walks;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::label::PollResult;
use crate::domain::ledger::Ledger;
use crate::domain::plan::{Clocks, Plan};
use crate::domain::snapshot::{Checkpoint, Own, Snapshot};
use crate::domain::time::{Range, UnixMillis};
use crate::jelou::Budget;
use crate::store::Store;
use crate::streak::Streak;
use fetch::Fetcher;
pub use forget::Silence;
use keep::{Keeper, Shown};
use report::Failure;
pub use report::PollError;
use rest::REFUSALS;
pub use traces::Traces;
pub use update::{Update, Updates};
pub use upstream::Upstream;

/// The share of the interval in which a poll begins walks for the sake of the data.
const WORK_SHARE: f64 = 0.8;

/// By how many milliseconds the local clock may go astray between two polls before that is a step.
const STEP: i64 = 10_000;

/// By which settings it polls.
#[derive(Clone, Copy, Debug)]
pub struct PollerSettings {
    /// `poll.interval`.
    pub interval: Duration,
    /// `api.requests_per_second`.
    pub requests_per_second: f64,
    /// `api.page_size`.
    pub page_size: u32,
}

/// What a poller is made of.
pub struct Parts<U> {
    /// Where conversations come from.
    pub upstream: U,
    /// The request budget.
    pub budget: Budget,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Random fractions from 0 to 1 that keep retries of several exporters apart.
    pub jitter: Box<dyn FnMut() -> f64 + Send>,
    /// What was counted.
    pub ledger: Ledger,
    /// What was read.
    pub plan: Plan,
    /// The exporter's own numbers, at their start.
    pub own: Own,
    /// The `account` label.
    pub account: Arc<str>,
    /// The checkpoint, if state is to outlive the process.
    pub store: Option<Store>,
    /// Which pairs are to be forgotten, if counting goes on from a checkpoint.
    pub silence: Option<Silence>,
    /// Where it tells of its work.
    pub traces: Traces,
}

/// Polls the upstream and publishes snapshots.
pub struct Poller<U> {
    settings: PollerSettings,
    fetcher: Fetcher<U>,
    clock: Arc<dyn Clock>,
    ledger: Ledger,
    plan: Plan,
    own: Own,
    account: Arc<str>,
    keeper: Keeper,
    /// Until pairs have been forgotten, once in a process.
    silence: Option<Silence>,
    /// The rest of a stretch that the last poll had no time for.
    left_over: Option<Range>,
    /// When the clocks were last found not to agree, and what the later one showed then.
    apart: Option<(Instant, UnixMillis)>,
    /// What was committed last.
    shown: Shown,
    /// Rows on a full page: what was asked for, or less if the upstream gives less.
    page_rows: u32,
    /// Requests that slices may still take.
    slice_credit: f64,
    zone_said: bool,
    /// Why rows were rejected, as far as that was said.
    rejections_said: BTreeSet<&'static str>,
    long_label_said: bool,
    overflow_said: bool,
    /// Of polls.
    failures: Streak,
    /// Of slices.
    slice_failures: Streak,
    /// Where spans are made.
    traces: Traces,
    /// The same for the poll under way.
    trace: Traces,
    /// When the last poll began, by the clock that never steps and by the local one.
    last_began: Option<(Instant, UnixMillis)>,
    publish: watch::Sender<Arc<Snapshot>>,
    updates: Updates<U>,
}

/// Until when a poll may do what.
#[derive(Clone, Copy)]
struct Deadlines {
    /// Walks for the sake of the data, and retries, begin before this.
    work: Instant,
    /// Walks of the initial range begin before this.
    initial: Instant,
    /// Slices begin before this.
    slices: Instant,
}

impl<U: Upstream> Poller<U> {
    /// A poller, and where its snapshots appear; the first one is there at once.
    pub fn new(settings: PollerSettings, parts: Parts<U>) -> (Self, watch::Receiver<Arc<Snapshot>>) {
        let Parts { upstream, budget, clock, jitter, mut ledger, plan, mut own, account, store, silence, traces } =
            parts;
        let now = clock.now();
        own.checkpoint = store.is_some().then(Checkpoint::default);
        let shown = Shown { conversations: ledger.show(now), tallies: ledger.tallies().clone() };
        let first = shown.with(now, &account, &own);
        let (publish, snapshots) = watch::channel(Arc::new(first));
        let poller = Self {
            settings,
            fetcher: Fetcher::new(upstream, budget, Arc::clone(&clock), jitter),
            clock,
            ledger,
            plan,
            own,
            account,
            keeper: Keeper::new(store),
            silence,
            left_over: None,
            apart: None,
            shown,
            page_rows: settings.page_size,
            slice_credit: 0.0,
            zone_said: false,
            rejections_said: BTreeSet::new(),
            long_label_said: false,
            overflow_said: false,
            failures: Streak::default(),
            slice_failures: Streak::default(),
            trace: Traces::off(),
            traces,
            last_began: None,
            publish,
            updates: Updates::new(),
        };
        (poller, snapshots)
    }

    /// Polls for ever, from start to start one interval apart, never two polls at once.
    pub async fn run(mut self) {
        let mut refusals = 0;
        loop {
            self.take_update();
            let began = Instant::now();
            match self.poll(self.deadlines(began)).await {
                Err(error) if error.is_refusal() => refusals += 1,
                _ => refusals = 0,
            }
            if self.fetcher.take_new_credentials() {
                // They have not been refused yet, so they are tried at once.
                refusals = refusals.min(REFUSALS - 1);
            }
            refusals = self.rest(began, refusals).await;
        }
    }

    /// One complete poll, however long the initial range takes.
    ///
    /// # Errors
    ///
    /// What kept it from being complete.
    pub async fn once(mut self) -> Result<(), PollError> {
        let began = Instant::now();
        // "For ever" in tokio's own terms: thirty years.
        let initial = began + Duration::from_secs(30 * 365 * 86_400);
        self.poll(Deadlines { initial, ..self.deadlines(began) }).await?;
        if self.ledger.is_counting() { Ok(()) } else { Err(PollError::InitialRange) }
    }

    fn deadlines(&self, began: Instant) -> Deadlines {
        let work = began + self.settings.interval.mul_f64(WORK_SHARE);
        Deadlines { work, initial: work, slices: began + self.settings.interval }
    }

    async fn poll(&mut self, deadlines: Deadlines) -> Result<(), PollError> {
        let began = Instant::now();
        let before = self.own.work();
        self.trace = self.traces.poll();
        self.fetcher.trace(&self.trace);
        self.notice_step(began);
        self.fetcher.refresh().await;
        self.own.last_poll = Some(self.clock.now());
        self.ledger.begin_poll();

        // One range that always fails must not keep all the others from being read.
        let goes_on = |result: &Result<(), PollError>| result.as_ref().err().is_none_or(PollError::is_of_one_range);
        let mut result = self.read_newest_first(deadlines).await;
        let mut upstream_answers = goes_on(&result);
        if upstream_answers {
            let unsettled = self.read_unsettled(deadlines).await;
            upstream_answers = goes_on(&unsettled);
            result = result.and(unsettled);
        }
        // What the walks taught the plan has to be kept, too, before the poll may be called a success.
        let result = result.and_then(|()| self.publish());
        let now = self.clock.now();
        self.own.poll_duration.record(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.own.up = result.is_ok();
        if result.is_ok() {
            self.own.polls.count(PollResult::Success);
            self.own.last_success = Some(now);
            self.ledger.succeed(now);
        } else {
            self.own.polls.count(PollResult::Failure);
        }
        let work = self.own.work().since(&before);
        self.remember(began.elapsed(), work.clone(), result.as_ref().err());
        self.show();
        let (upstream, refused) = (self.fetcher.upstream(), result.as_ref().err().and_then(PollError::api));
        let hint = refused.and_then(|error| upstream.hint(error));
        let (url, proxy) = refused.map(|_| upstream.place()).unwrap_or_default();
        let told = result.as_ref().map_err(|error| Failure { error, hint: hint.as_deref(), url, proxy });
        report::log(&self.own, &work, told, began.elapsed(), &mut self.failures);
        if upstream_answers && goes_on(&result) {
            self.slow_work_remembered(deadlines).await;
        }
        self.ledger.end_poll();
        // A failure is counted and said by the keeper, and ends the next poll before it asks for anything.
        let _ = self.publish();
        let with_slow_work = self.own.work().since(&before);
        self.trace.end_poll(report::span_numbers(&with_slow_work), result.as_ref().err().map(PollError::kind));
        result
    }

    /// After a step of the local clock nothing is known of how it stands to the upstream's until that answers.
    fn notice_step(&mut self, now: Instant) {
        let local = self.clock.now();
        if let Some((before, local_before)) = self.last_began.replace((now, local)) {
            let passed = i64::try_from((now - before).as_millis()).unwrap_or(i64::MAX);
            if local.since(local_before).saturating_sub(passed).abs() > STEP {
                self.own.clock_offset = None;
            }
        }
    }

    /// Commits, then publishes: nothing is ever shown that a crash could take back.
    fn publish(&mut self) -> Result<(), PollError> {
        let now = self.clock.now();
        let kept = self.keeper.keep(&mut self.ledger, &self.plan, &mut self.own, now, &self.trace);
        if kept.is_ok() {
            self.shown = Shown { conversations: self.ledger.show(now), tallies: self.ledger.tallies().clone() };
            self.own.company = self.ledger.company().cloned();
            self.own.ledger_entries = self.ledger.len() as u64;
            self.own.unsettled = self.ledger.unsettled() as u64;
            self.own.label_sets = self.ledger.label_sets() as u64;
            self.own.to_read = self.plan.to_read();
            self.own.data_complete = self.ledger.is_counting().then(|| self.plan.complete_until());
        }
        self.send(now);
        Ok(kept?)
    }

    /// Shows the exporter's own numbers, and of the conversations what was committed last.
    fn show(&mut self) {
        let now = self.clock.now();
        if self.keeper.is_even() {
            self.shown.conversations = self.ledger.show(now);
        }
        self.send(now);
    }

    fn send(&self, now: UnixMillis) {
        self.publish.send_replace(Arc::new(self.shown.with(now, &self.account, &self.own)));
    }

    fn clocks(&self) -> Clocks {
        Clocks { now: self.clock.now(), offset: self.own.clock_offset }
    }

    /// The clocks as they stood when a walk began. If the local one was set meanwhile, the offset is that of the clock
    /// as it goes now, or as it went before: of both tellings the earlier one claims no more than was read.
    fn clocks_since(&self, (began, local): (Instant, UnixMillis)) -> Clocks {
        let passed = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let clocks = self.clocks();
        Clocks { now: local.min(clocks.now - passed), ..clocks }
    }
}
