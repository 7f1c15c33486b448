//! Connections that had to leave in the midst of asking, and are closed only some time later.
//!
//! Whoever asks again and again comes again as soon as its connection is closed, and sends away the next, who does the same: with
//! more of them than there are places, the processor is spent on letting in, and a scrape from the same address finds hundreds
//! before it whenever it comes. While their sockets are held, with nothing else of the connection, they wait for an answer.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::{RecvFlags, recv};
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;

use super::limits::Limits;
use super::link::Midst;

/// Where they are until they are closed.
#[derive(Debug)]
pub(super) struct Tarpit {
    limits: Limits,
    room: Arc<Semaphore>,
    emptied: Arc<Notify>,
}

impl Tarpit {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, room: Arc::new(Semaphore::new(limits.tarpit)), emptied: Arc::default() }
    }

    /// Closes this socket some time later, or at once if there is no room for it.
    pub(super) fn take(&self, socket: OwnedFd, midst: Midst) {
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else { return };
        let (limits, emptied) = (self.limits, Arc::clone(&self.emptied));
        tokio::spawn(async move {
            tokio::select! {
                () = until_closed(&socket, midst, limits) => {}
                () = emptied.notified() => {}
            }
            drop((socket, room));
        });
    }

    /// Closes all; whether there were any.
    pub(super) fn empty(&self) -> bool {
        self.emptied.notify_waiters();
        self.room.available_permits() < self.limits.tarpit
    }
}

async fn until_closed(socket: &OwnedFd, midst: Midst, limits: Limits) {
    if midst == Midst::Pause {
        sleep(limits.asks_again).await;
        // It scrapes now and then, or has left.
        if !has_sent(socket) {
            return;
        }
    }
    sleep(limits.tarpit_time).await;
}

/// Whether something was sent that nobody has read.
fn has_sent(socket: &OwnedFd) -> bool {
    recv(socket, &mut [0], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok_and(|bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;
    use tokio::time::Instant;

    /// A client, and its connection as the server has it.
    fn pair() -> (TcpStream, OwnedFd) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(100))).unwrap();
        (client, listener.accept().unwrap().0.into())
    }

    /// Whether there is nothing to read, not even an end.
    fn is_open(client: &mut TcpStream) -> bool {
        client.set_nonblocking(true).unwrap();
        client.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Waits for the end; says after how long it came, but for the moment that it may take to arrive.
    async fn closed(client: &mut TcpStream) -> Duration {
        let began = Instant::now();
        while is_open(client) {
            sleep(Duration::from_millis(10)).await;
            assert!(began.elapsed() < Duration::from_secs(1000), "it is never closed");
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_an_answer_is_held_longer_than_who_may_ask_again() {
        let limits =
            Limits { asks_again: Duration::from_secs(1), tarpit_time: Duration::from_secs(60), ..Limits::default() };
        let tarpit = Tarpit::new(limits);
        for (midst, asks, expected) in
            [(Midst::Pause, false, 1..60), (Midst::Pause, true, 61..1000), (Midst::Answer, false, 60..1000)]
        {
            let (mut client, socket) = pair();
            if asks {
                client.write_all(b"GET").unwrap();
            }
            tarpit.take(socket, midst);
            let taken = closed(&mut client).await.as_secs();
            assert!(expected.contains(&taken), "{midst:?}, asks: {asks}: {taken} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_finds_no_room_is_closed_at_once() {
        let tarpit = Tarpit::new(Limits { tarpit: 1, ..Limits::default() });
        for _ in 0..2 {
            let ((mut first, its), (mut second, another)) = (pair(), pair());
            tarpit.take(its, Midst::Answer);
            tarpit.take(another, Midst::Answer);
            assert_eq!(second.read(&mut [0]).unwrap(), 0);
            assert!(closed(&mut first).await >= Limits::default().tarpit_time);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_are_closed_when_files_are_wanted() {
        let tarpit = Tarpit::new(Limits { tarpit_time: Duration::from_secs(10_000), ..Limits::default() });
        assert!(!tarpit.empty());
        let (mut client, socket) = pair();
        tarpit.take(socket, Midst::Answer);
        tokio::task::yield_now().await;
        assert!(tarpit.empty());
        closed(&mut client).await;
        assert!(!tarpit.empty());
    }
}
