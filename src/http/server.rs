//! Connections: greeted, answered, drained.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Version;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::body::Held;
use super::crowd::{Crowd, Place};
use super::door::{Door, crowded};
use super::drops::Drops;
use super::gate::{self, Gate, Greeting};
use super::limits::{HEAD_BYTES, Limits, RESETS, STREAMS, raise_open_files};
use super::tarpit::Tarpit;
use super::watched::Watched;
use super::{Access, HttpState};
use crate::domain::label::HttpDrop;
use crate::web_config::{Source, Tls, WebConfig};

/// Serves HTTP/1 and HTTP/2 until `shutdown`, with TLS if `access` says so, then lets open answers end for 2 s and closes
/// the rest.
pub async fn serve(listeners: Vec<TcpListener>, state: HttpState, access: Access, shutdown: impl Future<Output = ()>) {
    raise_open_files();
    serve_within(Limits::default(), listeners, state, access, shutdown).await;
}

/// What all connections share.
struct Server {
    state: HttpState,
    gate: Gate,
    crowd: Arc<Crowd>,
    tarpit: Tarpit,
    drops: Drops,
}

pub(super) async fn serve_within(
    limits: Limits,
    listeners: Vec<TcpListener>,
    state: HttpState,
    access: Access,
    shutdown: impl Future<Output = ()>,
) {
    let drops = Drops::new(Arc::clone(&state.live));
    let (gate, crowd, tarpit) = (Gate::new(access), Arc::new(Crowd::new(limits)), Tarpit::new(limits));
    let server = Arc::new(Server { state, gate, crowd, tarpit, drops });
    let stopping = watch::Sender::new(false);
    let mut connections = JoinSet::new();
    let served = Door::new(&listeners, &server.crowd, &server.tarpit, &server.drops).keep(|stream, peer, place| {
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(Arc::clone(&server), stream, peer, place, stopping.subscribe()));
    });
    tokio::select! {
        () = served => {}
        () = shutdown => {}
    }
    // New connections are refused from here on, not left hanging.
    drop(listeners);
    stopping.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain, drained).await.is_err() {
        tracing::warn!("some HTTP connections were closed before their answer had ended");
    }
    connections.shutdown().await;
    server.tarpit.empty();
}

/// Serves a connection for as long as it may last.
async fn connection(
    server: Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    stopping: watch::Receiver<bool>,
) {
    place.link.begins();
    // Answers are written whole; without this a small last packet could wait for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    tokio::select! {
        () = greeted(&server, stream, peer, &place, stopping) => return,
        () = place.link.closing() => {}
        why = place.link.overdue(server.crowd.limits()) => {
            if let Some(why) = why {
                server.drops.dropped(why, &peer.to_string());
            }
            return;
        }
    }
    // What was greeted is gone by now, and has left its socket if that is to outlive it.
    if let Some((socket, midst)) = place.link.left() {
        server.tarpit.take(socket, midst);
    }
}

/// Shakes hands if need be, and goes on with HTTP.
async fn greeted(
    server: &Arc<Server>,
    stream: TcpStream,
    peer: SocketAddr,
    place: &Place,
    mut stopping: watch::Receiver<bool>,
) {
    let source = &server.gate.access.source;
    let config = source.current().await;
    let Some(tls) = &config.tls else {
        place.link.greeted();
        let stream = Watched::new(stream, Arc::clone(&place.link));
        let greeting = Greeting { config: Arc::clone(&config), certificates: Vec::new(), peer: peer.ip() };
        return converse(server, Box::new(stream), place, greeting, leave(source, &config, &mut stopping)).await;
    };
    let stream = tokio::select! {
        greeted = handshake(server, tls, stream, place) => greeted,
        () = stops(&mut stopping) => return,
    };
    match stream {
        Ok(Some(stream)) => {
            place.link.greeted();
            let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let certificates = shown.iter().map(|certificate| certificate.clone().into_owned()).collect();
            let greeting = Greeting { config: Arc::clone(&config), certificates, peer: peer.ip() };
            converse(server, Box::new(stream), place, greeting, leave(source, &config, &mut stopping)).await;
        }
        Ok(None) => {}
        Err(error) => server.drops.dropped(HttpDrop::Handshake, &format!("{peer}: {error}")),
    }
}

async fn stops(stopping: &mut watch::Receiver<bool>) {
    // Nobody left to say so means the same.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Completes when a connection is to end: the server stops, or what the connection was begun by holds no longer.
async fn leave(source: &Source, config: &Arc<WebConfig>, stopping: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = stops(stopping) => {}
        () = source.outdated(config) => {}
    }
}

type Secured = TlsStream<Watched<TcpStream>>;

/// The TLS handshake; nothing when the peer said nothing or spoke plain HTTP, which is answered in kind.
async fn handshake(server: &Server, tls: &Tls, mut stream: TcpStream, place: &Place) -> io::Result<Option<Secured>> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => return Ok(None),
        _ if first[0].is_ascii_uppercase() => {
            // What it sent is taken from the socket: the system would answer its close with a reset, which outruns the answer.
            let _ = stream.try_read(&mut [0; 4096]);
            stream.write_all(PLAIN_REFUSED).await?;
            server.state.live.count_answer(400);
            stream.shutdown().await?;
            return Ok(None);
        }
        _ => {}
    }
    let stream = Watched::new(stream, Arc::clone(&place.link));
    TlsAcceptor::from(Arc::clone(&tls.server)).accept(stream).await.map(Some)
}

const PLAIN_REFUSED: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\r\nHTTPS is spoken here, and this was plain HTTP.\n";

/// A connection with TLS or without: one type, so that its HTTP is compiled, and in memory, once for both.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Answers requests until the peer leaves, or until `leave`: then what is open is answered, and no more.
async fn converse(
    server: &Arc<Server>,
    stream: Box<dyn Stream>,
    place: &Place,
    greeting: Greeting,
    leave: impl Future<Output = ()>,
) {
    let builder = if greeting.config.http1_only { protocols().http1_only() } else { protocols() };
    let greeting = Arc::new(greeting);
    let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| {
        let mut admitted =
            server.crowd.admit(&place.link, request.version() == Version::HTTP_2, || crowded(&server.drops));
        let (server, greeting) = (Arc::clone(server), Arc::clone(&greeting));
        async move {
            let seen = gate::Request {
                method: request.method(),
                path: request.uri().path(),
                headers: request.headers(),
                greeting: &greeting,
                has_room: admitted.has_room,
            };
            let response = server.gate.answer(&server.state, &server.drops, seen).await;
            admitted.made();
            Ok::<_, Infallible>(response.map(|body| Held::new(body, admitted)))
        }
    });
    let mut served = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = leave => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        if error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse_too_large) {
            // hyper has answered that itself.
            server.state.live.count_answer(431);
        }
        tracing::debug!(error, "an HTTP connection broke");
    }
}

/// HTTP/1 and HTTP/2 within our limits. Times are kept by [`super::link::Link`], so hyper needs none of its own, but for
/// asking whether an idle peer is still there.
fn protocols() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES);
    let bytes = u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(Duration::from_secs(30));
    builder.http2().max_concurrent_streams(STREAMS).max_header_list_size(bytes);
    builder.http2().max_pending_accept_reset_streams(RESETS);
    builder
}
