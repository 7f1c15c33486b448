//! The page at `/`: rendered beside the threads that serve connections, at most once a second, and under a strict policy.

use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::http::HeaderValue;
use ring::digest::{SHA256, digest};

use super::HttpState;
use crate::domain::snapshot::Snapshot;
use crate::panics;
use crate::render::page::{self, STYLE, View};

/// Nothing is loaded, nothing runs, nothing may frame the page. Of styles only the page's own, known by its hash; of
/// pictures only those within the page (the sign in the tab).
pub(super) fn security_policy() -> HeaderValue {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let style = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        HeaderValue::try_from(policy).expect("it is made of plain letters")
    });
    POLICY.clone()
}

/// What a page is sent in: what waits for a slow client is a piece, not the page.
const PIECE: usize = 16 << 10;

/// The page as it was rendered last.
#[derive(Default)]
pub(super) struct LastPage {
    last: Mutex<Option<Rendered>>,
    /// Whose turn it is to render: many who ask at once are given one page. It ends with the rendering, even if whoever
    /// asked for that has left.
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Rendered {
    /// Weak: while this lives, no other snapshot can have its address.
    of: Weak<Snapshot>,
    /// The second for which ages are told.
    second: i64,
    html: Vec<Bytes>,
}

/// The page as it is now, in pieces.
///
/// # Errors
///
/// When rendering panicked.
pub(super) async fn rendered(state: &HttpState) -> Result<Vec<Bytes>, String> {
    let (snapshot, now) = (state.snapshot(), state.clock.now());
    if let Some(html) = state.page.known(&snapshot, now.seconds()) {
        return Ok(html);
    }
    let turn = Arc::clone(&state.page.turn).lock_owned().await;
    // Meanwhile somebody else may have had it rendered.
    let (snapshot, now) = (state.snapshot(), state.clock.now());
    if let Some(html) = state.page.known(&snapshot, now.seconds()) {
        return Ok(html);
    }
    let (shown, live, path) = (snapshot.at(now), state.live.live(), state.telemetry_path.clone());
    let (last, of) = (Arc::clone(&state.page), Arc::downgrade(&snapshot));
    // To its end, and kept, though whoever asked may go meanwhile: asking and leaving renders no page twice.
    let html = tokio::task::spawn_blocking(move || {
        let html = page::html(&View { snapshot: &shown, live: &live, now, telemetry_path: &path });
        let html: Vec<_> = html.as_bytes().chunks(PIECE).map(Bytes::copy_from_slice).collect();
        *last.lock() = Some(Rendered { of, second: now.seconds(), html: html.clone() });
        drop(turn);
        html
    });
    html.await.map_err(|error| format!("the page could not be rendered: {}", panics::why(&error)))
}

impl LastPage {
    fn known(&self, snapshot: &Arc<Snapshot>, second: i64) -> Option<Vec<Bytes>> {
        let last = self.lock();
        let last = last.as_ref().filter(|last| last.second == second && last.of.as_ptr() == Arc::as_ptr(snapshot))?;
        Some(last.html.clone())
    }

    /// It is whole after every step, so a panic elsewhere does not spoil it.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Rendered>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::watch;

    use crate::clock::ManualClock;
    use crate::live::LiveStats;
    use crate::render::exposition::Options;
    use crate::render::sample;

    #[tokio::test]
    async fn whoever_asks_meanwhile_is_given_the_same_page_in_pieces() {
        let pairs = (0..200).map(|number| sample::pair("bot", &format!("team {number}")));
        let (_publish, snapshots) = watch::channel(Arc::new(sample::with_pairs(pairs)));
        let (clock, live) = (Arc::new(ManualClock::new(sample::NOW)), Arc::new(LiveStats::new(false)));
        let state = HttpState::new(snapshots, clock, live, "/metrics", Options::default());
        let pages = tokio::join!(rendered(&state), rendered(&state), rendered(&state));
        let [one, two, three] = [pages.0, pages.1, pages.2].map(Result::unwrap);
        let places = |page: &[Bytes]| page.iter().map(|piece| piece.as_ptr()).collect::<Vec<_>>();
        assert!(places(&one) == places(&two) && places(&one) == places(&three), "one rendering");
        assert!(one.len() > 2 && one.iter().all(|piece| piece.len() <= PIECE));
        assert!(one.concat().ends_with(b"</html>\n"));
    }

    #[tokio::test]
    async fn what_was_begun_for_somebody_who_left_is_given_to_the_next() {
        let (_publish, snapshots) = watch::channel(Arc::new(sample::with_pairs([sample::pair("bot", "team")])));
        let (clock, live) = (Arc::new(ManualClock::new(sample::NOW)), Arc::new(LiveStats::new(false)));
        let state = HttpState::new(snapshots, clock, live, "/metrics", Options::default());
        // It is asked once, which begins the rendering, and let go.
        drop(tokio::time::timeout(Duration::ZERO, rendered(&state)).await);
        let known = async {
            loop {
                if let Some(html) = state.page.known(&state.snapshot(), sample::NOW.seconds()) {
                    return html;
                }
                tokio::task::yield_now().await;
            }
        };
        let kept = tokio::time::timeout(Duration::from_secs(20), known).await.expect("it was kept");
        assert_eq!(rendered(&state).await.unwrap()[0].as_ptr(), kept[0].as_ptr());
    }
}
