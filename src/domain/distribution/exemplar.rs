//! A conversation to look at, for each bucket: from a number back to something that happened.

use super::Distribution;
use crate::domain::conversation::ConversationId;
use crate::domain::time::UnixMillis;

/// The label of an exemplar.
pub const EXEMPLAR_LABEL: &str = "conversation_id";

/// The most code points that an exemplar's label names and values may have together (OpenMetrics 1.0.0, "Exemplars").
const MOST_CODE_POINTS: usize = 128;

/// One conversation that was counted into a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// Its `_id`.
    pub conversation: ConversationId,
    /// When it started.
    pub started: UnixMillis,
    /// Its time, milliseconds.
    pub millis: u64,
    /// When it was counted; within a distribution what is counted later never has an earlier stamp.
    pub counted_at: UnixMillis,
}

/// The newest conversation of each bucket that has one, by the bucket's place among those shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Exemplars(Vec<(u16, Exemplar)>);

impl Exemplars {
    pub(super) fn of_bucket(&self, bucket: usize) -> Option<&Exemplar> {
        let at = self.0.binary_search_by_key(&bucket, |(bucket, _)| usize::from(*bucket)).ok()?;
        Some(&self.0[at].1)
    }

    /// The one that was counted last.
    pub(super) fn newest(&self) -> Self {
        Self(self.0.iter().max_by_key(|(_, exemplar)| exemplar.counted_at).cloned().into_iter().collect())
    }

    /// Those that were counted after all of `earlier`: stamps never run backwards.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let told = earlier.0.iter().map(|(_, exemplar)| exemplar.counted_at).max();
        Self(self.0.iter().filter(|(_, exemplar)| told < Some(exemplar.counted_at)).cloned().collect())
    }

    fn offer(&mut self, bucket: usize, mut exemplar: Exemplar) {
        // More bounds than this nobody can show; the crowd above them goes without.
        let Ok(bucket) = u16::try_from(bucket) else { return };
        // A clock may be set back, and receivers refuse an exemplar that is older than the one before it.
        let newest = self.0.iter().map(|(_, known)| known.counted_at).max();
        exemplar.counted_at = exemplar.counted_at.max(newest.unwrap_or(exemplar.counted_at));
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) if self.0[at].1.started > exemplar.started => {}
            Ok(at) => self.0[at].1 = exemplar,
            Err(at) => self.0.insert(at, (bucket, exemplar)),
        }
    }
}

impl Distribution {
    /// Counts one time in milliseconds, as [`Distribution::record`] does, and keeps its conversation as the exemplar of
    /// its bucket unless a newer one stands there. An id too long for an exemplar is counted all the same.
    pub fn record_conversation(&mut self, millis: u64, id: &ConversationId, started: UnixMillis, now: UnixMillis) {
        self.record(millis);
        if id.code_points() + EXEMPLAR_LABEL.len() > MOST_CODE_POINTS {
            return;
        }
        let millis = millis.min(super::MAX_MILLIS);
        let bucket = self.layout.shown.partition_point(|bound| *bound < millis);
        self.exemplars.offer(bucket, Exemplar { conversation: id.clone(), started, millis, counted_at: now });
    }

    /// The newest conversation of each bucket that has one, in ascending order of their times.
    pub fn exemplars(&self) -> impl Iterator<Item = &Exemplar> {
        self.exemplars.0.iter().map(|(_, exemplar)| exemplar)
    }

    /// The newest conversation of a bucket, by its place in [`Distribution::buckets`]; the bucket of `+Inf` comes after
    /// these. `None` when none was counted there since the process started.
    pub fn exemplar(&self, bucket: usize) -> Option<&Exemplar> {
        self.exemplars.of_bucket(bucket)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Layout;
    use super::*;

    fn distribution() -> Distribution {
        Distribution::new(Arc::new(Layout::new([1_000, 2_000], 3)), UnixMillis(0))
    }

    fn count(times: &mut Distribution, millis: u64, id: &str, started: i64, now: i64) {
        times.record_conversation(millis, &id.into(), UnixMillis(started), UnixMillis(now));
    }

    fn ids(times: &Distribution) -> [Option<String>; 3] {
        [0, 1, 2].map(|bucket| times.exemplar(bucket).map(|exemplar| exemplar.conversation.to_string()))
    }

    fn some(ids: [&str; 3]) -> [Option<String>; 3] {
        ids.map(|id| Some(id.to_owned()))
    }

    #[test]
    fn each_bucket_keeps_its_newest_conversation() {
        let mut times = distribution();
        for (millis, id) in [(1_000, "a"), (1_001, "b"), (9_000, "c")] {
            count(&mut times, millis, id, 10, 100);
        }
        assert_eq!(ids(&times), some(["a", "b", "c"]));
        count(&mut times, 0, "older", 9, 101);
        count(&mut times, 2_000, "newer", 11, 101);
        assert_eq!(ids(&times), some(["a", "newer", "c"]));
        assert_eq!(times.count(), 5);
        assert_eq!(times.exemplar(1).map(|exemplar| exemplar.millis), Some(2_000));
    }

    #[test]
    fn stamps_never_run_backwards() {
        let mut times = distribution();
        count(&mut times, 1, "a", 10, 100);
        count(&mut times, 1_500, "b", 11, 50);
        assert_eq!(times.exemplar(1).map(|exemplar| exemplar.counted_at), Some(UnixMillis(100)));
    }

    #[test]
    fn an_id_too_long_is_counted_and_not_shown() {
        let longest = "é".repeat(MOST_CODE_POINTS - EXEMPLAR_LABEL.len());
        let mut times = distribution();
        count(&mut times, 1, &format!("{longest}é"), 10, 100);
        assert_eq!((ids(&times)[0].as_deref(), times.count()), (None, 1));
        count(&mut times, 1, &longest, 10, 100);
        assert_eq!(ids(&times)[0], Some(longest));
    }
}
