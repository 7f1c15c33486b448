//! Series that were shown and are no longer: a receiver that is told so need not wait in vain for their next point.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::catalog::{FAMILIES, Family, Kind};
use super::distribution::Layout;
use super::pair::{Pair, PairLabels};
use super::snapshot::{Conversations, Live, Moment, Point, Snapshot, Value};
use super::time::UnixMillis;

/// A series that has left.
#[derive(Clone, Debug)]
pub struct Gone {
    /// The family.
    pub family: &'static Family,
    /// Its labels, as [`Point::labels`] has them.
    pub labels: Labels,
    /// The bounds that a histogram showed, milliseconds: to many a receiver each is a series of its own.
    pub bounds: Vec<u64>,
}

/// Labels that are held.
pub type Labels = Vec<(&'static str, String)>;

/// A family's place in the catalog, the labels of a series in it, and its bounds.
type Series = (usize, Labels, Vec<u64>);

/// The series that a receiver knows and that may leave: facts of the moment do (rule **stale**), pairs do (rule **forgetting
/// pairs**), and some gauges of the exporter itself do.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Pairs as they were shown, by their labels.
    pairs: Vec<Arc<Pair>>,
    /// Pairs whose facts of the moment were shown.
    of_the_moment: Vec<PairLabels>,
    /// Gauges of the exporter itself.
    own: BTreeSet<Series>,
}

impl Roster {
    /// What the process before this one showed, by the first snapshot of this one.
    pub fn new(first: &Snapshot) -> Self {
        let pairs = pairs(first);
        let of_the_moment = pairs.iter().map(|pair| pair.labels.clone()).collect();
        Self { pairs, of_the_moment, own: BTreeSet::new() }
    }

    /// Which of these series the snapshot does not show.
    pub fn gone(&self, snapshot: &Snapshot, live: &Live) -> Vec<Gone> {
        let shown = snapshot.conversations.as_ref();
        let find = |labels: &PairLabels| {
            let pairs = &shown?.pairs;
            pairs.binary_search_by(|pair| pair.labels.cmp(labels)).ok().map(|at| &pairs[at])
        };
        let has = |labels: &PairLabels| find(labels).is_some();
        let mut gone = Vec::new();
        // One that was forgotten and came back counts from another start, and need not have shown all again.
        let (mut forgotten, mut back) = (Vec::new(), Vec::new());
        for pair in &self.pairs {
            let now = find(&pair.labels);
            if now.is_none_or(|now| now.start != pair.start) {
                forgotten.push(Arc::clone(pair));
                back.extend(now.cloned());
            }
        }
        if !forgotten.is_empty() {
            let is_count = |family: &Family| family.of_pairs && family.kind != Kind::Gauge;
            let of = |pairs| BTreeSet::from_iter(series(&of_pairs(snapshot, pairs), live, is_count));
            gone.extend(of(forgotten).difference(&of(back)).cloned());
        }
        let moments = shown.is_some_and(|shown| shown.moments.is_some());
        let left = self.of_the_moment.iter().filter(|labels| !moments || !has(labels));
        // Which bounds they have makes no difference to gauges.
        let layout = Arc::new(Layout::new([], 0));
        let pair = |labels: &PairLabels| {
            Arc::new(Pair::new(labels.clone(), UnixMillis(0), Arc::clone(&layout), Arc::clone(&layout)))
        };
        let left: Vec<Arc<Pair>> = left.map(pair).collect();
        if !left.is_empty() {
            let is_of_moment = |family: &Family| family.of_pairs && family.kind == Kind::Gauge;
            gone.extend(series(&of_pairs(snapshot, left), live, is_of_moment));
        }
        let own = BTreeSet::from_iter(series(snapshot, live, is_own_gauge));
        gone.extend(self.own.difference(&own).cloned());
        gone.into_iter().map(|(family, labels, bounds)| Gone { family: &FAMILIES[family], labels, bounds }).collect()
    }

    /// The receiver has been told of this snapshot and of what was gone.
    pub fn told(&mut self, snapshot: &Snapshot, live: &Live) {
        self.pairs = pairs(snapshot);
        let shown = snapshot.conversations.iter().filter(|shown| shown.moments.is_some());
        self.of_the_moment = shown.flat_map(|shown| &shown.pairs).map(|pair| pair.labels.clone()).collect();
        self.own = BTreeSet::from_iter(series(snapshot, live, is_own_gauge));
    }
}

fn pairs(snapshot: &Snapshot) -> Vec<Arc<Pair>> {
    snapshot.conversations.as_ref().map(|shown| shown.pairs.clone()).unwrap_or_default()
}

