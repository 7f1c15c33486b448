//! One log message when exports begin to fail, one now and then while they go on failing, and one when they succeed again.

use super::delivery::Outcome;
use crate::domain::label::ExportResult;
use crate::domain::time::UnixMillis;
use crate::streak::{News, Streak as Failures, likeness};

/// The exports since the last one that was taken whole.
#[derive(Debug, Default)]
pub(super) struct Streak {
    /// Where the receiver is.
    url: Option<String>,
    failures: Failures,
    /// Whether it was said since then that counts are lost.
    loss_told: bool,
    /// What the receiver warned of last.
    warning: Option<String>,
}

impl Streak {
    /// Of exports to a receiver at this place.
    pub(super) fn at(url: &str) -> Self {
        Self { url: Some(url.to_owned()), ..Self::default() }
    }

    /// Takes note of an export that ended at `now`, and logs it if it is news.
    pub(super) fn note(&mut self, outcome: Outcome, now: UnixMillis) {
        let (error, url) = (outcome.why.as_deref().unwrap_or_default(), self.url.as_deref());
        if outcome.result == ExportResult::Success {
            if let Some((exports_not_whole, since)) = self.failures.succeeded() {
                tracing::info!(exports_not_whole, failing_since = %since, "OTLP exports succeed again");
            }
            if outcome.why.is_some() && outcome.why != self.warning {
                tracing::warn!(warning = error, url, "an OTLP receiver took everything and warns");
                self.warning = outcome.why;
            }
            self.loss_told = false;
            return;
        }
        let news = self.failures.failed(format!("{} {}", outcome.result.as_str(), likeness(error)), now);
        if outcome.lost && !self.loss_told {
            self.loss_told = true;
            tracing::error!(
                error,
                url,
                "an OTLP receiver refused counts for good: they are missing there, for deltas are not repeated"
            );
            return;
        }
        match news {
            News::First if outcome.result == ExportResult::Partial => {
                tracing::warn!(error, url, "an OTLP export was taken only in part");
            }
            News::First if !outcome.lost => {
                tracing::warn!(error, url, "an OTLP export failed; the next carries its data");
            }
            News::StillFailing { failures, since } => {
                tracing::warn!(error, url, exports = failures, failing_since = %since, "OTLP exports still fail");
            }
            News::First => tracing::debug!(error, "an OTLP export failed again"),
            News::Again { failures } => tracing::debug!(error, exports = failures, "an OTLP export failed again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::LogLevel;
    use crate::logging::{LogFormat, tests::logged};

    const NOW: UnixMillis = UnixMillis::from_seconds(1_767_225_600);

    #[test]
    fn a_loss_is_told_once_in_each_streak_whatever_came_before_it() {
        let outcome = |result, why: &str, lost| Outcome { result, why: Some(why.to_owned()), not_before: None, lost };
        let (text, _) = logged(LogLevel::Warn, LogFormat::Logfmt, || {
            let mut streak = Streak::default();
            for _ in 0..2 {
                streak.note(outcome(ExportResult::Failure, "down", false), NOW);
                streak.note(outcome(ExportResult::Failure, "bad points", true), NOW);
                streak.note(outcome(ExportResult::Failure, "bad points", true), NOW);
                streak.note(outcome(ExportResult::Partial, "too old", true), NOW);
                streak.note(outcome(ExportResult::Failure, "bad points", true), NOW);
                streak.note(Outcome { why: None, ..outcome(ExportResult::Success, "", false) }, NOW);
            }
        });
        let told: Vec<&str> = text.lines().map(|line| line.split_once("error=").unwrap().1).collect();
        assert_eq!(told, ["down", "\"bad points\"", "\"too old\""].repeat(2));
        assert_eq!(text.matches("they are missing there").count(), 2);
    }

    #[test]
    fn a_streak_is_told_when_it_begins_and_when_it_ends() {
        let outcome =
            |result, why: Option<&str>| Outcome { result, why: why.map(str::to_owned), not_before: None, lost: false };
        let (text, _) = logged(LogLevel::Info, LogFormat::Logfmt, || {
            let mut streak = Streak::default();
            streak.note(outcome(ExportResult::Success, None), NOW);
            streak.note(outcome(ExportResult::Failure, Some("down")), NOW);
            streak.note(outcome(ExportResult::Failure, Some("down")), NOW);
            streak.note(outcome(ExportResult::Partial, Some("2 points")), NOW);
            streak.note(outcome(ExportResult::Success, None), NOW);
            streak.note(outcome(ExportResult::Success, Some("old port")), NOW);
            streak.note(outcome(ExportResult::Success, Some("old port")), NOW);
        });
        let told: Vec<&str> = text.lines().map(|line| line.split_once("level=").unwrap().1).collect();
        assert_eq!(
            told,
            [
                "warn msg=\"an OTLP export failed; the next carries its data\" error=down",
                "warn msg=\"an OTLP export was taken only in part\" error=\"2 points\"",
                "info msg=\"OTLP exports succeed again\" exports_not_whole=3 failing_since=2026-01-01T00:00:00Z",
                "warn msg=\"an OTLP receiver took everything and warns\" warning=\"old port\"",
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_streak_that_goes_on_is_told_of_now_and_then_with_its_place() {
        let mut streak = Streak::at("http://collector:4318/v1/metrics");
        let mut fail = |why: &str| {
            let why = Some(why.to_owned());
            let outcome = Outcome { result: ExportResult::Failure, why, not_before: None, lost: false };
            logged(LogLevel::Info, LogFormat::Logfmt, || streak.note(outcome, NOW)).0
        };
        assert!(
            fail("down")
                .contains("failed; the next carries its data\" error=down url=http://collector:4318/v1/metrics")
        );
        assert_eq!(fail("down"), "");
        assert!(fail("HTTP 401").contains("error=\"HTTP 401\""), "what stands in the way now is something else");
        assert_eq!(fail("down"), "");
        tokio::time::advance(std::time::Duration::from_secs(600)).await;
        let told = fail("HTTP 401");
        assert!(
            told.contains(
                "OTLP exports still fail\" error=\"HTTP 401\" url=http://collector:4318/v1/metrics exports=5"
            ),
            "{told}"
        );
        assert_eq!(fail("HTTP 401"), "");
    }
}
