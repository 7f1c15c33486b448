//! The stream of a connection: it tells what goes on, and leaves others their turn.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::limits::BURST;
use super::link::Link;

/// A stream that tells its [`Link`] what goes on, and leaves its socket there if that is to outlive the connection.
#[derive(Debug)]
pub(super) struct Watched<S: AsFd> {
    stream: S,
    link: Arc<Link>,
    blocked: bool,
    /// Bytes since it was last the turn of others.
    burst: usize,
}

impl<S: AsFd> Watched<S> {
    pub(super) const fn new(stream: S, link: Arc<Link>) -> Self {
        Self { stream, link, blocked: false, burst: 0 }
    }

    /// Whether it is the turn of other connections. A client that reads as fast as we write would have the thread for as long as
    /// there is something to write: for sixteen large answers at once, while all others wait.
    fn yields(&mut self, cx: &Context<'_>) -> bool {
        let yields = self.burst >= BURST;
        if yields {
            self.burst = 0;
            cx.waker().wake_by_ref();
        }
        yields
    }

    fn wrote(&mut self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = poll {
            self.burst += bytes;
            self.link.took();
        }
        if self.blocked != poll.is_pending() {
            self.blocked = poll.is_pending();
            self.link.blocked(self.blocked);
        }
        poll
    }
}

impl<S: AsFd> Drop for Watched<S> {
    /// A file of its own for the socket, which stays open when the runtime, as it always does, forgets this one and closes it.
    fn drop(&mut self) {
        if self.link.lingers()
            && let Ok(socket) = self.stream.as_fd().try_clone_to_owned()
        {
            self.link.leaves(socket);
        }
    }
}

impl<S: AsyncRead + AsFd + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_pending() {
            self.link.silent();
        }
        ready!(read)?;
        if buf.filled().len() > before {
            self.link.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + AsFd + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.yields(cx) {
            return Poll::Pending;
        }
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.yields(cx) {
            return Poll::Pending;
        }
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.wrote(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream that takes everything.
    struct Sink(tokio::io::Sink, std::fs::File);

    impl AsyncWrite for Sink {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    impl AsFd for Sink {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.1.as_fd()
        }
    }

    #[tokio::test]
    async fn a_connection_that_takes_all_leaves_the_others_their_turn() {
        let sink = Sink(tokio::io::sink(), std::fs::File::open("/dev/null").unwrap());
        let mut stream = Watched::new(sink, Arc::new(Link::new()));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let piece = vec![0; BURST];
        let mut write = || Pin::new(&mut stream).poll_write(&mut cx, &piece);
        for _ in 0..3 {
            assert!(matches!(write(), Poll::Ready(Ok(BURST))));
            assert!(write().is_pending());
        }
        assert!(!stream.blocked, "the client is not to blame");
    }
}
