//! Clocks that are wrong: the local one, or the upstream's.

use super::*;

const DAY: i64 = 24 * HOUR;

impl Bench {
    /// Sets the local clock off by so many seconds.
    fn set_off(&self, seconds: i64) {
        self.off.store(seconds * 1000, Ordering::SeqCst);
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
