//! The poller against an upstream made of values, in paused time: no socket, no waiting.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tokio::time::{Instant, advance};

use super::*;
use crate::clock::Clock;
use crate::domain::conversation::{Conversation, Origin, Reason, State};
use crate::domain::distribution::Layout;
use crate::domain::label::{Outcome, RecordResult};
use crate::domain::ledger::LedgerSettings;
use crate::domain::plan::PlanSettings;
use crate::domain::reading::{Page, Row};
use crate::domain::time::{Range, UnixMillis};
use crate::jelou::ApiError;

mod clocks;
mod poison;

/// When the tests begin, Unix time.
const BEGIN: i64 = 1_700_000_000;
const HOUR: i64 = 3600;

/// The time of day, driven by tokio's paused clock.
#[derive(Clone, Copy)]
struct PausedClock(Instant);

impl Clock for PausedClock {
    fn now(&self) -> UnixMillis {
        UnixMillis::from_seconds(BEGIN) + i64::try_from(self.0.elapsed().as_millis()).unwrap()
    }
}

/// The local clock: the true time, and how far it has been set off, milliseconds.
struct LocalClock(PausedClock, Arc<AtomicI64>);

impl Clock for LocalClock {
    fn now(&self) -> UnixMillis {
        self.0.now() + self.1.load(Ordering::SeqCst)
    }
}

/// What the upstream does and what it was asked.
#[derive(Default)]
struct World {
    records: Vec<Conversation>,
    /// Answers for the next requests, before the world itself answers.
    faults: VecDeque<ApiError>,
    /// Every request fails so.
    down: Option<ApiError>,
    /// Ranges wider than so many seconds are refused.
    widest: Option<i64>,
    /// No answer comes in time to ranges that are wider.
    widest_in_time: Option<i64>,
    /// A page that cannot be read: of the ranges that begin in this one.
    poison: Option<Range>,
    /// A record that no answer survives: every range in which this second lies fails.
    poisonous: Option<i64>,
    /// Ranges that begin in this one are refused.
    refused_range: Option<Range>,
    /// A page that is refused whatever the range.
    refused_page: Option<u32>,
    secret_changed: bool,
    asked: Vec<(Duration, Range, u32)>,
}

#[derive(Clone)]
struct Fake {
    world: Arc<Mutex<World>>,
    clock: PausedClock,
    url: &'static str,
}

