//! Failures in a row: the first of a kind is told in full, those after it are counted and told now and then.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::time::UnixMillis;

/// How often failures that go on are told of.
const REMINDER: Duration = Duration::from_secs(600);
/// So many kinds of them are told in full within that time: what somebody else says, nobody knows how often it changes.
const MOST_KINDS: usize = 16;
/// By no more letters is a kind told from others.
const LONGEST_KIND: usize = 500;

/// The failures since the last success.
#[derive(Debug, Default)]
pub(crate) struct Streak(Option<Failing>);

#[derive(Debug)]
struct Failing {
    /// Those that were told in full and when they were last seen, the latest one last. Failures may alternate, as where some
    /// of the servers behind an address fail otherwise than the rest.
    kinds: Vec<(String, Instant)>,
    failures: u64,
    since: UnixMillis,
    told: Instant,
}

/// What tells an error's text from others: its words, without ports, counts, times and the like, but with the status of HTTP.
pub(crate) fn likeness(text: &str) -> String {
    let mut kind = String::new();
    let mut before = "";
    for word in text.split_inclusive(char::is_whitespace) {
        let is_status = before.trim_end().ends_with("HTTP");
        kind.extend(word.chars().filter(|char| is_status || !char.is_ascii_digit()));
        before = word;
        if kind.len() > LONGEST_KIND {
            break;
        }
    }
    kind
}

/// What there is to tell of a failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Everything: none of its kind came of late.
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
        let failing =
            self.0.get_or_insert_with(|| Failing { kinds: Vec::new(), failures: 0, since: now, told: instant });
        failing.failures += 1;
        if failing.is_news(kind, instant) {
            failing.told = instant;
            return News::First;
        }
        let failures = failing.failures;
        if instant - failing.told < REMINDER {
            return News::Again { failures };
        }
        failing.told = instant;
        News::StillFailing { failures, since: failing.since }
    }

    /// A success. How many failures it ends, and since when they lasted.
    pub(crate) fn succeeded(&mut self) -> Option<(u64, UnixMillis)> {
        self.0.take().map(|failing| (failing.failures, failing.since))
    }
}

impl Failing {
    /// Whether a failure of this kind is to be told in full. It is remembered then.
    fn is_news(&mut self, kind: String, now: Instant) -> bool {
        // The latest one is no news however long ago it was: whoever is refused asks less often.
        let latest = self.kinds.pop();
        self.kinds.retain(|(_, seen)| now - *seen <= REMINDER);
        self.kinds.extend(latest);
        let known = self.kinds.iter().position(|(known, _)| *known == kind).map(|at| self.kinds.remove(at));
        if known.is_none() && self.kinds.len() >= MOST_KINDS {
            return false;
        }
        self.kinds.push((kind, now));
        known.is_none()
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
    #[tokio::test(start_paused = true)]
    async fn failures_that_alternate_are_told_once_each() {
        let mut streak = Streak::default();
        let since = UnixMillis(5);
        let mut fail = async |kind: &str| {
            tokio::time::advance(Duration::from_secs(60)).await;
            streak.failed(kind.to_owned(), since)
        };
        assert_eq!([fail("502").await, fail("503").await], [News::First, News::First]);
        for failures in 3..12 {
            assert_eq!(fail(if failures % 2 == 0 { "503" } else { "502" }).await, News::Again { failures });
        }
        assert_eq!(fail("503").await, News::StillFailing { failures: 12, since }, "ten minutes after the last word");
        assert_eq!(fail("timeout").await, News::First);
        for failures in 14..24 {
            assert_eq!(
                fail("timeout").await,
                if failures == 23 { News::StillFailing { failures, since } } else { News::Again { failures } }
            );
        }
        assert_eq!(fail("503").await, News::First, "it has not been seen for so long that it says something");
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_is_another_one_each_time_does_not_fill_the_log() {
        let mut streak = Streak::default();
        let mut told = 0;
        for number in 0..600 {
            tokio::time::advance(Duration::from_secs(1)).await;
            told += usize::from(!matches!(streak.failed(number.to_string(), UnixMillis(5)), News::Again { .. }));
        }
        assert_eq!(told, MOST_KINDS);
    }

    #[test]
    fn what_is_alike_differs_in_numbers_only_but_not_in_the_status() {
        assert_eq!(likeness("no answer of 10.0.0.1:80 in 30 s"), likeness("no answer of 10.0.0.2:81 in 9 s"));
        assert_ne!(likeness("HTTP 502: bad"), likeness("HTTP 503: bad"));
        assert_ne!(likeness("refused"), likeness("HTTP 401"));
        assert!(likeness(&"word ".repeat(1_000_000)).len() < 2 * LONGEST_KIND);
    }
}
