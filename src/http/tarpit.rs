//! Connections that had to leave in the midst of asking, and are closed only some time later.
//!
//! Whoever asks again and again comes again as soon as its connection is closed, and sends away the next, who does the same: with
//! more of them than there are places, the processor is spent on letting in, and a scrape from the same address finds hundreds
//! before it whenever it comes. Without an answer and without an end they wait, and the places go to those who are there.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::limits::Limits;

/// Where they are until they are closed.
#[derive(Debug)]
pub(super) struct Tarpit {
    limits: Limits,
    room: Arc<Semaphore>,
}

impl Tarpit {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, room: Arc::new(Semaphore::new(limits.tarpit)) }
    }

    /// Closes this socket some time later, or at once if there is no room for it.
    pub(super) fn take(&self, socket: OwnedFd) {
        if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
            let until = sleep(self.limits.tarpit_time);
            tokio::spawn(async move {
                until.await;
                drop((socket, room));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read as _};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;
    use tokio::time::Instant;

    /// Whether there is nothing to read, not even an end.
    fn is_open(client: &mut TcpStream) -> bool {
        client.set_nonblocking(true).unwrap();
        client.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    #[tokio::test(start_paused = true)]
    async fn a_socket_is_closed_some_time_later_or_at_once_when_there_is_no_room() {
        let tarpit = Tarpit::new(Limits { tarpit: 1, ..Limits::default() });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = || {
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            tarpit.take(listener.accept().unwrap().0.into());
            client
        };
        for _ in 0..2 {
            let began = Instant::now();
            let (mut first, mut second) = (taken(), taken());
            assert_eq!(second.read(&mut [0]).unwrap(), 0);
            while is_open(&mut first) {
                sleep(Duration::from_millis(10)).await;
                assert!(began.elapsed() < Duration::from_secs(1000), "it is never closed");
            }
            // Its end may take a moment to arrive.
            assert!(began.elapsed() >= Limits::default().tarpit_time);
        }
    }
}
