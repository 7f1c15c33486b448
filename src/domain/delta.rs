//! Deltas: what was counted since the last export, for receivers that add up by themselves.
//!
//! [`Told`] is what the exports so far add up to. An export is a [`Window`]: all that has been counted beyond it. Windows
//! neither overlap nor leave gaps, so that they add up to the counters, whenever one begins.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::sync::Arc;

use super::distribution::Distribution;
use super::pair::{Counter, Pair};
use super::snapshot::{Live, Own, Snapshot, Tallies};
use super::time::UnixMillis;

/// How far the last window may have ended ahead of the clock for the next ones to keep ahead of it, milliseconds: beyond
/// that, the clock was wrong for an export, and what is counted from now on is not to bear its time.
const FAR_AHEAD: i64 = 300_000;

/// What was told by exports.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Up to when; `None` before the first export.
    pub until: Option<UnixMillis>,
    /// Pairs, by their labels, without percentiles.
    pub pairs: Vec<Arc<Pair>>,
    /// Counts that are kept with the conversations.
    pub tallies: Option<Tallies>,
    /// What starts with the process.
    process: Option<(Own, Live)>,
}

/// What one export tells.
#[derive(Clone, Debug)]
pub struct Window {
    /// Counters and histograms hold what was counted in the window. Those of a pair start with it, but for a series of which
    /// nothing was told before: that starts when it began to count. All others bear the start times of their series. Gauges
    /// are as they are.
    pub snapshot: Snapshot,
    /// The same for what moves between snapshots.
    pub live: Live,
    /// When it begins; `None` for the first one, in which every series begins with its own start.
    pub since: Option<UnixMillis>,
    /// When it ends.
    pub until: UnixMillis,
}

/// What differs in [`Told`] after a window.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// Pairs in which something was counted, or that are new.
    pub pairs: Vec<Arc<Pair>>,
    /// Pairs that are no longer there.
    pub gone: Vec<Arc<Pair>>,
}

impl Told {
    /// Everything of the conversations that this snapshot shows counts as told at `until`, though it was not: a receiver
    /// that gets deltas from now on must not be told a history as if it had happened at once.
    pub fn as_if(snapshot: &Snapshot, until: UnixMillis) -> Self {
        let pairs = snapshot.conversations.iter().flat_map(|conversations| &conversations.pairs);
        Self {
            until: Some(until),
            pairs: pairs.map(|pair| Arc::new(pair.counts())).collect(),
            tallies: Some(snapshot.tallies.clone()),
            process: None,
        }
    }

    /// What the conversations had added up to when a process before this one ended.
    pub fn restored(until: Option<UnixMillis>, pairs: Vec<Arc<Pair>>, tallies: Option<Tallies>) -> Self {
        Self { until, pairs, tallies, process: None }
    }

    /// Whether something was counted in the pair that no export has told: it must not be forgotten before that.
    pub fn owes(&self, pair: &Pair) -> bool {
        let told = self.pairs.binary_search_by(|told| told.labels.cmp(&pair.labels));
        told.map_or(true, |at| !pair.counts_as(&self.pairs[at]))
    }

    /// What is to be told at `now`. A window ends after it began, also when the clock was set back a little: receivers take
    /// what seems to have ended before for a repetition. When it was set back far, windows go on at the clock's time.
    pub fn window(&self, snapshot: &Snapshot, live: &Live, now: UnixMillis) -> Window {
        let (since, until) = match self.until {
            None => (None, now),
            Some(until) if until.since(now) > FAR_AHEAD => (Some(now - 1), now),
            Some(until) => (Some(until), now.max(until + 1)),
        };
        let mut news = snapshot.clone();
        if let Some(conversations) = &mut news.conversations {
            let told = align(&conversations.pairs, &self.pairs);
            conversations.pairs = told.map(|(pair, told)| Arc::new(pair.since(told, since))).collect();
        }
        if let Some(told) = &self.tallies {
            news.tallies = news.tallies.since(told);
        }
        let mut live = live.clone();
        if let Some((own, told)) = &self.process {
            (news.own, live) = (news.own.since(own), live.since(told));
        }
        Window { snapshot: news, live, since, until }
    }

    /// What is told once the window of this snapshot, which ended at `until`, is told too.
    pub fn with(&self, snapshot: &Snapshot, live: &Live, until: UnixMillis) -> (Self, News) {
        let (mut pairs, mut news) = (self.pairs.clone(), News::default());
        if let Some(conversations) = &snapshot.conversations {
            pairs = Vec::with_capacity(conversations.pairs.len());
            for (pair, told) in align(&conversations.pairs, &self.pairs) {
                match told.filter(|told| pair.counts_as(told)) {
                    Some(told) => pairs.push(Arc::clone(told)),
                    None => {
                        let counts = Arc::new(pair.counts());
                        news.pairs.push(Arc::clone(&counts));
                        pairs.push(counts);
                    }
                }
            }
            let left = align(&self.pairs, &conversations.pairs).filter(|(_, now)| now.is_none());
            news.gone = left.map(|(told, _)| Arc::clone(told)).collect();
        }
        let tallies = Some(snapshot.tallies.clone());
        let process = Some((snapshot.own.clone(), live.clone()));
        (Self { until: Some(until), pairs, tallies, process }, news)
    }
}

/// Each pair with the one of the same labels among the others; both are sorted by labels.
fn align<'a>(
    pairs: &'a [Arc<Pair>],
    others: &'a [Arc<Pair>],
) -> impl Iterator<Item = (&'a Arc<Pair>, Option<&'a Arc<Pair>>)> {
    let mut others = others.iter().peekable();
    pairs.iter().map(move |pair| (pair, same_labels(pair, &mut others)))
}

