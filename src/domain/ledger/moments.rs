//! Facts of the moment: who is active, who waits, and the percentiles of what happened lately.

use std::sync::Arc;

use super::Ledger;
use super::pairs::PairId;
use crate::domain::distribution::percentiles;
use crate::domain::snapshot::{Moment, PERCENTILES};
use crate::domain::time::UnixMillis;

/// What kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Reply,
    Duration,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    kind: Kind,
    pair: PairId,
    at: UnixMillis,
    millis: u64,
}

/// Replies given and conversations ended within the recent window.
#[derive(Debug, Default)]
pub(super) struct Recent {
    events: Vec<Event>,
    /// As of the last successful poll, by pair.
    settled: Vec<Moment>,
}

impl Recent {
    pub(super) fn push(&mut self, kind: Kind, pair: PairId, at: UnixMillis, millis: u64) {
        self.events.push(Event { kind, pair, at, millis });
    }

    /// Works out the percentiles over (now - window, now] and drops what is older.
    pub(super) fn settle(&mut self, now: UnixMillis, window: i64, pairs: usize) {
        self.events.retain(|event| event.at > now - window);
        let mut times: Vec<[Vec<u64>; 2]> = vec![Default::default(); pairs];
        // What lies ahead of the clock is kept until the window has come to it.
        for event in self.events.iter().filter(|event| event.at <= now) {
            times[event.pair.0 as usize][event.kind as usize].push(event.millis);
        }
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
                if !entry.outside && moment.oldest_waiting_start.is_none_or(|oldest| *start < oldest) {
                    moment.oldest_waiting_start = Some(*start);
                }
            }
        }
        moments
    }
}
