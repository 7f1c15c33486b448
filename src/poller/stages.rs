//! What a poll reads, in this order: the newest stretch, the initial range until it is complete, what is unsettled.

use tokio::time::Instant;
use tracing::info;

use super::{Deadlines, PollError, Poller, Upstream};
use crate::jelou::ApiError;

impl<U: Upstream> Poller<U> {
    pub(super) async fn read_newest_first(&mut self, deadlines: Deadlines) -> Result<(), PollError> {
        self.publish()?;
        self.read_newest(deadlines).await?;
        self.let_go();
        if !self.ledger.is_counting() {
            self.read_initial_range(deadlines).await?;
        }
        Ok(())
    }

    async fn read_newest(&mut self, deadlines: Deadlines) -> Result<(), PollError> {
        for _ in 0..2 {
            let newest = self.plan.newest(self.clocks());
            let began = (Instant::now(), self.clock.now());
            self.read(newest, false, deadlines.work).await?;
            let told = self.clocks_since(began);
            self.plan.newest_read(newest, told);
            if newest.end >= told.later().seconds() {
                break;
            }
            // The first answer told that the upstream's present lies beyond what was asked for: drawn now, the zero line
            // would leave out what started in between, and it would count as new in the next poll.
        }
        self.draw_zero_line()
    }

    async fn read_initial_range(&mut self, deadlines: Deadlines) -> Result<(), PollError> {
        // Even where the newest stretch takes all of the time, each poll gets on by one slice.
        let mut first = true;
        while (std::mem::take(&mut first) || Instant::now() < deadlines.initial) && !self.ledger.is_counting() {
            let now = self.clocks().earlier();
            // The horizon moves on while the initial range is read. Nothing is lost that was to be counted.
            self.plan.give_up_old_gaps(now);
            let Some(slice) = self.plan.catch_up(now) else { break };
            // A walk that fails here ends the poll only if the upstream as a whole does; the next poll goes on.
            let retry_until = deadlines.initial.min(Instant::now() + self.settings.interval);
            if !self.read_slice(slice, retry_until).await? {
                break;
            }
            self.draw_zero_line()?;
        }
        Ok(())
    }

    fn draw_zero_line(&mut self) -> Result<(), PollError> {
        if !self.ledger.is_counting() && self.plan.is_gapless() {
            let now = self.clock.now();
            self.ledger.draw_zero_line(now);
            // What the initial range took is no debt of the slices that come after it.
            self.slice_credit = 0.0;
            let conversations = self.ledger.len();
            match self.ledger.counts_initial() {
                true => info!(conversations, "the initial range has been read and counted"),
                false => info!(conversations, "the initial range has been read: counting begins at zero from here on"),
            }
            self.publish()?;
        }
        Ok(())
    }

    pub(super) async fn read_unsettled(&mut self, deadlines: Deadlines) -> Result<(), PollError> {
        let mut failure = None;
        // As with the initial range: at least one in each poll, or none might ever be read.
        let mut first = true;
        // The second round asks in their old range for those that could not be found by their start.
        for _ in 0..2 {
            let floor = self.plan.oldest(self.clocks().earlier());
            for stretch in self.ledger.due_stretches(floor, self.page_rows) {
                if !std::mem::take(&mut first) && Instant::now() >= deadlines.work {
                    return failure.map_or(Ok(()), Err);
                }
                match self.read(stretch.range, stretch.narrow, deadlines.work).await {
                    Ok(_) => {}
                    // A stretch that always fails must not keep the others from being read.
                    Err(error) if error.is_of_one_range() => failure = failure.or(Some(error)),
                    // Nor is a request refused as such that was answered for the newest stretch.
                    Err(PollError::Api { range, error: error @ ApiError::InvalidRequest { .. } }) => {
                        failure = failure.or(Some(PollError::Stretch { range, error }));
                    }
                    Err(error) => return Err(error),
                }
            }
            if failure.is_some() {
                break;
            }
        }
        failure.map_or(Ok(()), Err)
    }
}
