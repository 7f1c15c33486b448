//! The way in: connections are accepted as they come, and let in as there is room.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{unconstrained, yield_now};
use tokio::time::{Instant, sleep};

use super::crowd::{Crowd, Place};
use super::drops::Drops;
use super::limits::LOOK;
use super::lobby::{Lobby, Next};
use super::peers::Peer;
use super::tarpit::Tarpit;
use crate::domain::label::HttpDrop;

/// How long accepting rests after an error of the machine (no file descriptors, no memory) instead of spinning.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// How many are accepted before it is the turn of others.
const AT_ONCE: usize = 1024;

/// How many are let in before it is the turn of others.
const LET_IN_AT_ONCE: usize = 8;

/// At which pace those are let in who found no place when they came.
#[derive(Debug)]
struct Pace {
    /// When it is the next one's time.
    due: Instant,
}

impl Pace {
    /// From one to the next.
    const STEP: Duration = Duration::from_millis(1);
    /// How many steps may be made up for.
    const MADE_UP_FOR: u32 = 8;

    fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    fn step(&mut self, now: Instant) {
        let earliest = now.checked_sub(Self::STEP * Self::MADE_UP_FOR).unwrap_or(now);
        self.due = self.due.max(earliest) + Self::STEP;
    }

    /// Who of the peer who is next is let in.
    ///
    /// Whoever was sent away comes again and sends the next away, so if newcomers were always first, some of the others would
    /// wait for ever; and if all had their turn in order, newcomers would have to wait behind the whole crowd.
    fn choose(&self, next: Next, now: Instant, stall: Duration) -> Option<Chosen> {
        let has_waited = |since| now - since > stall;
        if has_waited(next.oldest) && self.is_due(now) {
            Some(Chosen::Oldest)
        } else {
            (!has_waited(next.newest)).then_some(Chosen::Newest)
        }
    }
}

/// Who of those of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chosen {
    Newest,
    Oldest,
}

/// A connection that was accepted, and from where it came.
type Arrival = (TcpStream, SocketAddr);

/// Accepts connections, and lets each in once it has a place.
pub(super) struct Door<'a> {
    listeners: &'a [TcpListener],
    crowd: &'a Arc<Crowd>,
    tarpit: &'a Tarpit,
    drops: &'a Drops,
    lobby: Lobby<Arrival>,
    /// The listener that is asked first.
    turn: usize,
    pace: Pace,
    failing: bool,
}

impl<'a> Door<'a> {
    pub(super) fn new(
        listeners: &'a [TcpListener],
        crowd: &'a Arc<Crowd>,
        tarpit: &'a Tarpit,
        drops: &'a Drops,
    ) -> Self {
        Self {
            listeners,
            crowd,
            tarpit,
            drops,
            lobby: Lobby::new(crowd.limits().waiting),
            turn: 0,
            pace: Pace { due: Instant::now() },
            failing: false,
        }
    }

    /// Calls `serve` with each connection that is let in, until the caller stops it.
    pub(super) async fn keep(mut self, mut serve: impl FnMut(TcpStream, SocketAddr, Place)) {
        let mut pause = false;
        loop {
            let waits = pause && !self.lobby.is_empty();
            let crowd = self.crowd;
            let arrived = tokio::select! {
                biased;
                // Those who wait in the system's queue are not known to us: the one who should be next may be among them.
                arrived = unconstrained(std::future::poll_fn(|cx| self.arrivals(cx))) => Some(arrived),
                () = crowd.changed(), if waits => None,
                () = std::future::ready(()), if !pause => None,
            };
            match arrived {
                Some(Ok(())) => self.failing = false,
                Some(Err(error)) => self.fails(&error).await,
                None => {}
            }
            while let Some(late) = self.lobby.overdue(self.crowd.limits().head) {
                self.turned_away(late);
            }
            pause = self.let_in(&mut serve).await;
            yield_now().await;
        }
    }

    /// Lets in as many as there is room for, in a moment's work; whether nobody else can be let in for now.
    async fn let_in(&mut self, serve: &mut impl FnMut(TcpStream, SocketAddr, Place)) -> bool {
        for _ in 0..LET_IN_AT_ONCE {
            // If there is no place for the next, there is none for the others.
            let Some(next) = self.lobby.next(|peer| self.crowd.held(peer)) else { return true };
            let (now, peer) = (Instant::now(), next.peer);
            let chosen = self.pace.choose(next, now, self.crowd.limits().stall);
            let chosen = match chosen {
                Some(chosen) => chosen,
                None if self.crowd.is_full() => return true,
                // A place that is free costs nobody his.
                None => Chosen::Oldest,
            };
            let Some(place) = self.crowd.enter(peer, || crowded(self.drops)) else { return true };
            let one = match chosen {
                Chosen::Newest => self.lobby.newest(peer),
                Chosen::Oldest => {
                    self.pace.step(now);
                    self.lobby.oldest(peer)
                }
            };
            if let Some((stream, address)) = one {
                serve(stream, address, place);
            }
            // What was spawned last is looked at next, before all that is under way: whoever is alone need not wait.
            if self.crowd.held(peer) == 1 {
                yield_now().await;
            }
        }
        false
    }

