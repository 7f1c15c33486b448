//! Connections that end before their time and requests that are refused: counted each, logged once a streak.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::label::{HttpDrop, LabelValue as _};
use crate::live::LiveStats;

/// After so long without another one, the next is news again.
const STREAK_ENDS_AFTER: Duration = Duration::from_secs(300);

/// Events of one kind that follow each other.
#[derive(Debug, Default)]
struct Streak(Mutex<(Option<Instant>, u64)>);

impl Streak {
    /// Whether this one begins a streak, and how many the former one had.
    fn note(&self) -> Option<u64> {
        let mut streak = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, count) = &mut *streak;
        let begins = last.is_none_or(|last| last.elapsed() >= STREAK_ENDS_AFTER);
        *last = Some(Instant::now());
        let former = if begins { std::mem::take(count) } else { 0 };
        *count += 1;
        begins.then_some(former)
    }
}

/// What is kept of such events.
#[derive(Debug)]
pub(super) struct Drops {
    live: Arc<LiveStats>,
    dropped: [Streak; HttpDrop::ALL.len()],
    unauthorized: Streak,
    busy: Streak,
}

impl Drops {
    pub(super) fn new(live: Arc<LiveStats>) -> Self {
        Self { live, dropped: Default::default(), unauthorized: Streak::default(), busy: Streak::default() }
    }

    /// A connection was closed before its time.
    pub(super) fn dropped(&self, why: HttpDrop, detail: &str) {
        self.live.count_dropped(why);
        let reason = why.as_str();
        match self.dropped[why.index()].note() {
            Some(before) => tracing::warn!(
                reason,
                detail,
                before,
                "an HTTP connection was closed before its time; more of the kind are only counted"
            ),
            None => tracing::debug!(reason, detail, "an HTTP connection was closed before its time"),
        }
    }

    /// A request came without a user's name and password that are known.
    pub(super) fn unauthorized(&self) {
        match self.unauthorized.note() {
            Some(before) => tracing::warn!(
                before,
                "a request without valid credentials was refused (401); more of the kind are only counted"
            ),
            None => tracing::debug!("a request without valid credentials was refused"),
        }
    }

    /// A request was refused because too much is going on; `with` says what.
    pub(super) fn busy(&self, with: &str) {
        match self.busy.note() {
            Some(before) => {
                tracing::warn!(
                    with,
                    before,
                    "a request was refused for want of room; more of the kind are only counted"
                );
            }
            None => tracing::debug!(with, "a request was refused for want of room"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_streak_is_told_when_it_begins() {
        let streak = Streak::default();
        assert_eq!(streak.note(), Some(0));
        for _ in 0..3 {
            tokio::time::advance(STREAK_ENDS_AFTER / 2).await;
            assert_eq!(streak.note(), None);
        }
        tokio::time::advance(STREAK_ENDS_AFTER).await;
        assert_eq!(streak.note(), Some(4));
        assert_eq!(streak.note(), None);
    }
}
