//! Slow work: closing the gaps that downtime left, and sweeping, in slices between what is due.

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Deadlines, PollError, Poller, Upstream};
use crate::domain::plan::{Slice, SliceEnd};
use crate::streak::News;

/// The share of the request budget that catch-up and sweep may take.
const SLICE_SHARE: f64 = 0.25;

impl<U: Upstream> Poller<U> {
    /// Catch-up and sweep, as far as their share of the budget goes. What fails here fails no poll.
    pub(super) async fn slow_work(&mut self, deadlines: Deadlines) {
        let share = self.settings.interval.as_secs_f64() * self.settings.requests_per_second * SLICE_SHARE;
        self.slice_credit = (self.slice_credit + share).min(share.max(1.0));
        // As with the initial range: at least one in each poll, however long it has taken already.
        let mut first = true;
        while self.slice_credit >= 1.0
            && (std::mem::take(&mut first) || Instant::now() < deadlines.slices)
            && self.ledger.is_counting()
        {
            let now = self.clocks().earlier();
            let Some(slice) = self.plan.catch_up(now).or_else(|| self.plan.sweep(now)) else { break };
            match self.read_slice(slice, deadlines.slices).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.slice_failed(slice, &error);
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
        let end = match &result {
            Ok(()) => SliceEnd::Complete,
            Err(error) if error.may_be_of_one_range() => SliceEnd::Unreadable,
            Err(_) => SliceEnd::Interrupted,
        };
        let swept = self.plan.slice_walked(slice, end, cost, self.clocks_since(began));
        if swept {
            self.own.last_sweep = Some(self.clock.now());
        }
        match result {
            Ok(()) => {
                if let Some((failures, since)) = self.slice_failures.succeeded() {
                    info!(failures, failing_since = %since, "ranges of older conversations can be read again");
                }
                Ok(true)
            }
            Err(error) if error.is_of_one_range() => {
                self.slice_failed(slice, &error);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn slice_failed(&mut self, slice: Slice, error: &PollError) {
        let range = slice.range;
        match self.slice_failures.failed(error.likeness(), self.clock.now()) {
            News::First => {
                warn!(%range, %error, "a range of older conversations could not be read; it is tried again");
            }
            News::StillFailing { failures, since } => {
                warn!(%range, %error, failures, failing_since = %since, "ranges of older conversations still cannot be read");
            }
            News::Again { failures } => {
                debug!(%range, %error, failures, "a range of older conversations could not be read again");
            }
        }
    }

    fn asked(&self) -> u64 {
        self.own.api_requests.iter().map(|(_, count)| count).sum()
    }
}
