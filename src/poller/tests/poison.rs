//! A record that no answer survives, and ranges that are too wide.

use super::*;

/// A poller that has read an open conversation of five hours ago, before a record comes that no answer survives.
async fn poisoned() -> (Bench, Poller<Fake>, Conversation) {
    let open = active("open", -5 * HOUR);
    let (bench, mut poller) = Bench::new(24, [history(2000, 24), vec![open.clone()]].concat());
    while !poller.own.up || !poller.ledger.is_counting() {
        poller.poll(poller.deadlines(Instant::now())).await.unwrap();
        advance(Duration::from_secs(60)).await;
    }
    bench.fake.world().poisonous = Some(bench.fake.clock.now().seconds() - 100);
    (bench, poller, open)
}

#[tokio::test(start_paused = true)]
async fn unsettled_ones_are_read_though_one_record_among_the_newest_always_fails() {
    let (bench, mut poller, open) = poisoned().await;
    bench.fake.world().records.retain(|record| record.id != open.id);
    bench.fake.world().records.push(closed(&open, 300));
    let error = poller.poll(poller.deadlines(Instant::now())).await.unwrap_err();
    assert!(error.is_of_one_range(), "{error}");
    assert_eq!(ended(&bench.snapshots.borrow()), 2001);
    assert!(!bench.snapshots.borrow().own.up);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_always_fails_leaves_time_for_the_unsettled_ones() {
    let (_bench, mut poller, _) = poisoned().await;
    let began = Instant::now();
    poller.read_newest_first(poller.deadlines(began)).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(44), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn too_wide_is_not_what_one_record_makes_fail() {
    let (_bench, mut poller, _) = poisoned().await;
    poller.poll(poller.deadlines(Instant::now())).await.unwrap_err();
    assert_eq!(poller.plan.parts(Range::new(0, 600)), [Range::new(0, 600)], "no width is remembered");
}

#[tokio::test(start_paused = true)]
async fn a_stretch_in_many_parts_ends_with_the_poll_and_the_next_goes_on_with_the_rest() {
    let (bench, mut poller) = Bench::new(24, history(100, 24));
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    // Each minute a request: five hours are more than two polls can take.
    poller.plan.too_wide(Range::new(0, 120));
    let stretch = Range::new(BEGIN - 6 * HOUR, BEGIN - HOUR);
    let mut reached = stretch.start;
    for _ in 0..4 {
        advance(Duration::from_secs(60)).await;
        let began = Instant::now();
        let deadlines = poller.deadlines(began);
        let rest = poller.take_left_over().unwrap_or(stretch);
        assert_eq!(rest, Range::new(reached, stretch.end));
        let since = bench.fake.clock.0.elapsed();
        poller.read_until(rest, false, deadlines.work).await.unwrap();
        assert!(began.elapsed() <= Duration::from_secs(49), "{:?}", began.elapsed());
        reached = bench.asked_since(since).last().unwrap().1.end;
    }
    assert_eq!((reached, poller.left_over), (stretch.end, None));
}

#[tokio::test(start_paused = true)]
async fn a_sweep_of_which_every_slice_fails_has_read_nothing() {
    let mut bench = Bench::running(1, history(100, 1));
    let begin = BEGIN + 6 * HOUR;
    bench.until(|snapshot| snapshot.taken_at.seconds() > begin - 120).await;
    // All but the newest stretch. Minute by minute, thrice each.
    bench.fake.world().poison = Some(Range::new(BEGIN - HOUR, begin - 1000));
    let snapshot = bench.until(|snapshot| snapshot.taken_at.seconds() > begin + 40 * HOUR).await;
    assert_eq!(snapshot.own.last_sweep, None);
    assert!(snapshot.own.up);
    bench.fake.world().poison = None;
    bench.until(|snapshot| snapshot.own.last_sweep.is_some()).await;
}

#[tokio::test(start_paused = true)]
async fn where_finding_out_the_width_takes_all_the_time_each_poll_reads_something() {
    let (bench, mut poller) = Bench::new(24, history(100, 24));
    poller.poll(poller.deadlines(Instant::now())).await.unwrap();
    bench.fake.world().widest_in_time = Some(1800);
    let mut rest = Range::new(BEGIN - 6 * HOUR, BEGIN - HOUR);
    for _ in 0..50 {
        advance(Duration::from_secs(60)).await;
        let deadlines = poller.deadlines(Instant::now());
        poller.read_until(rest, false, deadlines.work).await.unwrap();
        let Some(left_over) = poller.take_left_over() else { return };
        assert!(left_over.start > rest.start, "{left_over} after {rest}");
        rest = left_over;
    }
    panic!("{rest} is still left");
}
