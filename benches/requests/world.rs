//! An upstream made of values: conversations that start at whole seconds, so that no page shifts while it is read.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use jelou_exporter::clock::Clock;
use jelou_exporter::domain::conversation::{Conversation, Origin, Reason, State};
use jelou_exporter::domain::reading::{Page, Row};
use jelou_exporter::domain::snapshot::Snapshot;
use jelou_exporter::domain::time::{Range, UnixMillis};
use jelou_exporter::jelou::ApiError;
use jelou_exporter::poller::Upstream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::driver::{Asked, Costs, Purpose};

/// When the poller begins, Unix time.
pub(crate) const BEGIN: i64 = 1_700_000_000;
pub(crate) const HOUR: i64 = 3600;
pub(crate) const WEEK: i64 = 7 * 24 * HOUR;
/// Rows on a full page.
pub(crate) const PAGE: usize = 50;

/// The time of day, driven by tokio's paused clock.
#[derive(Clone, Copy)]
pub(crate) struct PausedClock(pub(crate) Instant);

impl Clock for PausedClock {
    fn now(&self) -> UnixMillis {
        UnixMillis::from_seconds(BEGIN) + i64::try_from(self.0.elapsed().as_millis()).unwrap_or(i64::MAX)
    }
}

/// Every conversation that there will be.
#[derive(Default)]
pub(crate) struct World {
    /// Their first seconds, ascending.
    pub(crate) starts: Vec<i64>,
    /// Which of them never end.
    pub(crate) open: Vec<bool>,
}

impl World {
    /// The places of those that started within the range, by the second `now` at the latest.
    pub(crate) fn listed(&self, range: Range, now: i64) -> std::ops::Range<usize> {
        let last = range.end.min(now);
        let first = self.starts.partition_point(|start| *start < range.start);
        first..self.starts.partition_point(|start| *start <= last).max(first)
    }

    /// The conversation at this place.
    pub(crate) fn conversation(&self, place: usize) -> Conversation {
        let start = UnixMillis::from_seconds(self.starts[place]);
        let (open, number) = (self.open[place], place as u64);
        Conversation {
            // As the upstream's ids are: the time, then what tells those of one second apart.
            id: format!("{:08x}{number:016x}", self.starts[place]).as_str().into(),
            start,
            end: (!open).then(|| start + 600_000),
            state: if open { State::Active } else { State::Closed },
            reason: if open { Reason::None } else { Reason::ClosedByOperator },
            origin: Origin::Organic,
            bot: format!("bot {}", number % 3).into(),
            team: format!("team {}", number % 5).into(),
            company: Some("1".into()),
            // So few different ones that the histograms of a small ledger are as full as those of a great one.
            reply: Some(6_000 * (number.wrapping_mul(7919) % 100)),
            stated_duration: (!open).then_some(36_000 * (number.wrapping_mul(104_729) % 100)),
        }
    }

    pub(crate) fn page(&self, range: Range, page: u32, now: UnixMillis) -> Page {
        let listed = self.listed(range, now.seconds());
        let total = Some(listed.len() as u64);
        let rows = listed.skip(PAGE * (page as usize - 1)).take(PAGE);
        let rows = rows.map(|place| Row::Conversation(self.conversation(place))).collect();
        Page { rows, total, sent_at: now, server_date: Some(UnixMillis::from_seconds(now.seconds())) }
    }
}

/// The world as the poller sees it, and what it was asked.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) world: Arc<World>,
    pub(crate) clock: PausedClock,
    pub(crate) costs: Arc<Mutex<Costs>>,
    /// Where the poller says how far it is, from which follows what a request is for.
    pub(crate) snapshots: Arc<OnceLock<watch::Receiver<Arc<Snapshot>>>>,
}

impl Fake {
    fn purpose(&self, range: Range) -> (UnixMillis, Purpose) {
        let snapshot = self.snapshots.get().expect("set before the poller runs").borrow();
        let poll = snapshot.own.last_poll.expect("a poll has begun");
        let purpose = match snapshot.own.last_success {
            // The poll is over, so this is slow work.
            Some(success) if success >= poll => Purpose::Slow,
            _ if range.end >= poll.seconds() => Purpose::Newest(range),
            _ => Purpose::Unsettled,
        };
        (poll, purpose)
    }
}

impl Upstream for Fake {
    async fn conversations(&self, range: Range, page: u32) -> Result<Page, ApiError> {
        let (poll, purpose) = self.purpose(range);
        let mut costs = self.costs.lock().expect("nobody panics with it");
        costs.ask(Asked { poll, purpose }, || self.world.page(range, page, self.clock.now()))
    }

    fn reload_credentials(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn credentials_changed(&self) -> bool {
        false
    }
}
