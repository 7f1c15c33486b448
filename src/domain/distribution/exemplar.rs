//! A conversation to look at, for each bucket: from a number back to something that happened.

use std::sync::Arc;

use super::Distribution;
use crate::domain::time::UnixMillis;

/// The label of an exemplar.
pub const EXEMPLAR_LABEL: &str = "conversation_id";

/// The most code points that an exemplar's label names and values may have together (OpenMetrics 1.0.0, "Exemplars").
const MOST_CODE_POINTS: usize = 128;

/// One conversation that was counted into a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// Its `_id`. Shared, for a distribution is copied whenever it changes while a snapshot shows it.
    pub conversation: Arc<str>,
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
    pub fn record_conversation(&mut self, millis: u64, id: &str, started: UnixMillis, now: UnixMillis) {
        self.record(millis);
        // Most ids are so short that their bytes need no counting of code points.
        let room = MOST_CODE_POINTS - EXEMPLAR_LABEL.len();
        if id.len() > room && id.chars().count() > room {
            return;
        }
        let millis = millis.min(super::MAX_MILLIS);
        let bucket = self.layout.shown.partition_point(|bound| *bound < millis);
        self.exemplars.offer(bucket, Exemplar { conversation: id.into(), started, millis, counted_at: now });
    }

    /// The newest conversation of a bucket, by its place in [`Distribution::buckets`]; the bucket of `+Inf` comes after
    /// these. `None` when none was counted there since the process started.
    pub fn exemplar(&self, bucket: usize) -> Option<&Exemplar> {
        self.exemplars.of_bucket(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Layout;
    use super::*;

    fn distribution() -> Distribution {
        Distribution::new(Arc::new(Layout::new([1_000, 2_000], 3)), UnixMillis(0))
    }

    fn ids(times: &Distribution) -> [Option<&str>; 3] {
        [0, 1, 2].map(|bucket| times.exemplar(bucket).map(|exemplar| &*exemplar.conversation))
    }

    #[test]
    fn each_bucket_keeps_its_newest_conversation() {
        let mut times = distribution();
        times.record_conversation(1_000, "a", UnixMillis(10), UnixMillis(100));
        times.record_conversation(1_001, "b", UnixMillis(10), UnixMillis(100));
        times.record_conversation(9_000, "c", UnixMillis(10), UnixMillis(100));
        assert_eq!(ids(&times), [Some("a"), Some("b"), Some("c")]);
        times.record_conversation(0, "older", UnixMillis(9), UnixMillis(101));
        times.record_conversation(2_000, "newer", UnixMillis(11), UnixMillis(101));
        assert_eq!(ids(&times), [Some("a"), Some("newer"), Some("c")]);
        assert_eq!(times.count(), 5);
        assert_eq!(times.exemplar(1).map(|exemplar| exemplar.millis), Some(2_000));
    }

    #[test]
    fn stamps_never_run_backwards() {
        let mut times = distribution();
        times.record_conversation(1, "a", UnixMillis(10), UnixMillis(100));
        times.record_conversation(1_500, "b", UnixMillis(11), UnixMillis(50));
        assert_eq!(times.exemplar(1).map(|exemplar| exemplar.counted_at), Some(UnixMillis(100)));
    }

    #[test]
    fn an_id_too_long_is_counted_and_not_shown() {
        let room = 128 - EXEMPLAR_LABEL.len();
        let mut times = distribution();
        times.record_conversation(1, &"é".repeat(room + 1), UnixMillis(10), UnixMillis(100));
        assert_eq!((ids(&times)[0], times.count()), (None, 1));
        let longest = "é".repeat(room);
        times.record_conversation(1, &longest, UnixMillis(10), UnixMillis(100));
        assert_eq!(ids(&times)[0], Some(&*longest));
    }
}
