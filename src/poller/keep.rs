//! Commit first, publish second.

use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::{error, info};

use crate::domain::ledger::{Kept, Ledger};
use crate::domain::plan::{KeptPlan, Plan};
use crate::domain::snapshot::{Conversations, Own, Snapshot, Tallies};
use crate::domain::time::UnixMillis;
use crate::store::{Store, StoreError};

use super::traces::Traces;

/// What may be shown of the conversations: what was committed last.
pub(super) struct Shown {
    pub(super) conversations: Option<Conversations>,
    pub(super) tallies: Tallies,
}

impl Shown {
    /// A snapshot of it beside the exporter's own numbers.
    pub(super) fn with(&self, now: UnixMillis, account: &Arc<str>, own: &Own) -> Snapshot {
        Snapshot {
            taken_at: now,
            account: Arc::clone(account),
            conversations: self.conversations.clone(),
            tallies: self.tallies.clone(),
            own: own.clone(),
        }
    }
}

/// Keeps the ledger and the plan in the checkpoint, if there is one.
pub(super) struct Keeper {
    store: Option<Store>,
    /// What was committed last, but for entries and pairs.
    last: Option<(Kept, KeptPlan)>,
    /// Failed commits in a row.
    failed: u64,
}

impl Keeper {
    pub(super) const fn new(store: Option<Store>) -> Self {
        Self { store, last: None, failed: 0 }
    }

    /// Whether everything up to the last attempt is kept.
    pub(super) const fn is_even(&self) -> bool {
        self.failed == 0
    }

    /// Commits what has changed since the last commit; nothing, if that is nothing.
    pub(super) fn keep(
        &mut self,
        ledger: &mut Ledger,
        plan: &Plan,
        own: &mut Own,
        now: UnixMillis,
        traces: &Traces,
    ) -> Result<(), StoreError> {
        let Some(store) = &mut self.store else {
            ledger.committed();
            return Ok(());
        };
        let (changes, plan) = (ledger.changes(), plan.kept());
        let nothing_new = changes.entries.is_empty()
            && changes.gone.is_empty()
            && changes.pairs.is_empty()
            && self.last.as_ref().is_some_and(|(kept, last)| *last == plan && changes.kept.says_no_more_than(kept));
        if nothing_new {
            return Ok(());
        }
        let began = Instant::now();
        let mut span = traces.step("commit");
        span.count("jelou.changes", changes.entries.len() + changes.gone.len());
        let result = blocking(|| store.commit(&changes, &plan));
        let checkpoint = own.checkpoint.get_or_insert_default();
        match &result {
            Ok(()) => {
                if self.failed > 0 {
                    info!(failures = self.failed, "the state can be kept again");
                }
                self.failed = 0;
                self.last = Some((changes.kept, plan));
                checkpoint.last_success = Some(now);
                checkpoint.duration = u64::try_from(began.elapsed().as_millis()).ok();
                checkpoint.size = store.size();
                ledger.committed();
            }
            Err(why) => {
                span.failed(why);
                if self.failed == 0 {
                    error!(error = %why, "the state cannot be kept: what was kept before is served until it can");
                }
                self.failed += 1;
                checkpoint.failures += 1;
            }
        }
        result
    }
}

/// Runs what waits for the disk without keeping the runtime's thread from other tasks.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}
