//! An authority of our own, a door of TLS before a plain server, and a proxy on the way there.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::world::RUNTIME;

#[path = "../../../src/tls/tests.rs"]
mod authority;
pub(crate) use authority::Authority;

/// Opens TLS before the server at this address; returns its own.
pub(crate) fn door(to: &str, name: &str, authority: &Authority, clients: Option<&Authority>) -> String {
    let acceptor = TlsAcceptor::from(Arc::new(authority.server(name, clients)));
    let to = to.to_owned();
    serve(move |stream| {
        let (acceptor, to) = (acceptor.clone(), to.clone());
        async move {
            let mut inside = TcpStream::connect(to).await?;
            let mut outside = acceptor.accept(stream).await?;
            copy_bidirectional(&mut outside, &mut inside).await.map(drop)
        }
    })
}

/// A proxy that leads wherever it is asked to go to the same server.
pub(crate) struct Proxy {
    pub(crate) address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) fn to(server: &str) -> Self {
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (to, seen) = (server.to_owned(), Arc::clone(&heads));
        let address = serve(move |mut stream| {
            let (to, seen) = (to.clone(), Arc::clone(&seen));
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let text = String::from_utf8_lossy(&head).into_owned();
                let is_tunnel = text.starts_with("CONNECT ");
                seen.lock().unwrap().push(text);
                let mut inside = TcpStream::connect(to).await?;
                match is_tunnel {
                    true => stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?,
                    false => inside.write_all(&head).await?,
                }
                copy_bidirectional(&mut stream, &mut inside).await.map(drop)
            }
        });
        Self { address, heads }
    }

    /// The first line and all headers of every request so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Hands each connection over; what goes wrong in one is its end and nobody else's.
fn serve<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    RUNTIME.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(handle(stream));
        }
    });
    address
}
