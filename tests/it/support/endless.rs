//! A body without an end.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};

/// The same piece again and again, the first before it; counts the bytes.
pub(crate) struct Endless {
    first: Option<Bytes>,
    piece: Bytes,
    sent: Arc<AtomicU64>,
}

impl Endless {
    pub(crate) fn new(first: Vec<u8>, piece: Bytes, sent: &Arc<AtomicU64>) -> Self {
        Self { first: Some(first.into()), piece, sent: Arc::clone(sent) }
    }
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.first.take().unwrap_or_else(|| self.piece.clone());
        self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}
