//! One budget for every request to the upstream (promise: never hammered).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// No pause and no spacing is longer: a mistaken `Retry-After` must not silence the exporter for ever.
pub const LONGEST_PAUSE: Duration = Duration::from_hours(24);

/// Even spacing of request starts, on a clock that is handed in. No bursts: the upstream's limit and its scope are
/// second-hand knowledge, and a burst saves nothing over a poll.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    spacing_ms: u64,
    next_ms: u64,
    paused_until_ms: u64,
}

impl Pace {
    /// Spaces requests by 1/`requests_per_second`, rounded up to a millisecond so that the rate is never exceeded.
    pub fn new(requests_per_second: f64) -> Self {
        Self { spacing_ms: Self::spacing(requests_per_second), next_ms: 0, paused_until_ms: 0 }
    }

    fn spacing(requests_per_second: f64) -> u64 {
        let longest = millis(LONGEST_PAUSE);
        // Settings refuse what is no positive rate; should one come through, the slowest pace is the harmless reading.
        if requests_per_second > 0.0 { ((1000.0 / requests_per_second).ceil() as u64).min(longest) } else { longest }
    }

    /// Another rate from `now_ms` on. A pause goes on.
    pub fn set_rate(&mut self, now_ms: u64, requests_per_second: f64) {
        self.spacing_ms = Self::spacing(requests_per_second);
        self.next_ms = self.next_ms.min(now_ms.saturating_add(self.spacing_ms));
    }

    /// Takes the slot and returns 0 if one is free at `now_ms`; else takes nothing and returns how long to wait first.
    ///
    /// A waiter holds no slot, so a pause that begins while it waits holds it back too, and giving up costs nothing.
    pub fn reserve(&mut self, now_ms: u64) -> u64 {
        let wait = self.next_ms.max(self.paused_until_ms).saturating_sub(now_ms);
        if wait == 0 {
            self.next_ms = now_ms.saturating_add(self.spacing_ms);
        }
        wait
    }

    /// Ends a pause: whoever asked for it is not asked any more.
    pub const fn end_pause(&mut self) {
        self.paused_until_ms = 0;
    }

    /// Grants nothing before `until_ms`, at most [`LONGEST_PAUSE`] from now. Never shortens a longer pause.
    pub fn pause_until(&mut self, now_ms: u64, until_ms: u64) {
        self.paused_until_ms = self.paused_until_ms.max(until_ms.min(now_ms.saturating_add(millis(LONGEST_PAUSE))));
    }
}

/// A [`Pace`] on tokio's monotonic clock, to be shared by all who send requests.
#[derive(Debug)]
pub struct Budget {
    origin: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    waited: Duration,
}

impl Budget {
    /// A budget of so many requests a second; fractions below one are fine.
    pub fn new(requests_per_second: f64) -> Self {
        let state = State { pace: Pace::new(requests_per_second), waited: Duration::ZERO };
        Self { origin: Instant::now(), state: Mutex::new(state) }
    }

    /// So many requests a second from here on. Who waits already waits to the end by the old rate.
    pub fn set_rate(&self, requests_per_second: f64) {
        let now = self.at(Instant::now());
        self.state().pace.set_rate(now, requests_per_second);
    }