fn is_own_gauge(family: &Family) -> bool {
    !family.of_pairs && family.kind == Kind::Gauge
}

/// The snapshot with these pairs, facts of the moment included.
fn of_pairs(snapshot: &Snapshot, pairs: Vec<Arc<Pair>>) -> Snapshot {
    let moments = Some(pairs.iter().map(|_| Moment::default()).collect());
    let conversations = Conversations { pairs, moments, moments_until: snapshot.taken_at };
    Snapshot { conversations: Some(conversations), ..snapshot.clone() }
}

fn series(snapshot: &Snapshot, live: &Live, wanted: impl Fn(&Family) -> bool) -> Vec<Series> {
    let mut all = Vec::new();
    for (place, family) in FAMILIES.iter().enumerate().filter(|(_, family)| wanted(family)) {
        snapshot.visit(family, live, &mut |Point { labels, value, .. }| {
            let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
            let bounds = match value {
                Value::Distribution(times) => times.layout().shown().to_vec(),
                Value::Whole(_) | Value::Number(_) => Vec::new(),
            };
            all.push((place, labels, bounds));
        });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::{self, live};

    fn texts(gone: &[Gone]) -> BTreeSet<String> {
        let text = |gone: &Gone| {
            let labels = gone.labels.iter().skip(1).map(|(_, value)| &**value).collect::<Vec<_>>().join(" ");
            format!("{} {labels}", gone.family.name)
        };
        gone.iter().map(text).collect()
    }

    #[test]
    fn facts_of_the_moment_leave_once() {
        let shown = sample::with_pairs([sample::pair("b", "t")]);
        let mut roster = Roster::default();
        roster.told(&shown, &live());
        assert!(roster.gone(&shown, &live()).is_empty());
        let stale = Arc::new(shown.clone()).at(sample::NOW + 60_000);
        let gone = texts(&roster.gone(&stale, &live()));
        assert_eq!(gone.len(), 3 + 2 * 4, "{gone:?}");
        assert!(gone.contains("jelou_conversations_active b t"), "{gone:?}");
        assert!(gone.contains("jelou_operator_reply_time_recent_seconds b t 99"), "{gone:?}");
        roster.told(&stale, &live());
        assert!(roster.gone(&stale, &live()).is_empty());
    }

    #[test]
    fn a_gauge_of_the_exporter_s_own_leaves_when_it_is_not_known_any_more() {
        let mut shown = sample::empty();
        let mut roster = Roster::default();
        shown.own.clock_offset = Some(5);
        roster.told(&shown, &live());
        shown.own.clock_offset = None;
        assert_eq!(
            texts(&roster.gone(&shown, &live())),
            ["jelou_exporter_api_clock_offset_seconds ".to_owned()].into()
        );
    }

    #[test]
    fn a_forgotten_pair_leaves_but_for_what_has_come_back() {
        let before = sample::with_pairs([sample::pair("b", "silent"), sample::pair("b", "t")]);
        let after = sample::with_pairs([sample::pair("b", "t")]);
        // Shown by the process before, or by this one.
        let mut told = Roster::default();
        told.told(&before, &live());
        for mut roster in [Roster::new(&before), told] {
            assert!(roster.gone(&before, &live()).is_empty());
            let gone = texts(&roster.gone(&after, &live()));
            assert!(gone.contains("jelou_operator_reply_time_seconds b silent"), "{gone:?}");
            assert!(gone.contains("jelou_conversations_started_total b silent none"), "{gone:?}");
            assert!(gone.contains("jelou_conversations_active b silent"), "{gone:?}");
            assert!(gone.iter().all(|series| series.contains(" b silent")), "{gone:?}");
            let mut back = sample::pair("b", "silent");
            back.started.clear();
            back.start = back.start + 1;
            let back = sample::with_pairs([back, sample::pair("b", "t")]);
            assert_eq!(
                texts(&roster.gone(&back, &live())),
                ["jelou_conversations_started_total b silent none".to_owned()].into()
            );
            roster.told(&after, &live());
            assert!(roster.gone(&after, &live()).is_empty());
        }
    }

    #[test]
    fn after_a_restart_facts_of_the_moment_leave_until_they_are_known_again() {
        let mut first = sample::with_pairs([sample::pair("b", "t")]);
        first.conversations.as_mut().unwrap().moments = None;
        let gone = texts(&Roster::new(&first).gone(&first, &live()));
        assert!(gone.contains("jelou_conversations_waiting b t"), "{gone:?}");
    }
}
