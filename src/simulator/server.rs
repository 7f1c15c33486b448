//! The socket side: one task accepts, one serves each connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, DATE, SERVER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answer::State;
use super::record::http_date;
use super::reply::{Answer, Delivery, Outcome};
use crate::clock::Clock;
use crate::domain::time::UnixMillis;

/// No request of this API is longer.
const LONGEST_REQUEST: usize = 64 * 1024;
/// How long accepting rests after an error.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// How long connections may take to end once the simulator stops; then they are cut.
const DRAIN: Duration = Duration::from_millis(500);

/// What connections share.
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(clock: Arc<dyn Clock>, state: State) -> Self {
        Self { clock, state: Mutex::new(state) }
    }

    /// The state; a test that panicked while holding it has left it whole, as every change is made in one go.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until told to stop (or until whoever could tell is gone).
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            stream = next(&listener) => {
                let Some(stream) = stream else { continue };
                connections.spawn(connection(stream, shared.clone(), stop.clone()));
            }
            Some(_) = connections.join_next() => {}
            () = stopped(&mut stop) => break,
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
}

/// The next connection. A failure may be the machine's (no file descriptors, no memory): then it rests instead of spinning.
async fn next(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "the simulated API could not accept a connection");
            tokio::time::sleep(ACCEPT_REST).await;
            None
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the handle is gone, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn connection(stream: TcpStream, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    let service_stop = stop.clone();
    let service = service_fn(move |request| respond(request, shared.clone(), service_stop.clone()));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let result = tokio::select! {
        result = &mut connection => result,
        () = stopped(&mut stop) => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    if result.is_err_and(|error| error.is_user()) {
        // A reset, not a polite end: without lingering the kernel sends RST when the socket is dropped.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) -> Result<Response<Payload>, io::Error> {
    let arrived = Instant::now();
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LONGEST_REQUEST).collect().await.map_err(io::Error::other)?.to_bytes();
    let now = shared.clock.now();
    let outcome = shared.state().answer(&parts, &body, now, arrived);
    match outcome {
        Outcome::Answer(answer) => respond_with(answer, now, stop),
        Outcome::Break => Err(io::Error::other("broken on purpose")),
        Outcome::Hang => {
            stopped(&mut stop).await;
            Err(io::Error::other("stopped"))
        }
    }
}

fn respond_with(
    answer: Answer,
    now: UnixMillis,
    mut stop: watch::Receiver<bool>,
) -> Result<Response<Payload>, io::Error> {
    let mut response = Response::builder()
        .status(answer.status)
        .header(DATE, http_date(now))
        .header(SERVER, "jelou-simulator")
        .header(CONTENT_TYPE, answer.content_type);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let body = Bytes::from(answer.body);
    let length = body.len() as u64;
    let kept = if answer.delivery == Delivery::Whole { body.len() } else { body.len() / 2 };
    let then: Option<Then> = match answer.delivery {
        Delivery::Whole => None,
        // Yields once, so that what was written so far is sent before the connection breaks.
        Delivery::Cut => Some(Box::pin(tokio::task::yield_now())),
        Delivery::Stalled => Some(Box::pin(async move { stopped(&mut stop).await })),
    };
    response.body(Payload { length, data: Some(body.slice(..kept)), then }).map_err(io::Error::other)
}

type Then = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A body that may end before its announced length.
struct Payload {
    length: u64,
    data: Option<Bytes>,
    /// What to wait for before the body breaks; `None` when it is whole.
    then: Option<Then>,
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match &mut self.then {
            None => Poll::Ready(None),
            Some(then) => then.as_mut().poll(context).map(|()| Some(Err(io::Error::other("cut on purpose")))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.then.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::OwnedFd;

    #[tokio::test]
    async fn a_listener_that_fails_is_left_alone_for_a_while() {
        // Something to accept, on a socket that cannot.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(OwnedFd::from(socket).into()).unwrap();
        let began = Instant::now();
        assert!(next(&listener).await.is_none());
        assert!(began.elapsed() >= ACCEPT_REST);
    }
}
