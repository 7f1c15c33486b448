//! Everything that is shown, at one instant: immutable, shared by all who read it.

mod visit;

use std::sync::Arc;

use super::distribution::{Distribution, Layout};
use super::history::{Events, History, Work};
use super::label::{
    AmendedField, ExportResult, HttpDrop, LogLevel, Outcome, PollResult, RecordResult, Tally, UnknownField, WalkResult,
};
use super::pair::Pair;
use super::plan::ToRead;
use super::time::UnixMillis;

/// What was committed last, and how the exporter itself is doing.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When it was published.
    pub taken_at: UnixMillis,
    /// The `account` label.
    pub account: Arc<str>,
    /// The conversation families; `None` until the initial range has been walked completely.
    pub conversations: Option<Conversations>,
    /// Counts about conversations that are kept with them.
    pub tallies: Tallies,
    /// How polling goes.
    pub own: Own,
}

/// The conversation families.
#[derive(Clone, Debug)]
pub struct Conversations {
    /// Every pair, by its labels.
    pub pairs: Vec<Arc<Pair>>,
    /// Facts of the moment, one for each pair in the same order; `None` when no poll has succeeded lately.
    pub moments: Option<Arc<[Moment]>>,
    /// When the facts of the moment leave (rule **stale**).
    pub moments_until: UnixMillis,
}

/// Bounds of `jelou_exporter_poll_duration_seconds`, milliseconds.
const POLL_BOUNDS: [u64; 11] = [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 60_000, 120_000, 300_000];
/// Bounds of `jelou_exporter_api_request_duration_seconds`, milliseconds.
const REQUEST_BOUNDS: [u64; 11] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000];
/// Exponential buckets of the exporter's own times: 8 per doubling.
const OWN_SCHEMA: i8 = 3;

/// The percentiles that the `_recent_` families show.
pub const PERCENTILES: [f64; 4] = [50.0, 90.0, 95.0, 99.0];
/// The same, as values of the `percentile` label.
pub const PERCENTILE_LABELS: [&str; 4] = ["50", "90", "95", "99"];

/// Facts of the moment about one pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Active conversations.
    pub active: u64,
    /// Those in which a customer waits for the first reply.
    pub waiting: u64,
    /// The earliest start of those waiting.
    pub oldest_waiting_start: Option<UnixMillis>,
    /// [`PERCENTILES`] of the replies given within the recent window, milliseconds.
    pub reply_recent: [Option<u64>; 4],
    /// [`PERCENTILES`] of the durations that ended within the recent window, milliseconds.
    pub duration_recent: [Option<u64>; 4],
}

/// Counts that belong to the conversations, and would outlive the process with them if there were a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// Since when they count: when the state was made.
    pub start: UnixMillis,
    /// Values that changed after they were counted.
    pub amendments: Tally<AmendedField>,
    /// Records dated outside the range that listed them.
    pub outside_window: u64,
    /// Records that vanished before they were settled.
    pub vanished: u64,
    /// Records that passed the horizon before they were settled.
    pub aged_out: u64,
    /// Conversations first seen into the overflow pair.
    pub overflowed: u64,
}

/// How the exporter's own work goes; all of it starts with the process.
#[derive(Clone, Debug)]
pub struct Own {
    /// When the process started.
    pub process_start: UnixMillis,
    /// Git revision of the build, empty when not known.
    pub revision: &'static str,
    /// Whether the last poll succeeded.
    pub up: bool,
    /// The company that the credentials belong to.
    pub company: Option<Arc<str>>,
    /// `metrics.reply_target`, milliseconds.
    pub reply_target: u64,
    /// `poll.interval`, milliseconds.
    pub poll_interval: u64,
    /// `metrics.recent_window`, milliseconds.
    pub recent_window: u64,
    /// Polls by result.
    pub polls: Tally<PollResult>,
    /// How long polls took.
    pub poll_duration: Distribution,
    /// When the last poll began.
    pub last_poll: Option<UnixMillis>,
    /// When the last successful poll ended.
    pub last_success: Option<UnixMillis>,
    /// When the last sweep was complete.
    pub last_sweep: Option<UnixMillis>,
    /// Up to when every start has been read completely (rule **data complete**).
    pub data_complete: Option<UnixMillis>,
    /// How much is still to be read of the initial range, or of the gaps that downtime left.
    pub to_read: ToRead,
    /// The polls of late.
    pub history: Arc<History>,
    /// Walks by result.
    pub walks: Tally<WalkResult>,
    /// Requests by outcome.
    pub api_requests: Tally<Outcome>,
    /// How long requests took.
    pub api_request_duration: Distribution,
    /// Requests that repeated a failed one.
    pub api_retries: u64,
    /// Milliseconds spent waiting for the request budget.
    pub budget_wait: u64,
    /// The upstream's clock less the local one, milliseconds.
    pub clock_offset: Option<i64>,
    /// Rows read by what became of them.
    pub records: Tally<RecordResult>,
    /// What was counted; shown as counters of the pairs, and here for what a poll brought.
    pub events: Events,
    /// Values that became `other`.
    pub unknown_values: Tally<UnknownField>,
    /// Milliseconds of conversation starts that were given up unread.
    pub abandoned: u64,
    /// Conversations in the ledger.
    pub ledger_entries: u64,
    /// Those that are asked for again.
    pub unsettled: u64,
    /// (bot, team) pairs.
    pub label_sets: u64,
    /// Whether counting goes on from a checkpoint.
    pub restored: bool,
    /// How the checkpoint does; `None` when state is kept in memory only.
    pub checkpoint: Option<Checkpoint>,
}