    /// Accepts all who have come. Each listener is asked first in its turn, so that none is starved by another.
    fn arrivals(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for accepted in 0..AT_ONCE {
            self.turn = self.turn.wrapping_add(1);
            let (before, after) = self.listeners.split_at(self.turn % self.listeners.len().max(1));
            let mut polls = after.iter().chain(before).map(|listener| listener.poll_accept(cx));
            match polls.find(Poll::is_ready) {
                Some(Poll::Ready(Ok(arrival))) => {
                    if let Some(oldest) = self.lobby.enter(Peer::at(arrival.1.ip()), arrival) {
                        self.turned_away(oldest);
                    }
                }
                // The peer went away before it was its turn.
                Some(Poll::Ready(Err(error))) if is_of_peer(&error) => {}
                Some(Poll::Ready(Err(error))) => return Poll::Ready(Err(error)),
                _ if accepted == 0 => return Poll::Pending,
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// One connection less may be all that is wanted.
    async fn fails(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::warn!(%error, "HTTP connections cannot be accepted; trying on");
        }
        // Closing takes a moment.
        if self.tarpit.empty() {
            sleep(LOOK).await;
        } else if self.crowd.send_away() {
            crowded(self.drops);
            sleep(LOOK).await;
        } else if let Some(one) = self.lobby.leaves() {
            self.turned_away(one);
        } else {
            sleep(ACCEPT_REST).await;
        }
    }

    fn turned_away(&self, (stream, _): Arrival) {
        drop(stream);
        crowded(self.drops);
    }
}

/// A connection was closed for another.
pub(super) fn crowded(drops: &Drops) {
    drops.dropped(HttpDrop::Crowded, "to make room for a newer one");
}

fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::limits::Limits;
    use crate::live::LiveStats;
    use tokio::time::advance;

    fn let_in(pace: &mut Pace) -> u32 {
        let now = Instant::now();
        let due = std::iter::from_fn(|| pace.is_due(now).then(|| pace.step(now)));
        due.map(|()| 1).sum()
    }

    #[tokio::test(start_paused = true)]
    async fn newcomers_come_first_but_for_one_at_a_time_who_has_waited() {
        let stall = Duration::from_millis(50);
        let began = Instant::now();
        let mut pace = Pace { due: began };
        let next = |oldest, newest| Next {
            peer: Peer::at([192, 0, 2, 1].into()),
            oldest: began + oldest,
            newest: began + newest,
        };
        advance(Duration::from_secs(1)).await;
        let (old, young) = (Duration::ZERO, Duration::from_millis(950));
        let choose = |pace: &Pace, oldest, newest| pace.choose(next(oldest, newest), Instant::now(), stall);
        assert_eq!(choose(&pace, old, old), Some(Chosen::Oldest));
        assert_eq!(choose(&pace, old, young), Some(Chosen::Oldest));
        assert_eq!(choose(&pace, young, young), Some(Chosen::Newest));
        assert!(let_in(&mut pace) > 0);
        assert_eq!(choose(&pace, old, old), None);
        assert_eq!(choose(&pace, old, young), Some(Chosen::Newest));
    }

    /// A connection of our own, as it is accepted.
    async fn arrival(listener: &TcpListener) -> Arrival {
        let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        client.unwrap();
        accepted.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_chosen_is_let_in() {
        let limits = Limits { connections: 1, ..Limits::default() };
        let listeners = [TcpListener::bind("127.0.0.1:0").await.unwrap()];
        let (crowd, tarpit, drops) =
            (Arc::new(Crowd::new(limits)), Tarpit::new(limits), Drops::new(Arc::new(LiveStats::new(false))));
        for (due, is_full, expected) in [(true, true, 0), (false, true, 2), (false, false, 0)] {
            let mut door = Door::new(&listeners, &crowd, &tarpit, &drops);
            let arrivals = [arrival(&listeners[0]).await, arrival(&listeners[0]).await, arrival(&listeners[0]).await];
            let addresses = arrivals.each_ref().map(|(_, address)| *address);
            let peer = Peer::at(addresses[0].ip());
            let occupant = is_full.then(|| crowd.enter(peer, || {}).unwrap());
            if let Some(occupant) = &occupant {
                occupant.link.begins();
            }
            for one in arrivals {
                assert!(door.lobby.enter(peer, one).is_none());
                // Where somebody is to be sent away, only the last is a newcomer.
                advance(2 * limits.stall).await;
            }
            if is_full {
                let newcomer = door.lobby.newest(peer).unwrap();
                assert!(door.lobby.enter(peer, newcomer).is_none());
            }
            door.pace.due = Instant::now() + if due { Duration::ZERO } else { Duration::from_secs(9) };
            let mut served = Vec::new();
            assert!(door.let_in(&mut |_, address, place| served.push((address, place))).await);
            let served: Vec<SocketAddr> = served.iter().map(|(address, _)| *address).collect();
            assert_eq!(served, [addresses[expected]], "due: {due}, full: {is_full}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_have_waited_come_one_by_one_and_few_at_once() {
        let mut pace = Pace { due: Instant::now() };
        assert_eq!([let_in(&mut pace), let_in(&mut pace)], [1, 0]);
        for (wait, expected) in [(Pace::STEP / 2, 0), (Pace::STEP / 2, 1), (Pace::STEP * 3, 3)] {
            advance(wait).await;
            assert_eq!(let_in(&mut pace), expected, "{wait:?}");
        }
        advance(Duration::from_secs(60)).await;
        assert_eq!(let_in(&mut pace), Pace::MADE_UP_FOR + 1);
    }
}