impl Fake {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

impl Upstream for Fake {
    async fn conversations(&self, range: Range, page: u32) -> Result<Page, ApiError> {
        let hangs = self.world().widest_in_time.is_some_and(|widest| range.width() > widest);
        if hangs {
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        let now = self.clock.now();
        let mut world = self.world();
        world.asked.push((self.clock.0.elapsed(), range, page));
        if hangs {
            return Err(ApiError::Timeout { after: Duration::from_secs(30) });
        }
        if let Some(error) = world.faults.pop_front().or_else(|| world.down.clone()) {
            return Err(error);
        }
        if world.refused_range.is_some_and(|refused| refused.contains(UnixMillis::from_seconds(range.start))) {
            return Err(ApiError::InvalidRequest { status: 422, message: None });
        }
        if world.refused_page == Some(page) {
            return Err(ApiError::Unauthorized { status: 403, message: None });
        }
        if world.widest.is_some_and(|widest| range.width() > widest) {
            return Err(ApiError::InvalidRequest { status: 422, message: None });
        }
        if world.poisonous.is_some_and(|second| range.contains(UnixMillis::from_seconds(second))) {
            return Err(ApiError::ServerError { status: 500, retry_after: None, message: None });
        }
        if world.poison.is_some_and(|poison| poison.contains(UnixMillis::from_seconds(range.start))) {
            return Err(ApiError::ServerError { status: 503, retry_after: None, message: None });
        }
        let listed: Vec<_> =
            world.records.iter().filter(|record| record.start <= now && range.contains(record.start)).collect();
        let rows =
            listed.iter().skip(50 * (page as usize - 1)).take(50).map(|record| Row::Conversation((*record).clone()));
        let total = Some(listed.len() as u64);
        Ok(Page {
            rows: rows.collect(),
            total,
            sent_at: now,
            server_date: Some(UnixMillis::from_seconds(now.seconds())),
        })
    }

    fn reload_credentials(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn credentials_changed(&self) -> bool {
        self.world().secret_changed
    }

    fn place(&self) -> (Option<&str>, Option<&str>) {
        (Some(self.url), None)
    }
}

/// A conversation that starts so many seconds after [`BEGIN`].
fn active(id: &str, after: i64) -> Conversation {
    Conversation {
        id: id.into(),
        start: UnixMillis::from_seconds(BEGIN + after),
        end: None,
        state: State::Active,
        reason: Reason::None,
        origin: Origin::Organic,
        bot: "bot".into(),
        team: "team".into(),
        company: None,
        reply: None,
        stated_duration: None,
    }
}

fn closed(open: &Conversation, minutes: i64) -> Conversation {
    Conversation {
        state: State::Closed,
        reason: Reason::ClosedByOperator,
        end: Some(open.start + minutes * 60_000),
        ..open.clone()
    }
}

struct Bench {
    fake: Fake,
    /// How far the local clock is off, milliseconds.
    off: Arc<AtomicI64>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

impl Bench {
    /// A poller of once a minute, 2 requests a second, that looks back so many hours and counts what it finds.
    fn new(lookback: i64, records: Vec<Conversation>) -> (Self, Poller<Fake>) {
        let clock = PausedClock(Instant::now());
        let world = World { records, ..World::default() };
        let fake = Fake { world: Arc::new(Mutex::new(world)), clock, url: "https://api.test/conversations" };
        let off = Arc::new(AtomicI64::new(0));
        let layout = Arc::new(Layout::new([60_000, 300_000], 3));
        let ledger = LedgerSettings {
            reply: Arc::clone(&layout),
            duration: layout,
            reply_target: 300_000,
            excluded_origins: Vec::new(),
            recent_window: 3_600_000,
            max_label_sets: 100,
            stale_after: 900_000,
            count_initial: true,
        };
        let plan = PlanSettings {
            interval: 60,
            overlap: 600,
            horizon: 7 * 24 * HOUR,
            sweep_interval: 6 * HOUR,
            initial_lookback: lookback * HOUR,
        };
        let initial = BEGIN - lookback * HOUR;
        let parts = Parts {
            upstream: fake.clone(),
            budget: Budget::new(2.0),
            clock: Arc::new(LocalClock(clock, Arc::clone(&off))),
            jitter: Box::new(|| 0.5),
            ledger: Ledger::new(ledger, clock.now(), UnixMillis::from_seconds(initial)),
            plan: Plan::new(plan, initial),
            own: Own::new(clock.now(), "", 300_000, 60_000),
            account: "default".into(),
            store: None,
            silence: None,
            traces: Traces::off(),
        };
        let settings = PollerSettings { interval: Duration::from_secs(60), requests_per_second: 2.0, page_size: 50 };
        let (poller, snapshots) = Poller::new(settings, parts);
        (Self { fake, off, snapshots }, poller)
    }

    /// A poller that runs by itself; time passes whenever nothing else is to do.
    fn running(lookback: i64, records: Vec<Conversation>) -> Self {
        let (bench, poller) = Self::new(lookback, records);
        tokio::spawn(poller.run());
        bench
    }

    /// Waits for a snapshot that satisfies, for three days at most.
    async fn until(&mut self, satisfies: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let found = self.snapshots.wait_for(|snapshot| satisfies(snapshot));
        Arc::clone(&tokio::time::timeout(Duration::from_secs(3 * 86_400), found).await.expect("never came").unwrap())
    }

    async fn polls(&mut self, many: u64) -> Arc<Snapshot> {
        self.until(|snapshot| snapshot.own.polls.iter().map(|(_, count)| count).sum::<u64>() >= many).await
    }

    fn asked_since(&self, since: Duration) -> Vec<(Duration, Range, u32)> {
        self.fake.world().asked.iter().filter(|(at, ..)| *at >= since).copied().collect()
    }
}

fn started(snapshot: &Snapshot) -> u64 {
    let pairs = snapshot.conversations.iter().flat_map(|conversations| &conversations.pairs);
    pairs.flat_map(|pair| &pair.started).map(|(_, counter)| counter.value).sum()
}

fn ended(snapshot: &Snapshot) -> u64 {
    let pairs = snapshot.conversations.iter().flat_map(|conversations| &conversations.pairs);
    pairs.flat_map(|pair| &pair.ended).map(|(_, counter)| counter.value).sum()
}

/// So many conversations, spread evenly over the hours before [`BEGIN`], all over.
fn history(many: i64, hours: i64) -> Vec<Conversation> {
    (0..many).map(|n| closed(&active(&format!("h{n}"), -n * hours * HOUR / many - 1), 5)).collect()
}

#[tokio::test(start_paused = true)]
async fn successful_poll_shows_everything_at_once() {
    let mut bench = Bench::running(24, history(300, 24));
    let snapshot = bench.until(|snapshot| snapshot.conversations.is_some()).await;
    assert_eq!((started(&snapshot), ended(&snapshot)), (300, 300));
    let snapshot = bench.until(|snapshot| snapshot.own.up).await;
    assert_eq!(snapshot.own.polls.get(PollResult::Success), 1);
    assert_eq!(snapshot.own.data_complete, Some(UnixMillis::from_seconds(BEGIN)));
}

#[tokio::test(start_paused = true)]
async fn budget_spaces_every_request() {
    let mut bench = Bench::running(24, history(3000, 24));
    bench.polls(5).await;
    let asked = bench.asked_since(Duration::ZERO);
    assert!(asked.len() > 60);
    assert!(asked.windows(2).all(|pair| pair[1].0 - pair[0].0 >= Duration::from_millis(500)));
}

#[tokio::test(start_paused = true)]
async fn initial_range_is_read_over_several_polls_while_the_newest_stays_fresh() {
    // 200 pages at 2 a second: more than one interval.
    let mut bench = Bench::running(24, history(10_000, 24));
    let snapshot = bench.until(|snapshot| snapshot.conversations.is_some()).await;
    assert_eq!(started(&snapshot), 10_000);
    assert!(snapshot.own.polls.get(PollResult::Success) >= 2);
    let newest =
        bench.asked_since(Duration::ZERO).iter().filter(|(_, range, page)| range.end >= BEGIN && *page == 1).count();
    assert!(newest as u64 >= snapshot.own.polls.get(PollResult::Success));
}

#[tokio::test(start_paused = true)]
async fn a_newest_stretch_that_takes_all_of_the_time_keeps_nothing_else_from_being_read() {
    // Within the overlap lie more pages than an interval has requests, for some eight polls.
    let crowd = (0..8000).map(|n| closed(&active(&format!("c{n}"), -n * 100 / 8000), 0));
    let open = active("open", -2 * HOUR);
    let mut bench = Bench::running(3, crowd.chain([open.clone()]).collect());
    let still_crowded = |bench: &Bench| {
        let asked = bench.asked_since(bench.fake.clock.0.elapsed().saturating_sub(Duration::from_secs(60)));
        asked.iter().filter(|(_, range, _)| range.end >= BEGIN && range.width() > 60).count() > 90
    };
    bench.until(|snapshot| snapshot.conversations.is_some()).await;
    assert!(still_crowded(&bench), "the initial range was read meanwhile");
    bench.fake.world().records.retain(|record| record.id != open.id);
    bench.fake.world().records.push(closed(&open, 121));
    bench.until(|snapshot| ended(snapshot) == 8001).await;
    assert!(still_crowded(&bench), "what is unsettled was read meanwhile");
}

#[tokio::test(start_paused = true)]
async fn unsettled_ones_are_asked_for_until_they_have_settled() {
    let open = active("open", -5 * HOUR);
    let mut bench = Bench::running(24, vec![open.clone()]);
    let snapshot = bench.polls(3).await;
    assert_eq!((snapshot.own.unsettled, ended(&snapshot)), (1, 0));
    bench.fake.world().records = vec![closed(&open, 300)];
    let snapshot = bench.until(|snapshot| snapshot.own.unsettled == 0).await;
    assert_eq!(ended(&snapshot), 1);
    let since = bench.fake.clock.0.elapsed();
    let polls = snapshot.own.polls.get(PollResult::Success);
    bench.polls(polls + 5).await;
    let asked = bench.asked_since(since + Duration::from_secs(1));
    assert!(asked.iter().all(|(_, range, _)| range.width() == 600), "only the overlap is read: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn retries_stay_within_the_poll_and_are_counted() {
    let (bench, mut poller) = Bench::new(1, vec![active("a", -10)]);
    let fault = ApiError::ServerError { status: 502, retry_after: None, message: None };
    bench.fake.world().faults.extend([fault.clone(), fault]);
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    assert_eq!((poller.own.api_retries, poller.own.api_requests.get(Outcome::ServerError)), (2, 2));
    assert!(poller.own.up);
    bench.fake.world().down = Some(ApiError::Connect { why: "refused".into() });
    let began = Instant::now();
    poller.poll(poller.deadlines(began)).await.unwrap_err();
    assert!(began.elapsed() <= Duration::from_secs(48), "{:?}", began.elapsed());
    assert!(!poller.own.up);
}

#[tokio::test(start_paused = true)]
async fn refusals_are_not_retried_and_slow_polling_down() {
    let mut bench = Bench::running(1, vec![active("a", -10)]);
    bench.polls(1).await;
    let since = bench.fake.clock.0.elapsed() + Duration::from_secs(30);
    bench.fake.world().down = Some(ApiError::Unauthorized { status: 401, message: None });
    let snapshot = bench.until(|snapshot| snapshot.own.polls.get(PollResult::Failure) >= 8).await;
    assert_eq!(snapshot.own.api_retries, 0);
    let asked: Vec<u64> = bench.asked_since(since).iter().map(|(at, ..)| (*at - since).as_secs()).collect();
    let gaps: Vec<u64> = asked.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps[..4], [60; 4], "one request a poll");
    assert!(gaps[4..].iter().all(|gap| (600..=661).contains(gap)), "{gaps:?}");

    bench.fake.world().secret_changed = true;
    bench.fake.world().down = None;
    let before = bench.fake.clock.0.elapsed();
    bench.until(|snapshot| snapshot.own.up).await;
    assert!(bench.fake.clock.0.elapsed() - before <= Duration::from_secs(71), "a new secret is tried soon");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_into_the_next_polls() {
    let mut bench = Bench::running(1, vec![active("a", -10)]);
    bench.polls(1).await;
    bench.fake.world().faults.push_back(ApiError::RateLimited { retry_after: Some(Duration::from_secs(300)) });
    bench.until(|snapshot| snapshot.own.api_requests.get(Outcome::RateLimited) == 1).await;
    let since = bench.fake.clock.0.elapsed();
    let snapshot = bench.until(|snapshot| snapshot.own.up).await;
    assert!(snapshot.own.polls.get(PollResult::Failure) >= 4);
    let asked = bench.asked_since(since + Duration::from_millis(1));
    assert!(asked[0].0 >= since + Duration::from_secs(299), "{:?} after {since:?}", asked[0].0);
}

#[tokio::test(start_paused = true)]
async fn too_wide_ranges_are_halved_and_the_width_remembered() {
    let (bench, mut poller) = Bench::new(1, history(200, 1));
    bench.fake.world().widest = Some(200);
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    for _ in 0..5 {
        advance(Duration::from_secs(60)).await;
        poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    }
    assert!(poller.ledger.is_counting());
    assert_eq!(poller.ledger.len(), 200);
    let refused = poller.own.api_requests.get(Outcome::InvalidRequest);
    assert!(refused <= 4, "{refused} refused");
}

#[tokio::test(start_paused = true)]
async fn too_wide_is_not_what_fails_for_a_minute_too() {
    let (bench, mut poller) = Bench::new(1, Vec::new());
    bench.fake.world().widest = Some(-1);
    let error = poller.poll(poller.deadlines(Instant::now())).await.unwrap_err();
    assert!(error.is_refusal());
    assert_eq!(bench.asked_since(Duration::ZERO).len(), 2, "the stretch, and a minute of it");
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_fails_half_way_keeps_what_it_learnt() {
    let (bench, mut poller) = Bench::new(1, vec![active("a", -1)]);
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    bench.fake.world().records.extend((0..120).map(|n| active(&format!("b{n}"), n / 10 + 30)));
    bench.fake.world().refused_page = Some(2);
    advance(Duration::from_secs(60)).await;
    poller.poll(poller.deadlines(Instant::now())).await.unwrap_err();
    assert_eq!(poller.ledger.len(), 50, "the first page, in which all but one are new");
    bench.fake.world().refused_page = None;
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    assert_eq!(poller.ledger.len(), 121);
    assert_eq!(poller.own.records.get(RecordResult::New), 121);
}

#[tokio::test(start_paused = true)]
async fn catch_up_after_downtime_closes_the_gap_while_the_newest_stays_fresh() {
    let mut bench = Bench::running(1, (0..6 * HOUR).step_by(30).map(|n| active(&format!("a{n}"), n)).collect());
    bench.polls(1).await;
    bench.fake.world().down = Some(ApiError::Connect { why: "down".into() });
    let outage = Duration::from_secs(3 * 3600);
    bench.until(|snapshot| snapshot.taken_at >= UnixMillis::from_seconds(BEGIN + 3 * HOUR)).await;
    bench.fake.world().down = None;
    let snapshot = bench.until(|snapshot| snapshot.own.up).await;
    let complete = snapshot.own.data_complete.unwrap().seconds();
    assert!(complete < BEGIN + HOUR, "it does not claim what it has not read");
    let snapshot =
        bench.until(|snapshot| snapshot.own.data_complete.unwrap().seconds() > BEGIN + outage.as_secs() as i64).await;
    let now = snapshot.own.data_complete.unwrap().seconds() - BEGIN;
    assert_eq!(started(&snapshot) as i64, now / 30 + 1, "each exactly once");
    assert_eq!(snapshot.own.abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn a_large_initial_range_leaves_no_debt_to_catch_up() {
    let (bench, mut poller) = Bench::new(24, history(10_000, 24));
    while !poller.ledger.is_counting() {
        poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    }
    let two_hours = 2 * HOUR;
    advance(Duration::from_secs(two_hours.unsigned_abs())).await;
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    let complete = bench.snapshots.borrow().own.data_complete.unwrap();
    assert!(complete.seconds() >= BEGIN + two_hours, "{complete}");
}

#[tokio::test(start_paused = true)]
async fn sweep_finds_what_was_listed_late() {
    let mut bench = Bench::running(24, history(100, 24));
    bench.polls(1).await;
    let late = closed(&Conversation { id: "late".into(), ..active("", -5 * HOUR) }, 10);
    bench.fake.world().records.push(late);
    let snapshot = bench.until(|snapshot| snapshot.own.last_sweep.is_some()).await;
    assert_eq!(started(&snapshot), 101);
    assert!(snapshot.taken_at.seconds() >= BEGIN + 6 * HOUR);
}

#[tokio::test(start_paused = true)]
async fn a_stretch_that_always_fails_does_not_hold_up_the_others() {
    let (bad, good) = (active("bad", -10 * HOUR), active("good", -5 * HOUR));
    let mut records = history(2000, 24);
    records.extend([bad, good.clone()]);
    let mut bench = Bench::running(24, records);
    bench.until(|snapshot| snapshot.own.up).await;
    let around = BEGIN - 10 * HOUR;
    bench.fake.world().poison = Some(Range::new(around - 5, around + 5));
    let polls = bench.until(|snapshot| !snapshot.own.up).await.own.polls.get(PollResult::Failure);
    assert_eq!(polls, 1);
    bench.fake.world().records.retain(|record| record.id != good.id);
    bench.fake.world().records.push(closed(&good, 300));
    let snapshot = bench.until(|snapshot| ended(snapshot) == 2001).await;
    assert!(!snapshot.own.up, "the poll as a whole is a failure as long as one stretch fails");
}

#[tokio::test(start_paused = true)]
async fn retry_after_beyond_all_reason_is_cut_to_a_day() {
    let (bench, mut poller) = Bench::new(1, vec![active("a", -10)]);
    bench.fake.world().faults.push_back(ApiError::RateLimited { retry_after: Some(Duration::from_secs(u64::MAX)) });
    poller.poll(poller.deadlines(Instant::now())).await.unwrap_err();
    advance(Duration::from_secs(86_401)).await;
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn retry_after_with_an_error_of_one_page_ends_the_poll() {
    let (bench, mut poller) = Bench::new(1, vec![active("a", -10)]);
    let retry_after = Some(Duration::from_secs(3600));
    for status in [500, 503] {
        bench.fake.world().faults.push_back(ApiError::ServerError { status, retry_after, message: None });
        let began = Instant::now();
        poller.poll(poller.deadlines(began)).await.unwrap_err();
        assert!(began.elapsed() <= Duration::from_secs(60), "{:?}", began.elapsed());
        advance(Duration::from_secs(3601)).await;
    }
    // The same where other parts and other stretches wait.
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    bench.fake.world().records.push(active("b", -1800));
    poller.plan.too_wide(Range::new(0, 600));
    bench.fake.world().faults.push_back(ApiError::ServerError { status: 503, retry_after, message: None });
    let began = Instant::now();
    poller.poll(poller.deadlines(began)).await.unwrap_err();
    assert!(began.elapsed() <= Duration::from_secs(60), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn zero_line_is_drawn_even_if_the_initial_range_is_the_whole_horizon() {
    // The newest stretch has several pages: when the first slice is asked for, the horizon has moved on.
    let newest = (0..200).map(|n| active(&format!("n{n}"), -n));
    let mut bench = Bench::running(7 * 24, history(1000, 7 * 24).into_iter().chain(newest).collect());
    let snapshot = bench.until(|snapshot| snapshot.conversations.is_some()).await;
    assert!(started(&snapshot) >= 1198, "{}", started(&snapshot));
    assert_eq!(snapshot.own.abandoned, 0, "counting had not begun");
}

#[tokio::test(start_paused = true)]
async fn too_wide_is_not_what_fails_otherwise_for_a_minute() {
    let (bench, mut poller) = Bench::new(1, vec![active("a", -10)]);
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    let before = bench.asked_since(Duration::ZERO).len();
    bench.fake.world().faults.extend([
        ApiError::InvalidRequest { status: 422, message: None },
        ApiError::Unauthorized { status: 403, message: None },
    ]);
    poller.poll(poller.deadlines(Instant::now())).await.unwrap_err();
    assert_eq!(bench.asked_since(Duration::ZERO).len(), before + 2, "an upstream that refuses is left alone");
    assert_eq!(poller.plan.parts(Range::new(0, 600)).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn step_of_the_local_clock_neither_loses_nor_repeats_anything() {
    for step in [8 * 24 * HOUR, -8 * 24 * HOUR] {
        let open = active("open", -5 * HOUR);
        let (bench, mut poller) = Bench::new(24, [history(100, 24), vec![open.clone()]].concat());
        poller.poll(poller.deadlines(Instant::now())).await.unwrap();
        for off in [0, step * 1000, step * 1000, 0, 0] {
            bench.off.store(off, Ordering::SeqCst);
            advance(Duration::from_secs(60)).await;
            let asked = bench.asked_since(Duration::ZERO).len();
            let _ = poller.poll(poller.deadlines(Instant::now())).await;
            let asked = bench.asked_since(Duration::ZERO).len() - asked;
            assert!(asked < 8 || off != 0, "{asked} requests");
            let complete = poller.own.data_complete.unwrap();
            assert!(complete <= bench.fake.clock.now(), "{complete:?} with the clock off by {off}");
        }
        assert_eq!((poller.own.abandoned, poller.ledger.tallies().aged_out), (0, 0));
        assert_eq!(poller.ledger.len(), 101);
        bench.fake.world().records.push(closed(&open, 300));
        bench.fake.world().records.retain(|record| record.id != open.id || record.end.is_some());
        advance(Duration::from_secs(60)).await;
        poller.poll(poller.deadlines(Instant::now())).await.unwrap();
        assert_eq!(ended(&bench.snapshots.borrow()), 101);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stretch_that_always_fails_does_not_hold_up_sweep_and_catch_up() {
    let mut bench = Bench::running(24, [history(100, 24), vec![active("bad", -10 * HOUR)]].concat());
    bench.polls(1).await;
    let around = BEGIN - 10 * HOUR;
    bench.fake.world().poison = Some(Range::new(around - 5, around + 5));
    let snapshot = bench.until(|snapshot| snapshot.own.last_sweep.is_some()).await;
    assert!(!snapshot.own.up);
}

#[tokio::test(start_paused = true)]
async fn once_repeats_failed_requests_however_long_the_initial_range_takes() {
    let (bench, poller) = Bench::new(24, history(10_000, 24));
    let once = tokio::spawn(poller.once());
    tokio::time::sleep(Duration::from_secs(90)).await;
    bench.fake.world().faults.push_back(ApiError::RateLimited { retry_after: Some(Duration::from_secs(5)) });
    once.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_old_stretch_that_is_refused_is_no_refusal_of_the_poll() {
    let (bad, good) = (active("bad", -10 * HOUR), active("good", -5 * HOUR));
    let mut records = history(2000, 24);
    records.extend([bad, good.clone()]);
    let mut bench = Bench::running(24, records);
    bench.until(|snapshot| snapshot.own.up && snapshot.own.unsettled == 2).await;
    let around = BEGIN - 10 * HOUR;
    bench.fake.world().refused_range = Some(Range::new(around - 5, around + 5));
    bench.fake.world().records.retain(|record| record.id != good.id);
    bench.fake.world().records.push(closed(&good, 300));
    let failures = bench.until(|snapshot| snapshot.own.polls.get(PollResult::Failure) == 8).await;
    assert_eq!(ended(&failures), 2001, "the other stretch was read");
    let asked = bench.asked_since(Duration::ZERO);
    let newest: Vec<u64> =
        asked.iter().filter(|(_, range, _)| range.width() == 600).map(|(at, ..)| at.as_secs()).collect();
    assert!(
        newest.windows(2).rev().take(6).all(|pair| pair[1] - pair[0] == 60),
        "polling does not slow down: {newest:?}"
    );
}

/// A local clock that was never set must not make a burst of what started since the time that it shows.
#[tokio::test(start_paused = true)]
async fn zero_line_covers_what_lies_ahead_of_the_local_clock() {
    let (mut bench, poller) = Bench::new(25, vec![active("a", -12 * HOUR)]);
    bench.off.store(-24 * HOUR * 1000, Ordering::SeqCst);
    tokio::spawn(poller.run());
    let first = bench.until(|snapshot| snapshot.conversations.is_some()).await;
    assert_eq!(started(&first), 1);
}

/// One span a poll, and within it one for each request, fold and commit, with what went wrong.
#[tokio::test(start_paused = true)]
async fn traces_tell_of_polls_requests_and_folds() {
    let (bench, mut poller) = Bench::new(1, vec![active("secret-id", -60)]);
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
    poller.traces = Traces::new(BoxedTracer::new(Box::new(provider.tracer("test"))));
    bench.fake.world().faults = [ApiError::RateLimited { retry_after: None }].into();
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();

    let spans = spans.get_finished_spans().unwrap();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let [poll] = named("poll")[..] else { panic!("{spans:?}") };
    let (requests, folds) = (named("request"), named("fold"));
    assert_eq!(requests.len() + folds.len() + 1, spans.len());
    assert!(requests.len() >= 2 && !folds.is_empty());
    for span in requests.iter().chain(&folds) {
        assert_eq!(span.parent_span_id, poll.span_context.span_id());
    }
    let value = |span: &SpanData, key: &str| {
        span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
    };
    assert_eq!(value(requests[0], "http.response.status_code").as_deref(), Some("429"));
    assert_eq!(value(requests[0], "http.request.resend_count").as_deref(), Some("0"));
    assert_eq!(requests[0].status, Status::error("rate_limited"));
    assert_eq!(value(requests[1], "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(value(requests[1], "http.request.resend_count").as_deref(), Some("1"));
    assert_eq!(value(requests[1], "jelou.page").as_deref(), Some("1"));
    assert_eq!(value(poll, "jelou.conversations.new").as_deref(), Some("1"));
    assert!(!format!("{spans:?}").contains("secret-id"));
}

#[tokio::test(start_paused = true)]
async fn step_of_the_local_clock_during_a_walk_completes_nothing_ahead_of_time() {
    for (before, after) in [(4 * 24 * HOUR, 0), (0, 4 * 24 * HOUR)] {
        // The newest stretch has several pages, each half a second after the other.
        let (bench, mut poller) = Bench::new(1, (0..300).map(|n| active(&format!("a{n}"), -n)).collect());
        poller.poll(poller.deadlines(Instant::now())).await.unwrap();
        advance(Duration::from_secs(60)).await;
        bench.off.store(before * 1000, Ordering::SeqCst);
        let put_right = async {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            bench.off.store(after * 1000, Ordering::SeqCst);
        };
        let (_, ()) = tokio::join!(poller.poll(poller.deadlines(Instant::now())), put_right);
        let complete = poller.own.data_complete.unwrap();
        assert!(complete <= bench.fake.clock.now(), "{complete:?} with the clock set from {before} to {after} s off");
    }
}

#[tokio::test(start_paused = true)]
async fn each_poll_is_remembered_with_what_it_did() {
    let open = active("open", -600);
    let (bench, mut poller) = Bench::new(1, vec![open.clone(), active("new", -10)]);
    let fault = ApiError::ServerError { status: 502, retry_after: None, message: None };
    bench.fake.world().faults.push_back(fault);
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    advance(Duration::from_secs(60)).await;
    bench.fake.world().records = vec![Conversation { reply: Some(5000), ..closed(&open, 5) }];
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    advance(Duration::from_secs(60)).await;
    bench.fake.world().down = Some(ApiError::Unauthorized { status: 401, message: Some("who is Maria".into()) });
    poller.poll(poller.deadlines(Instant::now())).await.unwrap_err();

    let shown = Arc::clone(&bench.snapshots.borrow());
    let polls: Vec<_> = shown.own.history.recent().collect();
    assert_eq!(polls.iter().map(|poll| poll.number).collect::<Vec<_>>(), [1, 2, 3]);
    let [first, second, third] = polls[..] else { panic!() };
    assert_eq!(first.began, UnixMillis::from_seconds(BEGIN));
    assert_eq!((first.work.retries, first.work.requests.get(Outcome::ServerError)), (1, 1));
    assert_eq!((first.work.events.started, first.work.events.ended), (2, 0));
    assert!(first.took > 0 && first.failure.is_none());
    assert_eq!((second.work.retries, second.work.events.started), (0, 0));
    assert_eq!((second.work.events.replied, second.work.events.ended), (1, 1));
    let failure = third.failure.as_ref().unwrap();
    assert_eq!((failure.kind, failure.refused, third.work.requests.total()), ("unauthorized", true, 1));
    assert!(failure.why.contains("check api.client_id") && !failure.why.contains("Maria"), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_still_to_be_read_is_shown_while_the_initial_range_is_read() {
    let mut bench = Bench::running(24, history(10_000, 24));
    let before = bench.polls(1).await;
    assert!(before.conversations.is_none());
    let to_read = before.own.to_read;
    assert_eq!(to_read.whole, 24 * 3600);
    assert!(to_read.unread > 3600 && to_read.unread < to_read.whole, "{to_read:?}");
    let after = bench.until(|snapshot| snapshot.conversations.is_some()).await;
    assert_eq!(after.own.to_read.unread, 0);
    // What catch-up and sweep do later belongs to the poll before them.
    let swept = bench.until(|snapshot| snapshot.own.last_sweep.is_some()).await;
    assert!(swept.own.history.recent().any(|poll| poll.slow_work.requests.total() > 0));
}

/// Settings for whoever polls, of another kind each than the bench's own.
fn other_settings(upstream: Option<Fake>) -> Update<Fake> {
    let layout = Arc::new(Layout::new([1000], 3));
    Update {
        settings: PollerSettings { interval: Duration::from_secs(5), requests_per_second: 10.0, page_size: 20 },
        ledger: LedgerSettings {
            reply: Arc::clone(&layout),
            duration: layout,
            reply_target: 1000,
            excluded_origins: vec![Origin::Organic],
            recent_window: 60_000,
            max_label_sets: 100,
            stale_after: 900_000,
            count_initial: false,
        },
        plan: PlanSettings {
            interval: 5,
            overlap: 60,
            horizon: 24 * HOUR,
            sweep_interval: HOUR,
            initial_lookback: HOUR,
        },
        upstream,
        changed: ["poll.interval"].into(),
    }
}

#[tokio::test(start_paused = true)]
async fn new_settings_hold_between_two_polls() {
    let (mut bench, poller) = Bench::new(1, vec![active("a", -10), active("b", -100)]);
    let updates = poller.updates();
    tokio::spawn(poller.run());
    bench.polls(1).await;
    let before = bench.fake.clock.0.elapsed();
    updates.put(other_settings(Some(bench.fake.clone())));
    let snapshot = bench.until(|snapshot| snapshot.own.poll_interval == 5000).await;
    assert!(bench.fake.clock.0.elapsed() - before < Duration::from_secs(1), "they do not wait for the next poll");
    assert_eq!((snapshot.own.reply_target, snapshot.own.recent_window, started(&snapshot)), (1000, 60_000, 2));
    let moments = snapshot.conversations.as_ref().unwrap().moments.as_ref().unwrap();
    assert_eq!((moments[0].active, moments[0].waiting), (2, 0));
    bench.polls(4).await;
    let took = bench.fake.clock.0.elapsed() - before;
    assert!(took < Duration::from_secs(30), "{took:?}");
    let narrow = bench.asked_since(before).iter().any(|(_, range, _)| range.width() <= 65);
    assert!(narrow, "the new overlap holds");
}

#[tokio::test(start_paused = true)]
async fn settings_that_say_nothing_of_the_api_do_not_end_the_silence_after_refusals() {
    let (mut bench, poller) = Bench::new(1, vec![active("a", -10)]);
    let updates = poller.updates();
    tokio::spawn(poller.run());
    bench.polls(1).await;
    bench.fake.world().down = Some(ApiError::Unauthorized { status: 401, message: None });
    bench.until(|snapshot| snapshot.own.polls.get(PollResult::Failure) >= 6).await;
    let slow = bench.fake.clock.0.elapsed();
    updates.put(other_settings(None));
    bench.until(|snapshot| snapshot.own.poll_interval == 5000).await;
    bench.until(|snapshot| snapshot.own.polls.get(PollResult::Failure) >= 8).await;
    let took = bench.fake.clock.0.elapsed() - slow;
    assert!(took >= Duration::from_secs(1100), "{took:?}");
    // Another upstream is tried at once, whatever is put behind it.
    let slow = bench.fake.clock.0.elapsed();
    updates.put(other_settings(Some(bench.fake.clone())));
    updates.put(other_settings(None));
    bench.until(|snapshot| snapshot.own.polls.get(PollResult::Failure) >= 9).await;
    let took = bench.fake.clock.0.elapsed() - slow;
    assert!(took <= Duration::from_secs(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_the_silence_of_who_asked_for_it() {
    for (url, waits) in [("https://api.test/other", true), ("https://other.test/conversations", false)] {
        let (mut bench, poller) = Bench::new(1, vec![active("a", -10)]);
        let updates = poller.updates();
        tokio::spawn(poller.run());
        bench.polls(1).await;
        bench.fake.world().faults.push_back(ApiError::RateLimited { retry_after: Some(Duration::from_secs(3600)) });
        bench.until(|snapshot| !snapshot.own.up && snapshot.own.polls.total() > 1).await;
        let since = bench.fake.clock.0.elapsed();
        updates.put(other_settings(Some(Fake { url, ..bench.fake.clone() })));
        bench.until(|snapshot| snapshot.own.up).await;
        let took = bench.fake.clock.0.elapsed() - since;
        assert_eq!(took > Duration::from_secs(3000), waits, "{url}: {took:?}");
    }
}
