//! Other settings for a ledger that counts: it goes on as one would that is restored from its checkpoint by them.

use super::entry::Entry;
use super::moments::{Kind, Recent};
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
            self.entries.iter().for_each(|entry| self.recent.recall(entry, since));
        }
        self.settings = settings;
        if let Some(last) = self.last_success {
            self.succeed(last);
        }
        self.moments = None;
    }
}

impl Recent {
    /// Takes in what an entry tells of the time after `since`.
    pub(super) fn recall(&mut self, entry: &Entry, since: UnixMillis) {
        let mut recall = |kind, at: UnixMillis, millis| {
            if !entry.outside && at > since {
                self.push(kind, entry.pair, at, millis);
            }
        };
        let after = |millis| entry.start + i64::try_from(millis).unwrap_or(i64::MAX);
        if let Some(reply) = entry.reply.duration() {
            recall(Kind::Reply, after(reply), reply);
        }
        if let Some(duration) = entry.duration.duration() {
            recall(Kind::Duration, entry.end.instant().unwrap_or(after(duration)), duration);
        }
    }
}