/// How keeping the state goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// When the last commit was on the disk.
    pub last_success: Option<UnixMillis>,
    /// Commits that failed.
    pub failures: u64,
    /// How long the last commit took, milliseconds.
    pub duration: Option<u64>,
    /// Size of the file, bytes.
    pub size: Option<u64>,
}

impl Own {
    /// The numbers of a process that has done nothing yet; times in milliseconds.
    pub fn new(process_start: UnixMillis, revision: &'static str, reply_target: u64, poll_interval: u64) -> Self {
        let times = |bounds: &[u64]| {
            Distribution::new(Arc::new(Layout::new(bounds.iter().copied(), OWN_SCHEMA)), process_start)
        };
        Self {
            process_start,
            revision,
            up: false,
            company: None,
            reply_target,
            poll_interval,
            recent_window: 3_600_000,
            polls: Tally::default(),
            poll_duration: times(&POLL_BOUNDS),
            last_poll: None,
            last_success: None,
            last_sweep: None,
            data_complete: None,
            to_read: ToRead::default(),
            history: Arc::default(),
            walks: Tally::default(),
            api_requests: Tally::default(),
            api_request_duration: times(&REQUEST_BOUNDS),
            api_retries: 0,
            budget_wait: 0,
            clock_offset: None,
            records: Tally::default(),
            events: Events::default(),
            unknown_values: Tally::default(),
            abandoned: 0,
            ledger_entries: 0,
            unsettled: 0,
            label_sets: 0,
            restored: false,
            checkpoint: None,
        }
    }

    /// What was done since the process started.
    pub fn work(&self) -> Work {
        Work {
            requests: self.api_requests.clone(),
            retries: self.api_retries,
            budget_wait: self.budget_wait,
            walks: self.walks.clone(),
            records: self.records.clone(),
            events: self.events,
        }
    }
}

/// What moves between snapshots: counted where it happens, read when it is shown.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Answers by status code, sorted by code.
    pub http_requests: Vec<(u16, u64)>,
    /// Connections closed before their time by reason.
    pub http_dropped: Tally<HttpDrop>,
    /// Log messages by level.
    pub log_messages: Tally<LogLevel>,
    /// OTLP exports; `None` without an endpoint.
    pub exports: Option<Exports>,
    /// The configuration; `None` until one was loaded.
    pub config: Option<ConfigLoad>,
}

/// How loading the configuration went, the first time included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigLoad {
    /// Whether the last attempt at the settings succeeded.
    pub settings: bool,
    /// Whether the web configuration file, if there is one, could be used when it was last read.
    pub web: bool,
    /// When an attempt at either last succeeded.
    pub last_success: UnixMillis,
}

impl ConfigLoad {
    /// Whether all that was read last holds.
    pub const fn is_successful(self) -> bool {
        self.settings && self.web
    }
}

/// How pushing goes.
#[derive(Clone, Debug, Default)]
pub struct Exports {
    /// Exports by result.
    pub results: Tally<ExportResult>,
    /// When a receiver last took everything.
    pub last_success: Option<UnixMillis>,
}

/// One data point, borrowed from a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    /// Every label but `le`, in the order of the family's declaration.
    pub labels: &'a [(&'static str, &'a str)],
    /// The value.
    pub value: Value<'a>,
    /// Since when a counter or histogram counts; `None` for gauges.
    pub start: Option<UnixMillis>,
}

/// The value of a data point, in the unit of its family.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// A whole number: most counters, and gauges that count things.
    Whole(u64),
    /// Any other number.
    Number(f64),
    /// The value of a histogram; its times are in milliseconds, the family's unit is seconds.
    Distribution(&'a Distribution),
}

impl Snapshot {
    /// The snapshot as it is to be shown at `now`: without facts of the moment when these are too old.
    pub fn at(self: &Arc<Self>, now: UnixMillis) -> Arc<Self> {
        if !self.is_stale(now) {
            return Arc::clone(self);
        }
        let mut stale = Self::clone(self);
        if let Some(conversations) = &mut stale.conversations {
            conversations.moments = None;
        }
        Arc::new(stale)
    }

    /// Whether it has facts of the moment that are too old at `now`.
    pub fn is_stale(&self, now: UnixMillis) -> bool {
        let conversations = self.conversations.as_ref();
        conversations.is_some_and(|shown| shown.moments.is_some() && now >= shown.moments_until)
    }

    /// Whether the conversation families are served and, if they came from a checkpoint, a poll has confirmed them.
    pub const fn is_ready(&self) -> bool {
        self.conversations.is_some() && (!self.own.restored || self.own.last_success.is_some())
    }
}
