//! Slow work: closing the gaps that downtime left, and sweeping, in slices between what is due.

use tokio::time::Instant;
use tracing::warn;

use super::{Deadlines, PollError, Poller, Upstream};
use crate::domain::plan::Slice;

/// The share of the request budget that catch-up and sweep may take.
const SLICE_SHARE: f64 = 0.25;

impl<U: Upstream> Poller<U> {
    /// Catch-up and sweep, as far as their share of the budget goes. What fails here fails no poll.
    pub(super) async fn slow_work(&mut self, deadlines: Deadlines) {
        let share = self.settings.interval.as_secs_f64() * self.settings.requests_per_second * SLICE_SHARE;
        self.slice_credit = (self.slice_credit + share).min(share.max(1.0));
        while self.slice_credit >= 1.0 && Instant::now() < deadlines.slices && self.ledger.is_counting() {
            let now = self.clocks().earlier();
            let Some(slice) = self.plan.catch_up(now).or_else(|| self.plan.sweep(now)) else { break };
            match self.read_slice(slice, deadlines.slices).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    warn!(range = %slice.range, %error, "a slice of older conversations could not be read; it is tried again");
                    break;
                }
            }
        }
    }

    /// Walks a slice; false when it was not complete.
    pub(super) async fn read_slice(&mut self, slice: Slice, retry_until: Instant) -> Result<bool, PollError> {
        let began = (Instant::now(), self.clock.now());
        let asked = self.asked();
        let result = self.read(slice.range, false, retry_until).await;
        let cost = self.asked() - asked;
        self.slice_credit -= cost as f64;
        let swept = self.plan.slice_walked(slice, result.is_ok(), cost, self.clocks_since(began));
        if swept {
            self.own.last_sweep = Some(self.clock.now());
        }
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.is_of_one_range() => {
                warn!(range = %slice.range, %error, "a range of older conversations could not be read; it is tried again");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn asked(&self) -> u64 {
        self.own.api_requests.iter().map(|(_, count)| count).sum()
    }
}
