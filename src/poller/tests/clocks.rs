//! Clocks that are wrong: the local one, or the upstream's.

use super::*;

const DAY: i64 = 24 * HOUR;

impl Bench {
    /// Sets the local clock off by so many seconds.
    fn set_off(&self, seconds: i64) {
        self.off.store(seconds * 1000, Ordering::SeqCst);
    }

    /// How long ago the data was complete, milliseconds.
    fn incomplete(&self, poller: &Poller<Fake>) -> i64 {
        self.fake.clock.now().since(poller.own.data_complete.unwrap())
    }
}

impl Poller<Fake> {
    async fn poll_at_once(&mut self) -> Result<(), PollError> {
        self.poll(self.deadlines(Instant::now())).await
    }

    async fn poll_in_a_minute(&mut self) -> Result<(), PollError> {
        advance(Duration::from_secs(60)).await;
        self.poll_at_once().await
    }
}

#[tokio::test(start_paused = true)]
async fn forgetting_pairs_waits_until_the_clocks_agree_and_happens_once() {
    let silence = || Some(Silence { longest: 30 * DAY * 1000, told: None });
    let (bench, mut poller) = Bench::new(1, vec![closed(&active("a", -900), 10)]);
    poller.poll_at_once().await.unwrap();
    // Settled, so that the pair is in use no longer.
    poller.poll_in_a_minute().await.unwrap();
    poller.silence = silence();
    for off in [40 * DAY, -40 * DAY] {
        bench.set_off(off);
        let _ = poller.poll_in_a_minute().await;
        assert!(poller.silence.is_some(), "a clock that is off by {off} s tells nothing");
        assert_eq!(poller.ledger.label_sets(), 1);
    }
    bench.set_off(0);
    poller.poll_in_a_minute().await.unwrap();
    assert_eq!((poller.ledger.label_sets(), poller.silence.is_none()), (1, true), "it has not been silent for so long");
    assert_eq!(started(&bench.snapshots.borrow()), 1);

    advance(Duration::from_secs(31 * DAY.unsigned_abs())).await;
    poller.poll_at_once().await.unwrap();
    assert_eq!(poller.ledger.label_sets(), 1, "it happens once in a process");
    poller.silence = silence();
    poller.poll_in_a_minute().await.unwrap();
    assert_eq!(poller.ledger.label_sets(), 0);
    assert_eq!(started(&bench.snapshots.borrow()), 0);
}

/// A process anew, with a local clock that is off; and where the conversations of the last day are found.
fn begun(off: i64, count_initial: bool) -> (Bench, Poller<Fake>) {
    let records = (1..24).map(|hour| closed(&active(&format!("h{hour}"), -hour * HOUR), 5)).collect();
    let (bench, mut poller) = Bench::new(24, records);
    bench.set_off(off);
    let initial = BEGIN + off - DAY;
    let settings = poller.plan.settings();
    poller.plan = Plan::new(settings, initial);
    let mut rules = other_settings(None).ledger;
    rules.count_initial = count_initial;
    poller.ledger = Ledger::new(rules, poller.clock.now(), UnixMillis::from_seconds(initial));
    (bench, poller)
}

#[tokio::test(start_paused = true)]
async fn zero_line_is_drawn_though_the_local_clock_was_ahead_when_the_state_was_made() {
    for off in [HOUR, 2 * DAY, 400 * DAY] {
        let (bench, mut poller) = begun(off, true);
        poller.poll_at_once().await.unwrap();
        let snapshot = Arc::clone(&bench.snapshots.borrow());
        assert!(snapshot.is_ready(), "{off} s ahead");
        assert_eq!(started(&snapshot), 23, "all of the lookback, {off} s ahead");
        let begin = UnixMillis::from_seconds(BEGIN - DAY);
        let pairs = &snapshot.conversations.as_ref().unwrap().pairs;
        assert!(pairs.iter().all(|pair| pair.start.since(begin).abs() < 2000), "{off} s ahead: {:?}", pairs[0].start);
        // What starts now is found in the next poll, and when the clock is right again.
        for (id, off) in [("a", off), ("b", 0)] {
            bench.set_off(off);
            let second = bench.fake.clock.0.elapsed().as_secs();
            bench.fake.world().records.push(active(id, i64::try_from(second).unwrap() + 30));
            poller.poll_in_a_minute().await.unwrap();
            assert_eq!(started(&bench.snapshots.borrow()), if id == "a" { 24 } else { 25 });
        }
        assert_eq!(poller.own.abandoned, 0);
        assert!(bench.incomplete(&poller) < 5000, "{off} s ahead");
    }
}

#[tokio::test(start_paused = true)]
async fn zero_line_is_drawn_by_a_state_that_was_spoilt_by_a_clock_ahead() {
    let (bench, mut poller) = begun(2 * DAY, false);
    poller.plan = Plan::restore(poller.plan.settings(), poller.plan.kept()).unwrap();
    bench.set_off(0);
    poller.poll_at_once().await.unwrap();
    assert!(bench.snapshots.borrow().is_ready());
    assert_eq!((started(&bench.snapshots.borrow()), poller.ledger.len()), (0, 23));
}

#[tokio::test(start_paused = true)]
async fn successful_poll_is_none_before_the_time_from_which_on_is_read() {
    let (bench, mut poller) = begun(0, false);
    poller.poll_at_once().await.unwrap();
    poller.plan.raise_floor(BEGIN + DAY);
    let error = poller.poll_in_a_minute().await.unwrap_err();
    assert!(matches!(error, PollError::Future { .. }) && error.to_string().contains("clock"), "{error}");
    assert!(!bench.snapshots.borrow().own.up);
}

#[tokio::test(start_paused = true)]
async fn the_newest_stretches_stay_narrow_where_the_local_clock_is_far_behind() {
    let (bench, mut poller) = begun(-60 * DAY, false);
    while !poller.ledger.is_counting() {
        poller.poll_in_a_minute().await.unwrap();
    }
    // What was found has ended and is read once more.
    poller.poll_in_a_minute().await.unwrap();
    let since = bench.fake.clock.0.elapsed() + Duration::from_secs(1);
    for minute in 0..20 {
        let second = bench.fake.clock.0.elapsed().as_secs();
        bench.fake.world().records.push(active(&format!("m{minute}"), i64::try_from(second).unwrap() + 30));
        poller.poll_in_a_minute().await.unwrap();
    }
    assert_eq!(started(&bench.snapshots.borrow()), 20);
    let widest = bench.asked_since(since).iter().map(|(_, range, _)| range.width()).max();
    assert_eq!(widest, Some(600));
    // Put right, it finds nothing that was missed, and says so of nothing.
    bench.set_off(0);
    let since = bench.fake.clock.0.elapsed() + Duration::from_secs(1);
    poller.poll_in_a_minute().await.unwrap();
    poller.poll_in_a_minute().await.unwrap();
    assert_eq!(poller.own.abandoned, 0);
    assert!(bench.incomplete(&poller) < 5000);
    // A sweep is due by the local clock, and goes back to the horizon.
    let oldest = bench.asked_since(since).iter().map(|(_, range, _)| range.start).min().unwrap();
    assert!(oldest >= BEGIN - 7 * DAY, "{} s", oldest - BEGIN);
}
