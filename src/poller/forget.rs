//! What is let go of as time goes by: ranges, conversations, silent pairs. All of it only once the upstream has told its
//! time, for a local clock that is wrong must not cost anything.

use std::time::Duration;

use tracing::{error, info};

use super::{Poller, Upstream};
use crate::domain::delta::Told;

/// Which pairs are to be forgotten (rule **forgetting pairs**).
#[derive(Debug)]
pub struct Silence {
    /// Those in which nothing was counted for so long, milliseconds.
    pub longest: i64,
    /// What a receiver of deltas had been told when the process began: what is owed to it stays.
    pub told: Option<Told>,
}

impl<U: Upstream> Poller<U> {
    /// Lets go of what has passed the horizon, and once of silent pairs. The upstream has just told its time, if it ever
    /// does.
    pub(super) fn let_go(&mut self) {
        let clocks = self.clocks();
        if self.ledger.is_counting() {
            let lost = self.plan.give_up_old_gaps(clocks.earlier());
            if lost > 0 {
                self.own.abandoned += u64::try_from(lost * 1000).unwrap_or_default();
                error!(
                    lost = ?Duration::from_secs(lost.unsigned_abs()),
                    "conversations that started in this time were never read: it has passed poll.horizon"
                );
            }
        }
        if let Some(horizon) = self.plan.forget_before(clocks) {
            let forgotten = self.ledger.forget_before(horizon);
            if let Some(floor) = forgotten.floor {
                self.plan.raise_floor(floor);
            }
            if forgotten.unsettled > 0 {
                info!(
                    conversations = forgotten.unsettled,
                    "unsettled conversations have passed poll.horizon and are asked for no longer"
                );
            }
        }
        // Where the upstream never tells its time, nothing but the local clock is known.
        if (clocks.agree() || clocks.offset.is_none())
            && let Some(Silence { longest, told }) = self.silence.take()
        {
            let owed = |pair: &_| told.as_ref().is_some_and(|told| told.owes(pair));
            let pairs = self.ledger.forget_pairs(clocks.earlier() - longest, owed);
            if pairs > 0 {
                info!(pairs, "pairs of bot and team in which nothing was counted for metrics.forget_pairs_after leave");
            }
        }
    }
}
