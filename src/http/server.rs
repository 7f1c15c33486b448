//! Connections: accepted, limited, drained.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{HttpState, routes};

/// How much patience the server has, and with how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at once; more wait in the kernel's queue.
    pub(super) connections: usize,
    /// From the first byte of a request to the end of its headers; also how long a connection may be idle.
    pub(super) header_read: Duration,
    /// From shutdown to the end of the last answer.
    pub(super) drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 512, header_read: Duration::from_secs(10), drain: Duration::from_secs(2) }
    }
}

/// How long accepting rests after an error of the machine (no file descriptors, no memory) instead of spinning.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Serves HTTP/1 and HTTP/2 (without TLS) until `shutdown`, then lets open answers end for 2 s and closes the rest.
pub async fn serve(listener: TcpListener, state: HttpState, shutdown: impl Future<Output = ()>) {
    serve_within(Limits::default(), listener, state, shutdown).await;
}

pub(super) async fn serve_within(
    limits: Limits,
    listener: TcpListener,
    state: HttpState,
    shutdown: impl Future<Output = ()>,
) {
    let state = Arc::new(state);
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    tokio::select! {
        () = accept(limits, &listener, &state, &graceful, &mut connections) => {}
        () = shutdown => {}
    }
    // New connections are refused from here on, not left hanging.
    drop(listener);
    if timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("some HTTP connections were closed before their answer had ended");
    }
    connections.shutdown().await;
}

async fn accept(
    limits: Limits,
    listener: &TcpListener,
    state: &Arc<HttpState>,
    graceful: &GracefulShutdown,
    connections: &mut JoinSet<()>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let mut failing = false;
    // The semaphore is never closed, so this goes on until the caller stops it.
    while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                failing = false;
                while connections.try_join_next().is_some() {}
                let (state, watcher) = (Arc::clone(state), graceful.watcher());
                connections.spawn(async move {
                    connection(limits, stream, state, watcher).await;
                    drop(slot);
                });
            }
            // The peer went away before it was its turn.
            Err(error) if is_of_peer(&error) => {}
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "HTTP connections cannot be accepted; trying on");
                }
                failing = true;
                sleep(ACCEPT_REST).await;
            }
        }
    }
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn connection(limits: Limits, stream: TcpStream, state: Arc<HttpState>, watcher: Watcher) {
    // Answers are written whole; without this a small last packet could wait for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let asked = AtomicBool::new(false);
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let state = Arc::clone(&state);
        async move {
            let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
            Ok::<_, Infallible>(routes::answer(&state, method, path, headers).await)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_read).max_buf_size(64 << 10);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30)).max_concurrent_streams(32);
    let mut served = pin!(watcher.watch(builder.serve_connection(TokioIo::new(stream), service)));
    // hyper starts its own timer only when it knows the protocol: a peer that sends less must not keep its slot.
    let ended = tokio::select! {
        ended = &mut served => Some(ended),
        () = sleep(limits.header_read) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None if asked.load(Ordering::Relaxed) => served.await,
        None => return,
    };
    if let Err(error) = ended {
        tracing::debug!(error, "an HTTP connection broke");
    }
}