fn same_labels<'a>(pair: &Pair, others: &mut Peekable<impl Iterator<Item = &'a Arc<Pair>>>) -> Option<&'a Arc<Pair>> {
    while let Some(other) = others.peek() {
        match other.labels.cmp(&pair.labels) {
            Ordering::Less => drop(others.next()),
            Ordering::Equal => return others.next(),
            Ordering::Greater => return None,
        }
    }
    None
}

impl Pair {
    /// The pair without percentiles.
    fn counts(&self) -> Self {
        Self {
            labels: self.labels.clone(),
            started: self.started.clone(),
            ended: self.ended.clone(),
            reply: self.reply.counts(),
            duration: self.duration.counts(),
            ..*self
        }
    }

    /// Whether nothing was counted and no series was made since it was as `told`, and what comes next is counted by the
    /// same bounds and schema.
    fn counts_as(&self, told: &Self) -> bool {
        let plain = |pair: &Self| (pair.start, pair.unanswered, pair.met, pair.missed, pair.reopened);
        plain(self) == plain(told)
            && (&self.started, &self.ended) == (&told.started, &told.ended)
            && same_times(&self.reply, &told.reply)
            && same_times(&self.duration, &told.duration)
    }

    /// What was counted since it was as `told`. A pair that was forgotten and came back counts from a new start: of that,
    /// nothing was told.
    fn since(&self, told: Option<&Arc<Self>>, window: Option<UnixMillis>) -> Self {
        let nothing;
        let mut begin = window;
        let told = match told.filter(|told| told.start == self.start) {
            Some(told) => &**told,
            None => {
                let (reply, duration) = (Arc::clone(self.reply.layout()), Arc::clone(self.duration.layout()));
                nothing = Self::new(self.labels.clone(), self.start, reply, duration);
                begin = None;
                &nothing
            }
        };
        let later = |start: UnixMillis| begin.map_or(start, |begin| start.max(begin));
        Self {
            labels: self.labels.clone(),
            start: later(self.start),
            started: counters_since(&self.started, &told.started, later),
            ended: counters_since(&self.ended, &told.ended, later),
            unanswered: self.unanswered.saturating_sub(told.unanswered),
            met: self.met.saturating_sub(told.met),
            missed: self.missed.saturating_sub(told.missed),
            reopened: self.reopened.saturating_sub(told.reopened),
            reply: self.reply.since(&told.reply).starting(later(self.reply.start())),
            duration: self.duration.since(&told.duration).starting(later(self.duration.start())),
            ..*self
        }
    }
}

fn same_times(now: &Distribution, told: &Distribution) -> bool {
    let (layout, before) = (now.layout(), told.layout());
    (now.start(), now.count()) == (told.start(), told.count())
        && (layout.counted(), layout.schema()) == (before.counted(), before.schema())
}

/// Those that were told start with the window.
fn counters_since<K: Ord + Copy>(
    counters: &[(K, Counter)],
    told: &[(K, Counter)],
    later: impl Fn(UnixMillis) -> UnixMillis,
) -> Vec<(K, Counter)> {
    let since = |(key, counter): &(K, Counter)| match told.binary_search_by_key(key, |(key, _)| *key) {
        Ok(at) => {
            let value = counter.value.saturating_sub(told[at].1.value);
            (*key, Counter { value, start: later(counter.start) })
        }
        Err(_) => (*key, *counter),
    };
    counters.iter().map(since).collect()
}

impl Tallies {
    fn since(&self, told: &Self) -> Self {
        Self {
            start: self.start,
            amendments: self.amendments.since(&told.amendments),
            outside_window: self.outside_window.saturating_sub(told.outside_window),
            vanished: self.vanished.saturating_sub(told.vanished),
            aged_out: self.aged_out.saturating_sub(told.aged_out),
            overflowed: self.overflowed.saturating_sub(told.overflowed),
        }
    }
}

impl Own {
    fn since(&self, told: &Self) -> Self {
        let mut since = self.clone();
        since.polls = self.polls.since(&told.polls);
        since.poll_duration = self.poll_duration.since(&told.poll_duration);
        since.walks = self.walks.since(&told.walks);
        since.api_requests = self.api_requests.since(&told.api_requests);
        since.api_request_duration = self.api_request_duration.since(&told.api_request_duration);
        since.api_retries = self.api_retries.saturating_sub(told.api_retries);
        since.budget_wait = self.budget_wait.saturating_sub(told.budget_wait);
        since.records = self.records.since(&told.records);
        since.unknown_values = self.unknown_values.since(&told.unknown_values);
        since.abandoned = self.abandoned.saturating_sub(told.abandoned);
        if let (Some(now), Some(told)) = (&mut since.checkpoint, &told.checkpoint) {
            now.failures = now.failures.saturating_sub(told.failures);
        }
        since
    }
}

impl Live {
    fn since(&self, told: &Self) -> Self {
        let answers = self.http_requests.iter().map(|(code, count)| {
            let told = told.http_requests.iter().find(|(other, _)| other == code).map_or(0, |(_, count)| *count);
            (*code, count.saturating_sub(told))
        });
        let mut exports = self.exports.clone();
        if let (Some(now), Some(told)) = (&mut exports, &told.exports) {
            now.results = now.results.since(&told.results);
        }
        Self {
            http_requests: answers.collect(),
            http_dropped: self.http_dropped.since(&told.http_dropped),
            log_messages: self.log_messages.since(&told.log_messages),
            exports,
            config: self.config,
        }
    }
}

#[cfg(test)]
mod tests;
