//! The text of a snapshot, encoded once however often it is scraped.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::Mutex;

use crate::domain::snapshot::Snapshot;
use crate::domain::time::UnixMillis;
use crate::render::text;

/// The newest text and what it was made of. The lock is held while encoding, so that scrapes which come together wait
/// for one encoding instead of each doing it.
#[derive(Default)]
pub(super) struct Cache(Mutex<Option<Entry>>);

struct Entry {
    /// Weak: the cache keeps text, not the snapshot; while this lives, no other snapshot can have its address.
    of: Weak<Snapshot>,
    stale: bool,
    text: Bytes,
}

impl Cache {
    /// The part of the text that stands still while `snapshot` is shown, as it is at `now`.
    pub(super) async fn kept(&self, snapshot: &Arc<Snapshot>, now: UnixMillis) -> Result<Bytes, String> {
        let shown = snapshot.at(now);
        let stale = !Arc::ptr_eq(&shown, snapshot);
        let mut entry = self.0.lock().await;
        if let Some(entry) = &*entry
            && std::ptr::eq(entry.of.as_ptr(), Arc::as_ptr(snapshot))
            && entry.stale == stale
        {
            return Ok(entry.text.clone());
        }
        let text = Bytes::from(encode(move || text::kept(&shown)).await?);
        *entry = Some(Entry { of: Arc::downgrade(snapshot), stale, text: text.clone() });
        Ok(text)
    }
}

/// Encodes beside the threads that serve connections; says what went wrong if it fails or panics.
pub(super) async fn encode(
    encode: impl FnOnce() -> prometheus::Result<String> + Send + 'static,
) -> Result<String, String> {
    match tokio::task::spawn_blocking(encode).await {
        Ok(text) => text.map_err(|error| format!("the metrics could not be encoded: {error}")),
        Err(_) => Err("the metrics could not be encoded: the encoder panicked".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[tokio::test]
    async fn a_snapshot_is_encoded_once_and_again_when_it_goes_stale() {
        let cache = Cache::default();
        let snapshot = Arc::new(sample::with_pairs([sample::pair("b", "t")]));
        let first = cache.kept(&snapshot, sample::NOW).await.unwrap();
        let second = cache.kept(&snapshot, sample::NOW + 59_999).await.unwrap();
        assert_eq!(first.as_ptr(), second.as_ptr());
        let stale = cache.kept(&snapshot, sample::NOW + 60_000).await.unwrap();
        assert!(first.len() > stale.len());
        assert_eq!(stale.as_ptr(), cache.kept(&snapshot, sample::NOW + 70_000).await.unwrap().as_ptr());

        let next = Arc::new(sample::empty());
        assert_ne!(cache.kept(&next, sample::NOW).await.unwrap(), first);
    }

    #[tokio::test]
    async fn a_failure_is_told() {
        let failed = encode(|| Err(prometheus::Error::Msg("odd".into()))).await;
        assert_eq!(failed.unwrap_err(), "the metrics could not be encoded: Error: odd");
        assert!(encode(|| panic!("ouch")).await.unwrap_err().contains("panicked"));
    }
}
