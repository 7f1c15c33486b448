//! Facts of the moment: who is active, who waits, and the percentiles of what happened lately.

use std::sync::Arc;

use super::Ledger;
use super::entries::{Entries, Slot};
use super::entry::Entry;
use crate::domain::distribution::percentiles;
use crate::domain::snapshot::{Moment, PERCENTILES};
use crate::domain::time::UnixMillis;

/// Who may have got a reply or ended within the recent window; what and when, the entries tell, so that it follows their
/// latest readings, in this process as after a restart.
#[derive(Debug)]
pub(super) struct Recent {
    lately: Vec<Slot>,
    /// Nobody is missing of whom anything happened after this.
    whole_since: UnixMillis,
    /// As of the last successful poll, by pair.
    settled: Vec<Moment>,
}

impl Default for Recent {
    fn default() -> Self {
        Self { lately: Vec::new(), whole_since: UnixMillis(i64::MIN), settled: Vec::new() }
    }
}

impl Recent {
    /// Takes in an entry that has changed.
    pub(super) fn note(&mut self, slot: Slot, entry: &Entry) {
        if events(entry).iter().any(Option::is_some) {
            self.lately.push(slot);
        }
    }

    /// Takes in an entry of which anything happened after `since`.
    pub(super) fn recall(&mut self, slot: Slot, entry: &Entry, since: UnixMillis) {
        self.whole_since = self.whole_since.max(since);
        if events(entry).iter().flatten().any(|(at, _)| *at > since) {
            self.lately.push(slot);
        }
    }

    /// Works out the percentiles over (now - window, now] and lets go of those of whom there is nothing newer.
    pub(super) fn settle(&mut self, now: UnixMillis, window: i64, pairs: usize, entries: &Entries) {
        let since = now - window;
        if since < self.whole_since {
            // The clock was set back, or the window is longer than before: it takes in what was let go.
            self.lately.clear();
            entries.iter().for_each(|(slot, entry)| self.recall(slot, entry, since));
        }
        self.whole_since = since;
        self.lately.sort_unstable();
        self.lately.dedup();
        let mut times: Vec<[Vec<u64>; 2]> = vec![Default::default(); pairs];
        self.lately.retain(|slot| {
            let Some(entry) = entries.get(*slot) else { return false };
            let mut stays = false;
            for (event, times) in events(entry).into_iter().zip(&mut times[entry.pair.0 as usize]) {
                let Some((at, millis)) = event.filter(|(at, _)| *at > since) else { continue };
                // What lies ahead of the clock is kept until the window has come to it.
                stays = true;
                if at <= now {
                    times.push(millis);
                }
            }
            stays
        });
        self.settled = times
            .into_iter()
            .map(|[replies, durations]| Moment {
                reply_recent: percentiles(replies, PERCENTILES),
                duration_recent: percentiles(durations, PERCENTILES),
                ..Moment::default()
            })
            .collect();
    }
}

/// When it got its reply and how long that took, and when it ended and how long it lasted, by the latest reading.
fn events(entry: &Entry) -> [Option<(UnixMillis, u64)>; 2] {
    let after = |millis| entry.start + i64::try_from(millis).unwrap_or(i64::MAX);
    let reply = entry.reply.duration().map(|reply| (after(reply), reply));
    let lasted = entry.duration.duration().filter(|_| !entry.is_active());
    let end = lasted.map(|duration| (entry.end.instant().unwrap_or(after(duration)), duration));
    // What is dated wrongly happened nobody knows when.
    [reply, end].map(|event| event.filter(|_| !entry.is_outside()))
}

impl Ledger {
    /// The facts of the moment by pair, in the order of their ids. They are worked out anew only when one has changed,
    /// for a snapshot is taken after each of a poll's walks, and most of these bring nothing new.
    pub(super) fn moments(&mut self) -> Arc<[Moment]> {
        match &self.moments {
            Some(moments) if moments.len() == self.pairs.table().len() => {
                debug_assert_eq!(**moments, *self.worked_out_moments(), "a change was not noted");
                Arc::clone(moments)
            }
            _ => Arc::clone(self.moments.insert(self.worked_out_moments().into())),
        }
    }

    fn worked_out_moments(&self) -> Vec<Moment> {
        let mut moments = self.recent.settled.clone();
        moments.resize(self.pairs.table().len(), Moment::default());
        for (start, slot) in &self.unsettled {
            let Some(entry) = self.entries.get(*slot) else { continue };
            if entry.vanished || !entry.is_active() {
                continue;
            }
            let moment = &mut moments[entry.pair.0 as usize];
            moment.active += 1;
            if entry.reply.is_none() && !self.settings.excluded_origins.contains(&entry.origin) {
                moment.waiting += 1;
                if !entry.is_outside() && moment.oldest_waiting_start.is_none_or(|oldest| *start < oldest) {
                    moment.oldest_waiting_start = Some(*start);
                }
            }
        }
        moments
    }
}
