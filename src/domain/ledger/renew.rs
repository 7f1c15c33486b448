//! Other settings for a ledger that counts: it goes on as one would that is restored from its checkpoint by them.

use super::{Ledger, LedgerSettings};

impl Ledger {
    /// Counts by these settings from here on. What was counted stands (rule **bounds**; a first decision stands).
    pub fn go_on_by(&mut self, settings: LedgerSettings) {
        self.pairs.go_on_by(settings.max_label_sets, &settings.reply, &settings.duration);
        self.settings = settings;
        if let Some(last) = self.last_success {
            self.succeed(last);
        }
        self.moments = None;
    }
}
