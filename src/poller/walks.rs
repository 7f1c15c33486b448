//! Walks: a range is read, folded, committed and published, in parts where the upstream cannot answer it whole.

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::fetch::{Ask, End};
use super::{PollError, Poller, Upstream};
use crate::domain::conversation::LONGEST_LABEL;
use crate::domain::label::WalkResult;
use crate::domain::ledger::Walked;
use crate::domain::plan::halves;
use crate::domain::reading::{Rejected, Row};
use crate::domain::time::{Range, UnixMillis};

/// A part of a range that is walked.
struct Part {
    range: Range,
    /// Of what it is a half, if that was too wide.
    half: Option<(Half, Range)>,
}

#[derive(Clone, Copy)]
enum Half {
    First,
    Second,
}

impl<U: Upstream> Poller<U> {
    /// Walks a range, in parts if need be, and folds and publishes what each walk brought.
    pub(super) async fn read(&mut self, range: Range, narrow: bool, retry_until: Instant) -> Result<(), PollError> {
        self.read_parts(range, narrow, retry_until, None).await
    }

    /// The same, but that no other part is begun after `until`: what is left then is left over for the next poll.
    pub(super) async fn read_until(&mut self, range: Range, narrow: bool, until: Instant) -> Result<(), PollError> {
        self.read_parts(range, narrow, until, Some(until)).await
    }

    async fn read_parts(
        &mut self,
        range: Range,
        narrow: bool,
        retry_until: Instant,
        stop: Option<Instant>,
    ) -> Result<(), PollError> {
        let mut parts = vec![Part { range, half: None }];
        let mut first_halves = Vec::new();
        let mut failure = None;
        let mut first = true;
        while let Some(Part { range: part, half }) = parts.pop() {
            // What was found out by one part holds for the others.
            let narrower = self.plan.parts(part);
            if narrower.len() > 1 {
                parts.extend(narrower.into_iter().rev().map(|range| Part { range, half: None }));
                continue;
            }
            if !std::mem::take(&mut first) && stop.is_some_and(|stop| Instant::now() >= stop) {
                self.left_over = Some(Range::new(part.start, range.end));
                return failure.map_or(Ok(()), Err);
            }
            if let Some(until) = self.fetcher.silent_beyond(retry_until) {
                return Err(PollError::Silenced { wait: until.saturating_duration_since(Instant::now()) });
            }
            let ask = Ask { range: part, narrow, half: half.is_some(), retry_until };
            let (walked, end) = self.fetcher.walk(ask, &mut self.own).await;
            if let (End::TooWide, Some(halves)) = (&end, halves(part)) {
                let halves = [Half::First, Half::Second].into_iter().zip(halves);
                parts.extend(halves.rev().map(|(half, range)| Part { range, half: Some((half, part)) }));
                // To find that out may take all the time there is: with nothing read, the next poll would find it out again.
                first = true;
                continue;
            }
            match half {
                Some(_) if !matches!(end, End::Complete | End::Incomplete) => {}
                Some((Half::First, whole)) => first_halves.push(whole),
                // Where one of the halves fails as the whole did, it is something in it that cannot be read.
                Some((Half::Second, whole)) if first_halves.contains(&whole) => self.plan.too_wide(whole),
                Some((Half::Second, _)) | None => {}
            }
            self.own.walks.count(match end {
                End::Complete => WalkResult::Complete,
                End::Incomplete => WalkResult::Incomplete,
                End::Failed(_) | End::TooWide => WalkResult::Failed,
            });
            self.fold(&walked)?;
            self.publish()?;
            match end {
                End::Complete | End::TooWide => {}
                End::Incomplete => failure = failure.or(Some(PollError::Incomplete { range: part })),
                End::Failed(error) if error.is_of_one_page() => {
                    failure = failure.or(Some(PollError::Api { range: part, error }));
                }
                End::Failed(error) => return Err(PollError::Api { range: part, error }),
            }
        }
        match failure {
            Some(failure) => Err(failure),
            None => {
                self.ledger.read_in_parts(range);
                Ok(())
            }
        }
    }

    /// Before anything is counted: the first answer tells the time by which the initial range is meant.
    fn begin_by_the_clocks(&mut self) {
        if self.ledger.is_counting() {
            return;
        }
        if let Some(start) = self.plan.begin_by(self.clocks()).map(UnixMillis::from_seconds) {
            self.ledger.begin_by(start);
            info!(%start, "the initial range begins earlier: the local clock was ahead");
        }
    }

    /// Says once of each kind what is wrong with rows.
    fn note_oddities(&mut self, walked: &Walked) {
        for row in walked.pages.iter().flat_map(|page| &page.rows) {
            match row {
                Row::Rejected(Rejected { identity, why }) => {
                    if self.rejections_said.insert(why) {
                        warn!(
                            range = %walked.range, why,
                            "the upstream lists rows that cannot be counted; jelou_exporter_records_total tells how many"
                        );
                    }
                    debug!(range = %walked.range, id = %identity, why, "a row cannot be counted");
                }
                Row::Conversation(row) if row.bot.len().max(row.team.len()) >= LONGEST_LABEL => {
                    if !std::mem::replace(&mut self.long_label_said, true) {
                        warn!(most = LONGEST_LABEL, "names of bots or teams are cut: they are too long for a label");
                    }
                }
                Row::Conversation(_) => {}
            }
        }
    }

    fn fold(&mut self, walked: &Walked) -> Result<(), PollError> {
        self.begin_by_the_clocks();
        if let Some(rows) = walked.rows_on_a_full_page() {
            self.page_rows = rows;
        }
        self.note_oddities(walked);
        let mut span = self.trace.step("fold");
        span.count("jelou.rows", walked.pages.iter().map(|page| page.rows.len()).sum());
        let folded = self.ledger.fold(walked).inspect_err(|error| span.failed(error))?;
        drop(span);
        for (result, count) in folded.records.iter() {
            self.own.records.add(result, count);
        }
        self.own.events.add(folded.events);
        for (field, count) in folded.unknown_values.iter() {
            self.own.unknown_values.add(field, count);
        }
        if folded.overflowed > 0 && !std::mem::replace(&mut self.overflow_said, true) {
            warn!(
                "there are more pairs of bot and team than metrics.max_label_sets allows: conversations of further ones count \
                 under __overflow__, and jelou_exporter_label_sets_overflowed_total tells how many"
            );
        }
        if let Some(by) = folded.outside_by.filter(|_| !std::mem::replace(&mut self.zone_said, true)) {
            warn!(
                hours = format!("{:+.2}", by as f64 / 3_600_000.0),
                "the upstream lists conversations that are dated outside the range that was asked for: its dates are \
                 probably in another zone than api.timezone says"
            );
        }
        Ok(())
    }
}
