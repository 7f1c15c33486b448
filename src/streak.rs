//! Failures in a row: the first of a kind is told in full, those after it are counted and told now and then.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::time::UnixMillis;

/// How often failures that go on are told of.
const REMINDER: Duration = Duration::from_secs(600);

/// The failures since the last success.
#[derive(Debug, Default)]
pub(crate) struct Streak(Option<Failing>);

#[derive(Debug)]
struct Failing {
    kind: String,
    failures: u64,
    since: UnixMillis,
    told: Instant,
}

/// What there is to tell of a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Everything: none of its kind came right before.
    First,
    /// That it goes on: it was not told of for a while.
    StillFailing {
        /// Failures in a row, of whatever kind.
        failures: u64,
        /// When the first of them was.
        since: UnixMillis,
    },
    /// Nothing that was not told.
    Again {
        /// Failures in a row, of whatever kind.
        failures: u64,
    },
}

impl Streak {
    /// A failure of this kind, at `now`.
    pub(crate) fn failed(&mut self, kind: String, now: UnixMillis) -> News {
        let instant = Instant::now();
        let Some(failing) = &mut self.0 else {
            self.0 = Some(Failing { kind, failures: 1, since: now, told: instant });
            return News::First;
        };
        failing.failures += 1;
        let failures = failing.failures;
        if failing.kind != kind {
            (failing.kind, failing.told) = (kind, instant);
            News::First
        } else if instant - failing.told >= REMINDER {
            failing.told = instant;
            News::StillFailing { failures, since: failing.since }
        } else {
            News::Again { failures }
        }
    }

    /// A success. How many failures it ends, and since when they lasted.
    pub(crate) fn succeeded(&mut self) -> Option<(u64, UnixMillis)> {
        self.0.take().map(|failing| (failing.failures, failing.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_told_once_and_then_every_ten_minutes() {
        let mut streak = Streak::default();
        let since = UnixMillis(5);
        let mut fail = async |kind: &str, after: u64| {
            tokio::time::advance(Duration::from_secs(after)).await;
            streak.failed(kind.to_owned(), since)
        };
        assert_eq!(fail("a", 0).await, News::First);
        assert_eq!(fail("a", 60).await, News::Again { failures: 2 });
        assert_eq!(fail("b", 60).await, News::First);
        assert_eq!(fail("b", 599).await, News::Again { failures: 4 });
        assert_eq!(fail("b", 1).await, News::StillFailing { failures: 5, since });
        assert_eq!(fail("b", 60).await, News::Again { failures: 6 });
        assert_eq!(streak.succeeded(), Some((6, since)));
        assert_eq!(streak.succeeded(), None);
        assert_eq!(streak.failed("b".to_owned(), since), News::First);
    }
}
