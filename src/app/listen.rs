//! Where and to whom the web server listens.

use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use listenfd::ListenFd;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tracing::info;

use super::AppError;
use crate::clock::Clock;
use crate::config::WebSettings;
use crate::http::Access;
use crate::live::LiveStats;
use crate::web_config::Source;

/// The listeners that the settings ask for, at least one.
pub(super) async fn bind(web: &WebSettings) -> Result<Vec<TcpListener>, AppError> {
    if web.systemd_socket {
        return passed(ListenFd::from_env());
    }
    let mut listeners = Vec::with_capacity(web.listen_addresses.len());
    for address in &web.listen_addresses {
        let listener = listen(address, &web.listen_addresses).await;
        let unheard = |error| AppError::Listen { setting: "web.listen_address", address: address.clone(), error };
        listeners.push(listener.map_err(unheard)?);
    }
    Ok(listeners)
}

/// Connections that the system may complete before they are accepted, if it allows as many: what is beyond has to knock again
/// after a second, in a flood whoever scrapes among them.
const BACKLOG: u32 = 4096;

/// What the system keeps of an answer until a client takes it: without a bound it is megabytes, for each client that takes
/// nothing, of memory that is not ours but the machine's.
const UNSENT: u32 = 128 << 10;

/// Listens on the first address of this name and port that can be had, where `all` is listened on.
async fn listen(name: &str, all: &[String]) -> io::Result<TcpListener> {
    let mut failure = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for address in lookup_host(name).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if takes_ipv4_of_another(address, all) {
            set_ipv6_v6only(&socket, true)?;
        }
        // Connections of a process before, not quite gone yet, are not in the way.
        socket.set_reuseaddr(true)?;
        match socket.bind(address).and_then(|()| listening(socket)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Whether this is `[::]`, which is every IPv4 address as well, and one of these is listened on with the same port.
fn takes_ipv4_of_another(address: SocketAddr, all: &[String]) -> bool {
    let is_every = address.is_ipv6() && address.ip().is_unspecified();
    is_every && all.iter().any(|other| other.parse::<SocketAddrV4>().is_ok_and(|other| other.port() == address.port()))
}

/// Listens, or listens on as it is wanted here.
fn listening(socket: TcpSocket) -> io::Result<TcpListener> {
    // Accepted connections inherit it.
    socket.set_send_buffer_size(UNSENT)?;
    socket.listen(BACKLOG)
}

/// What systemd has opened.
fn passed(mut sockets: ListenFd) -> Result<Vec<TcpListener>, AppError> {
    let mut listeners = Vec::with_capacity(sockets.len());
    for index in 0..sockets.len() {
        let listener = sockets.take_tcp_listener(index).and_then(|listener| listener.map(into_tokio).transpose());
        let wrong = |error| {
            AppError::Socket(format!(
                "socket {} that systemd passed cannot be used ({error}); the .socket unit must name TCP ports by ListenStream",
                index + 1
            ))
        };
        listeners.extend(listener.map_err(wrong)?);
    }
    if listeners.is_empty() {
        let what = "web.systemd_socket is on, but no socket was passed: start the .socket unit of the exporter rather than its \
                    .service, or switch web.systemd_socket off";
        return Err(AppError::Socket(what.to_owned()));
    }
    Ok(listeners)
}

/// The unit may have left the backlog and the buffers as they are by default: they are as for a socket of our own.
fn into_tokio(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    // A socket is a socket; there is no shorter way from the one type to the other.
    listening(TcpSocket::from_std_stream(OwnedFd::from(listener).into()))
}

/// Who may ask, by the web configuration file if there is one.
pub(super) fn access(web: &WebSettings, clock: &Arc<dyn Clock>, live: &Arc<LiveStats>) -> Result<Access, AppError> {
    let source = match &web.config_file {
        None => Source::none(),
        Some(path) => {
            let source = Source::open(path, web.open_probes, Arc::clone(clock)).map_err(AppError::Web)?;
            let (clock, live) = (Arc::clone(clock), Arc::clone(live));
            source.telling(move |holds| live.web_config_read(holds, clock.now()))
        }
    };
    Ok(Access { source: Arc::new(source), open_probes: web.open_probes })
}

/// Names every address that is listened on, with the scheme by which it is reached.
pub(super) async fn announce(listeners: &[TcpListener], access: &Access, path: &str) -> Result<(), AppError> {
    let scheme = scheme(access).await;
    for address in listeners.iter().map(address) {
        let address = address?;
        info!(%address, path, scheme, version = crate::cli::VERSION, "listening");
    }
    Ok(())
}

/// `https` or `http`.
pub(super) async fn scheme(access: &Access) -> &'static str {
    if access.source.current().await.tls.is_some() { "https" } else { "http" }
}

/// The address that a listener has got.
pub(super) fn address(listener: &TcpListener) -> Result<SocketAddr, AppError> {
    listener.local_addr().map_err(|error| AppError::Socket(format!("the address of a socket cannot be told: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::sockopt::get_socket_send_buffer_size;

    /// Linux tells twice what was set: it counts its own bookkeeping.
    fn is_bounded(socket: impl std::os::fd::AsFd) -> bool {
        get_socket_send_buffer_size(socket).unwrap() <= 2 * UNSENT as usize
    }

    #[tokio::test]
    async fn what_systemd_passed_is_bounded_as_our_own() {
        let ours = listen("127.0.0.1:0", &[]).await.unwrap();
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::sockopt::set_socket_send_buffer_size(&other, 1 << 20).unwrap();
        let address = other.local_addr().unwrap();
        let passed = into_tokio(other).unwrap();
        assert_eq!(passed.local_addr().unwrap(), address);
        for listener in [ours, passed] {
            assert!(is_bounded(&listener));
            let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (accepted, peer) = listener.accept().await.unwrap();
            assert!(is_bounded(&accepted) && peer == client.local_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn every_address_of_both_versions_at_one_port() {
        let every = "[::]:0".parse().unwrap();
        assert!(takes_ipv4_of_another(every, &["0.0.0.0:0".to_owned()]));
        for apart in ["0.0.0.0:1", "[::]:0", "localhost:0"] {
            assert!(!takes_ipv4_of_another(every, &[apart.to_owned()]), "{apart}");
        }
        let four = listen("0.0.0.0:0", &[]).await.unwrap();
        let port = four.local_addr().unwrap().port();
        let (four, six) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
        match listen(&six, &[four, six.clone()]).await {
            Ok(six) => assert_eq!(six.local_addr().unwrap().port(), port),
            // No other program has it, and IPv4 was not in the way.
            Err(error) => {
                assert_ne!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
                println!("left out: this machine speaks no IPv6 ({error})");
            }
        }
    }
}