    /// Waits until a request may start. Dropping the future gives nothing away and takes nothing.
    pub async fn acquire(&self) {
        loop {
            let began = Instant::now();
            let wait = self.state().pace.reserve(self.at(began));
            if wait == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(wait)).await;
            self.state().waited += began.elapsed();
        }
    }

    /// Starts no request before `until` (a `Retry-After`), at most [`LONGEST_PAUSE`] from now.
    pub fn pause_until(&self, until: Instant) {
        let now = self.at(Instant::now());
        // One more for the fraction of a millisecond that is cut off: rather late than early.
        self.state().pace.pause_until(now, self.at(until).saturating_add(1));
    }

    /// Ends a pause.
    pub fn end_pause(&self) {
        self.state().pace.end_pause();
    }

    /// How long callers have waited for the budget in all, pauses included.
    pub fn waited(&self) -> Duration {
        self.state().waited
    }

    fn at(&self, instant: Instant) -> u64 {
        millis(instant.saturating_duration_since(self.origin))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The starts that a caller gets who asks again as soon as it is told to.
    fn starts(pace: &mut Pace, mut now: u64, count: usize) -> Vec<u64> {
        let mut starts = Vec::new();
        while starts.len() < count {
            match pace.reserve(now) {
                0 => starts.push(now),
                wait => now += wait,
            }
        }
        starts
    }

    #[test]
    fn spaces_starts_evenly_without_a_burst() {
        assert_eq!(starts(&mut Pace::new(2.0), 0, 4), [0, 500, 1000, 1500]);
        assert_eq!(starts(&mut Pace::new(0.2), 7, 3), [7, 5007, 10_007]);
        assert_eq!(starts(&mut Pace::new(3.0), 0, 3), [0, 334, 668]);
    }

    #[test]
    fn idleness_saves_nothing_up() {
        let mut pace = Pace::new(2.0);
        assert_eq!(pace.reserve(0), 0);
        assert_eq!(starts(&mut pace, 60_000, 3), [60_000, 60_500, 61_000]);
    }

    #[test]
    fn a_pause_holds_back_also_those_who_wait_already() {
        let mut pace = Pace::new(1.0);
        assert_eq!(pace.reserve(0), 0);
        assert_eq!(pace.reserve(100), 900);
        pace.pause_until(200, 30_000);
        assert_eq!(pace.reserve(1000), 29_000);
        assert_eq!(starts(&mut pace, 30_000, 2), [30_000, 31_000]);
    }

    #[test]
    fn a_shorter_pause_does_not_end_a_longer_one() {
        let mut pace = Pace::new(1.0);
        pace.pause_until(0, 60_000);
        pace.pause_until(0, 1000);
        assert_eq!(pace.reserve(0), 60_000);
    }

    #[test]
    fn no_pause_is_longer_than_a_day() {
        let mut pace = Pace::new(1.0);
        pace.pause_until(5000, u64::MAX);
        assert_eq!(pace.reserve(5000), 86_400_000);
    }

    #[test]
    fn another_rate_holds_at_once_and_ends_no_pause() {
        let mut pace = Pace::new(0.001);
        assert_eq!(pace.reserve(0), 0);
        pace.set_rate(100, 2.0);
        assert_eq!(starts(&mut pace, 100, 2), [600, 1100]);
        pace.pause_until(1200, 60_000);
        pace.set_rate(1200, 10.0);
        assert_eq!(starts(&mut pace, 1200, 2), [60_000, 60_100]);
        pace.set_rate(60_100, 1.0);
        assert_eq!(starts(&mut pace, 60_100, 2), [60_200, 61_200], "a slower rate begins with the next request");
    }

    #[test]
    fn a_rate_that_is_none_is_the_slowest_not_the_fastest() {
        for rate in [0.0, -1.0, f64::NAN, 1e-300] {
            assert_eq!(starts(&mut Pace::new(rate), 0, 2), [0, 86_400_000], "{rate}");
        }
        assert_eq!(starts(&mut Pace::new(f64::INFINITY), 3, 2), [3, 3]);
    }

    #[tokio::test]
    async fn acquire_waits_and_says_how_long() {
        let budget = Budget::new(50.0);
        let began = Instant::now();
        for _ in 0..3 {
            budget.acquire().await;
        }
        assert!(began.elapsed() >= Duration::from_millis(38), "{:?}", began.elapsed());
        assert!(budget.waited() >= Duration::from_millis(36), "{:?}", budget.waited());
        assert!(budget.waited() <= began.elapsed());
    }

    #[tokio::test]
    async fn acquire_obeys_a_pause() {
        let budget = Budget::new(1000.0);
        let until = Instant::now() + Duration::from_millis(30);
        budget.pause_until(until);
        budget.acquire().await;
        assert!(Instant::now() >= until);
    }
}
