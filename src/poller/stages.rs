//! What a poll reads, in this order: the newest stretch, the initial range until it is complete, what is unsettled.

use tokio::time::Instant;
use tracing::info;

use super::{Deadlines, PollError, Poller, Upstream};
use crate::domain::plan::{AGREEMENT, Clocks};
use crate::domain::time::Range;
use crate::jelou::ApiError;

impl<U: Upstream> Poller<U> {
    pub(super) async fn read_newest_first(&mut self, deadlines: Deadlines) -> Result<(), PollError> {
        self.publish()?;
        self.read_newest(deadlines).await?;
        self.check_begin()?;
        self.let_go();
        if !self.ledger.is_counting() {
            self.read_initial_range(deadlines).await?;
        }
        Ok(())
    }

    async fn read_newest(&mut self, deadlines: Deadlines) -> Result<(), PollError> {
        let counting = self.ledger.is_counting();
        for _ in 0..2 {
            let newest = self.plan.newest(self.clocks(), counting);
            let began = (Instant::now(), self.clock.now());
            let mut failure = None;
            for stretch in &newest {
                match self.read(*stretch, false, deadlines.work).await {
                    Ok(()) => {}
                    Err(error) if error.is_of_one_range() => failure = failure.or(Some(error)),
                    Err(error) => return Err(error),
                }
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
            let told = self.clocks_since(began);
            self.plan.newest_read(&newest, told, counting);
            self.compare_clocks(began.0, told);
            if self.plan.are_newest(&newest, told) {
                break;
            }
            // The first answer told that the upstream's present lies beyond what was asked for: drawn now, the zero line
            // would leave out what started in between, and it would count as new in the next poll.
        }
        self.draw_zero_line()
    }

    /// Where the clocks come to agree, the time that has passed tells which of them was right.
    fn compare_clocks(&mut self, now: Instant, clocks: Clocks) {
        if clocks.offset.is_none() {
            return;
        }
        if !clocks.agree() {
            self.apart = Some((now, clocks.later()));
        } else if let Some((at, later)) = self.apart.take() {
            let passed = i64::try_from((now - at).as_millis()).unwrap_or(i64::MAX);
            let was_right = (later + passed).since(clocks.later()).abs() <= AGREEMENT;
            self.plan.clocks_agree(was_right, clocks);
        }
    }

    /// Whether there can be anything to read: not as long as all that may be asked for lies in the future.
    fn check_begin(&self) -> Result<(), PollError> {
        let clocks = self.clocks();
        let present = if self.ledger.is_counting() { clocks.later() } else { clocks.earlier() };
        let begins = self.plan.begins();
        if begins > present.seconds() { Err(PollError::Future { begins }) } else { Ok(()) }
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
        if let Some(rest) = self.take_left_over() {
            first = false;
            self.read_stretch(rest, false, deadlines, &mut failure).await?;
        }
        // The second round asks in their old range for those that could not be found by their start.
        for _ in 0..2 {
            let floor = self.plan.oldest(self.clocks().earlier());
            for stretch in self.ledger.due_stretches(floor, self.page_rows) {
                if !std::mem::take(&mut first) && Instant::now() >= deadlines.work {
                    return failure.map_or(Ok(()), Err);
                }
                self.read_stretch(stretch.range, stretch.narrow, deadlines, &mut failure).await?;
            }
            if failure.is_some() {
                break;
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// What the poll before had no time for, as far as it may still be asked for.
    pub(super) fn take_left_over(&mut self) -> Option<Range> {
        let floor = self.plan.oldest(self.clocks().earlier());
        let rest = self.left_over.take().filter(|rest| rest.end >= floor)?;
        Some(Range::new(rest.start.max(floor), rest.end))
    }

    /// Reads a stretch of unsettled ones, as far as the time suffices. What concerns only this one is noted as the failure.
    async fn read_stretch(
        &mut self,
        range: Range,
        narrow: bool,
        deadlines: Deadlines,
        failure: &mut Option<PollError>,
    ) -> Result<(), PollError> {
        let error = match self.read_until(range, narrow, deadlines.work).await {
            Ok(()) => return Ok(()),
            // A stretch that always fails must not keep the others from being read.
            Err(error) if error.is_of_one_range() => error,
            // Nor is a request refused as such that was answered for the newest stretch.
            Err(PollError::Api { range, error: error @ ApiError::InvalidRequest { .. } }) => {
                PollError::Stretch { range, error }
            }
            Err(error) => return Err(error),
        };
        failure.get_or_insert(error);
        Ok(())
    }
}
