//! What stands still of a snapshot, encoded and packed once, however often it is scraped.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::watch;

use super::negotiation::Coding;
use super::pack::Packed;
use crate::domain::snapshot::Snapshot;
use crate::domain::time::UnixMillis;
use crate::render::exposition::{self, Format, Options};

/// So many are encoded and packed in less than a millisecond, with the default buckets: a thread for it would take long to
/// start beside that, and memory.
const FEW_PAIRS: usize = 16;

/// The bytes of the snapshot that is shown, by format and packing, each made when it is first asked for.
///
/// The lock is held to look, never to encode. Scrapes that come while the bytes they want are made wait for those, and for
/// nothing else: neither for another format nor for a newer snapshot.
pub(super) struct Cache {
    options: Options,
    newest: Mutex<Generation>,
}

/// All that was made of one snapshot.
#[derive(Default)]
struct Generation {
    /// Weak: the cache keeps bytes, not the snapshot; while this lives, no other snapshot can have its address.
    of: Weak<Snapshot>,
    /// Whether the facts of the moment have left it.
    stale: bool,
    made: Vec<(Format, Coding, Made)>,
}

/// Comes when it is ready. The sender is gone without a word if the encoder panicked.
type Made = watch::Receiver<Option<Result<Arc<Packed>, String>>>;

impl Cache {
    pub(super) fn new(options: Options) -> Self {
        Self { options, newest: Mutex::default() }
    }

    /// The newest snapshot as it is at `now`, in this format and packing; and that snapshot.
    pub(super) async fn kept(
        &self,
        snapshots: &watch::Receiver<Arc<Snapshot>>,
        now: UnixMillis,
        format: Format,
        coding: Coding,
    ) -> Result<(Arc<Snapshot>, Arc<Packed>), String> {
        let (snapshot, made) = self.made(snapshots, now, format, coding);
        Ok((snapshot, Self::ready(made).await?))
    }

    async fn ready(mut made: Made) -> Result<Arc<Packed>, String> {
        let ready = made.wait_for(Option::is_some).await.map(|ready| ready.clone());
        ready.ok().flatten().unwrap_or_else(|| Err("the metrics could not be encoded: the encoder panicked".to_owned()))
    }

    fn made(
        &self,
        snapshots: &watch::Receiver<Arc<Snapshot>>,
        now: UnixMillis,
        format: Format,
        coding: Coding,
    ) -> (Arc<Snapshot>, Made) {
        // A generation is whole after every step, so a panic elsewhere does not spoil it.
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken under the lock, so that whoever was slow does not bring an older one back.
        let snapshot = Arc::clone(&snapshots.borrow());
        let stale = snapshot.is_stale(now);
        let mut outdated = Generation::default();
        if newest.stale != stale || !std::ptr::eq(newest.of.as_ptr(), Arc::as_ptr(&snapshot)) {
            outdated = Generation { of: Arc::downgrade(&snapshot), stale, made: Vec::new() };
            std::mem::swap(&mut *newest, &mut outdated);
        }
        // What failed is tried again by the next scrape.
        newest.made.retain(|(.., made)| match &*made.borrow() {
            None => made.has_changed().is_ok(),
            Some(ready) => ready.is_ok(),
        });
        let known = newest.made.iter().find(|known| (known.0, known.1) == (format, coding));
        if let Some((.., made)) = known {
            return (snapshot, made.clone());
        }
        let (done, made) = watch::channel(None);
        let (shown, options) = (snapshot.at(now), self.options);
        let pairs = shown.conversations.as_ref().map_or(0, |conversations| conversations.pairs.len());
        let make = move || {
            let packed = Packed::new(coding, |give| exposition::kept(format, options, &shown, give));
            let packed = packed.map_err(|error| format!("the metrics could not be packed: {error}"));
            done.send_replace(Some(packed.map(Arc::new)));
            // Megabytes are given back here rather than under the lock.
            drop(outdated);
        };
        // To its end, though whoever asked first may have gone; and beside the threads that serve connections, if it is much.
        if pairs > FEW_PAIRS {
            tokio::task::spawn_blocking(make);
        } else {
            tokio::spawn(async move { make() });
        }
        newest.made.push((format, coding, made.clone()));
        (snapshot, made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[tokio::test]
    async fn a_snapshot_is_encoded_once_and_again_when_it_goes_stale() {
        let cache = Cache::new(Options::default());
        let (publish, snapshots) = watch::channel(Arc::new(sample::with_pairs([sample::pair("b", "t")])));
        let kept = async |now, format, coding| cache.kept(&snapshots, now, format, coding).await.unwrap().1;
        let first = kept(sample::NOW, Format::Text, Coding::Identity).await;
        let (second, gzip) = tokio::join!(
            kept(sample::NOW + 59_999, Format::Text, Coding::Identity),
            kept(sample::NOW, Format::Text, Coding::Gzip),
        );
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &gzip));
        let other = kept(sample::NOW, Format::Protobuf, Coding::Gzip).await;
        assert!(!Arc::ptr_eq(&gzip, &other));
        assert!(Arc::ptr_eq(&gzip, &kept(sample::NOW, Format::Text, Coding::Gzip).await));

        let length = |packed: &Packed| packed.followed_by(Vec::new()).unwrap().bytes();
        let stale = kept(sample::NOW + 60_000, Format::Text, Coding::Identity).await;
        assert!(length(&first) > length(&stale));
        assert!(Arc::ptr_eq(&stale, &kept(sample::NOW + 70_000, Format::Text, Coding::Identity).await));

        publish.send_replace(Arc::new(sample::empty()));
        let empty = kept(sample::NOW, Format::Text, Coding::Identity).await;
        assert!(length(&empty) < length(&stale));
    }

