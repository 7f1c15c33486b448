//! Other settings for a ledger that counts: it goes on as one would that is restored from its checkpoint by them.

use super::moments::Recent;
use super::{Ledger, LedgerSettings};
use crate::domain::time::UnixMillis;

impl Ledger {
    /// Counts by these settings from here on. What was counted stands (rule **bounds**; a first decision stands).
    pub fn go_on_by(&mut self, settings: LedgerSettings) {
        self.pairs.go_on_by(settings.max_label_sets, &settings.reply, &settings.duration);
        // A longer window takes in what the shorter one has let go.
        let last = self.last_success.unwrap_or(UnixMillis(i64::MIN));
        if settings.recent_window > self.settings.recent_window {
            self.recent = Recent::default();
            let since = last - settings.recent_window;
            self.entries.iter().for_each(|(slot, entry)| self.recent.recall(slot, entry, since));
        }
        self.settings = settings;
        if let Some(last) = self.last_success {
            self.succeed(last);
        }
        self.moments = None;
    }
}
