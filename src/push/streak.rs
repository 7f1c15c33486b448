//! One log message when exports begin to fail and one when they succeed again, however long it lasts.

use crate::domain::label::ExportResult;

use super::delivery::Outcome;

/// The exports since the last one that was taken whole.
#[derive(Debug, Default)]
pub(super) struct Streak {
    latest: Option<ExportResult>,
    exports: u64,
    /// Whether it was said since then that counts are lost.
    loss_told: bool,
    /// What the receiver warned of last.
    warning: Option<String>,
}

impl Streak {
    /// Takes note of an export, and logs it if it is news.
    pub(super) fn note(&mut self, outcome: Outcome) {
        let news = self.latest != Some(outcome.result);
        let error = outcome.why.as_deref().unwrap_or_default();
        match outcome.result {
            ExportResult::Success => {
                if self.exports > 0 {
                    tracing::info!(exports_not_whole = self.exports, "OTLP exports succeed again");
                }
                if outcome.why.is_some() && outcome.why != self.warning {
                    tracing::warn!(warning = error, "an OTLP receiver took everything and warns");
                    self.warning = outcome.why;
                }
                (self.latest, self.exports, self.loss_told) = (None, 0, false);
                return;
            }
            _ if outcome.lost && !self.loss_told => {
                self.loss_told = true;
                tracing::error!(
                    error,
                    "an OTLP receiver refused counts for good: they are missing there, for deltas are not repeated"
                );
            }
            ExportResult::Partial if news => tracing::warn!(error, "an OTLP export was taken only in part"),
            ExportResult::Failure if news && !outcome.lost => {
                tracing::warn!(error, "an OTLP export failed; the next carries its data")
            }
            _ => tracing::debug!(error, exports = self.exports + 1, "an OTLP export failed again"),
        }
        self.latest = Some(outcome.result);
        self.exports += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::LogLevel;
    use crate::logging::{LogFormat, tests::logged};

    #[test]
    fn a_loss_is_told_once_in_each_streak_whatever_came_before_it() {
        let outcome = |result, why: &str, lost| Outcome { result, why: Some(why.to_owned()), not_before: None, lost };
        let (text, _) = logged(LogLevel::Warn, LogFormat::Logfmt, || {
            let mut streak = Streak::default();
            for _ in 0..2 {
                streak.note(outcome(ExportResult::Failure, "down", false));
                streak.note(outcome(ExportResult::Failure, "bad points", true));
                streak.note(outcome(ExportResult::Failure, "bad points", true));
                streak.note(outcome(ExportResult::Partial, "too old", true));
                streak.note(outcome(ExportResult::Failure, "bad points", true));
                streak.note(Outcome { why: None, ..outcome(ExportResult::Success, "", false) });
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
            streak.note(outcome(ExportResult::Success, None));
            streak.note(outcome(ExportResult::Failure, Some("down")));
            streak.note(outcome(ExportResult::Failure, Some("down")));
            streak.note(outcome(ExportResult::Partial, Some("2 points")));
            streak.note(outcome(ExportResult::Success, None));
            streak.note(outcome(ExportResult::Success, Some("old port")));
            streak.note(outcome(ExportResult::Success, Some("old port")));
        });
        let told: Vec<&str> = text.lines().map(|line| line.split_once("level=").unwrap().1).collect();
        assert_eq!(
            told,
            [
                "warn msg=\"an OTLP export failed; the next carries its data\" error=down",
                "warn msg=\"an OTLP export was taken only in part\" error=\"2 points\"",
                "info msg=\"OTLP exports succeed again\" exports_not_whole=3",
                "warn msg=\"an OTLP receiver took everything and warns\" warning=\"old port\"",
            ]
        );
    }
}