    #[tokio::test]
    async fn few_pairs_and_many_are_encoded_alike() {
        let cache = Cache::new(Options::default());
        for count in [FEW_PAIRS, FEW_PAIRS + 1] {
            let pairs = (0..count).map(|number| sample::pair("b", &format!("t{number}")));
            let (_publish, snapshots) = watch::channel(Arc::new(sample::with_pairs(pairs)));
            let (_, made) = cache.kept(&snapshots, sample::NOW, Format::Text, Coding::Identity).await.unwrap();
            let bytes = made.followed_by(Vec::new()).unwrap().bytes();
            let mut expected = 0;
            let mut add = |piece: &[u8]| expected += piece.len() as u64;
            exposition::kept(Format::Text, Options::default(), &snapshots.borrow(), &mut add);
            assert_eq!(bytes, expected, "{count} pairs");
        }
    }

    #[tokio::test]
    async fn whoever_asks_together_shares_one_encoding() {
        let cache = Cache::new(Options::default());
        let (_publish, snapshots) = watch::channel(Arc::new(sample::with_pairs([sample::pair("b", "t")])));
        let (_, mut waits) = cache.made(&snapshots, sample::NOW, Format::Text, Coding::Gzip);
        let (_, mut too) = cache.made(&snapshots, sample::NOW, Format::Text, Coding::Gzip);
        let [one, two] = [&mut waits, &mut too].map(|made| made.wait_for(Option::is_some));
        let (one, two) = (one.await.unwrap().clone(), two.await.unwrap().clone());
        assert!(Arc::ptr_eq(&one.unwrap().unwrap(), &two.unwrap().unwrap()));
    }

    #[tokio::test]
    async fn a_failure_is_told_and_not_kept() {
        let cache = Cache::new(Options::default());
        let (_publish, snapshots) = watch::channel(Arc::new(sample::empty()));
        let (snapshot, _) = cache.kept(&snapshots, sample::NOW, Format::Text, Coding::Gzip).await.unwrap();
        // An encoder that panicked has dropped its sender.
        let broken = |ready| vec![(Format::Text, Coding::Identity, watch::channel(ready).1)];
        for (ready, why) in [(None, "panicked"), (Some(Err("odd".to_owned())), "odd")] {
            let made = broken(ready);
            let error = Cache::ready(made[0].2.clone()).await.err().unwrap();
            assert!(error.contains(why), "{error}");
            *cache.newest.lock().unwrap() = Generation { of: Arc::downgrade(&snapshot), stale: false, made };
            cache.kept(&snapshots, sample::NOW, Format::Text, Coding::Identity).await.unwrap();
        }
    }
}
