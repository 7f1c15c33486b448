//! Settings that change while it polls: handed over between two polls, so that no poll is by two rules.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tracing::info;

use super::{Poller, PollerSettings, Upstream};
use crate::domain::ledger::LedgerSettings;
use crate::domain::plan::PlanSettings;

/// Settings to go on by, ready to be used.
#[derive(Debug)]
pub struct Update<U> {
    /// How it polls.
    pub settings: PollerSettings,
    /// How it counts.
    pub ledger: LedgerSettings,
    /// What it asks for.
    pub plan: PlanSettings,
    /// Whom it asks, unless that is the same as before.
    pub upstream: Option<U>,
    /// The settings that are others now, by their keys.
    pub changed: BTreeSet<&'static str>,
}

/// Hands updates to a poller.
#[derive(Debug)]
pub struct Updates<U>(Arc<Slot<U>>);

#[derive(Debug)]
struct Slot<U> {
    newest: Mutex<Option<Update<U>>>,
    came: Notify,
}

impl<U> Clone for Updates<U> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<U> Updates<U> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Slot { newest: Mutex::default(), came: Notify::new() }))
    }

    /// The poller goes on by this as soon as it is between two polls; one that still waits is replaced, but for what only
    /// it tells: the upstream, and what it changed.
    pub fn put(&self, mut update: Update<U>) {
        let mut newest = self.0.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiting) = newest.take() {
            update.upstream = update.upstream.or(waiting.upstream);
            update.changed.extend(waiting.changed);
        }
        *newest = Some(update);
        drop(newest);
        self.0.came.notify_one();
    }

    fn take(&self) -> Option<Update<U>> {
        self.0.newest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until one may have come.
    pub(super) async fn came(&self) {
        self.0.came.notified().await;
    }
}

impl<U: Upstream> Poller<U> {
    /// Where updates are handed in.
    pub fn updates(&self) -> Updates<U> {
        self.updates.clone()
    }

    /// Goes on by what was handed in, if anything was, as a start with these settings would on the same state.
    pub(super) fn take_update(&mut self) -> bool {
        let Some(Update { settings, ledger, plan, upstream, changed }) = self.updates.take() else { return false };
        self.own.reply_target = ledger.reply_target;
        self.own.recent_window = ledger.recent_window.unsigned_abs();
        self.own.poll_interval = u64::try_from(settings.interval.as_millis()).unwrap_or(u64::MAX);
        if upstream.is_some() {
            // It may be another server's clock now, and another zone.
            self.own.clock_offset = None;
            self.apart = None;
            self.zone_said = false;
        }
        // What failed before is told anew, should it go on.
        (self.failures, self.slice_failures) = Default::default();
        self.page_rows = settings.page_size;
        self.settings = settings;
        self.ledger.go_on_by(ledger);
        self.plan.go_on_by(plan);
        self.fetcher.go_on_by(upstream, settings.requests_per_second);
        if !changed.is_empty() {
            // Another reload may have been refused meanwhile: it is said which one this is.
            let changed = changed.into_iter().collect::<Vec<_>>().join(", ");
            info!(changed, "the poller goes on by the reloaded settings");
        }
        // A failure is counted and said by the keeper, and ends the next poll before it asks for anything.
        let _ = self.publish();
        true
    }
}
