//! Between two polls: how long, and what ends it earlier.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::{Poller, Upstream};

/// Refused polls in a row after which polling slows down.
pub(super) const REFUSALS: u32 = 5;
/// How often a refused exporter still asks.
const REFUSED_INTERVAL: Duration = Duration::from_secs(600);

impl<U: Upstream> Poller<U> {
    /// Waits until the next poll is due, by the settings that hold then, after so many refused ones in a row; these are
    /// fewer if what was refused has changed.
    pub(super) async fn rest(&mut self, began: Instant, refusals: u32) -> u32 {
        while self.pause(began + self.settings.interval).await {}
        // Settings that say nothing of the API change nothing about its refusals.
        let mut renewed = self.fetcher.take_new_credentials();
        if refusals < REFUSALS {
            return refusals;
        }
        if refusals == REFUSALS && !renewed {
            warn!(
                every = ?REFUSED_INTERVAL,
                "the upstream has refused {REFUSALS} polls in a row: it is asked less often until the credentials change \
                 or it answers"
            );
        }
        while !renewed && began.elapsed() < REFUSED_INTERVAL && !self.fetcher.credentials_changed().await {
            self.pause(Instant::now() + self.settings.interval.min(Duration::from_secs(10))).await;
            renewed = self.fetcher.take_new_credentials();
        }
        if renewed { REFUSALS - 1 } else { refusals }
    }

    /// Sleeps until then; true if it was woken by settings that hold now.
    async fn pause(&mut self, until: Instant) -> bool {
        loop {
            tokio::select! {
                () = sleep_until(until) => return false,
                () = self.updates.came() => {}
            }
            if self.take_update() {
                return true;
            }
        }
    }
}
