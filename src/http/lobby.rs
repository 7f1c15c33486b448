//! Connections that wait for a place among those that are served.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::peers::Peer;

/// Those who wait. Whose peer is served least is the next; which of his, the [door](super::door) decides.
#[derive(Debug)]
pub(super) struct Lobby<T> {
    room: usize,
    count: usize,
    /// In the order in which they came; no list is empty.
    waiting: HashMap<Peer, VecDeque<(Instant, T)>>,
}

/// Whose turn it is, and since when his wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) peer: Peer,
    pub(super) oldest: Instant,
    pub(super) newest: Instant,
}

impl<T> Lobby<T> {
    /// For at most so many, at least one.
    pub(super) fn new(room: usize) -> Self {
        Self { room: room.max(1), count: 0, waiting: HashMap::new() }
    }

    /// Lets one more wait. If there is no room for it, one leaves: of the peer of whom most wait the one who has waited longest.
    pub(super) fn enter(&mut self, peer: Peer, one: T) -> Option<T> {
        let gone = if self.count < self.room { None } else { self.leaves() };
        self.waiting.entry(peer).or_default().push_back((Instant::now(), one));
        self.count += 1;
        gone
    }

    /// The one who is to make room for others.
    pub(super) fn leaves(&mut self) -> Option<T> {
        let (_, peer) =
            self.waiting.iter().map(|(peer, waiting)| (waiting.len(), *peer)).max_by_key(|(count, _)| *count)?;
        self.take(peer, VecDeque::pop_front)
    }

    /// The peer who is next, by how many places each holds; of those who hold as many, the one with the newest.
    pub(super) fn next(&self, held: impl Fn(Peer) -> usize) -> Option<Next> {
        let peers = self.waiting.iter().filter_map(|(peer, waiting)| {
            let ((oldest, _), (newest, _)) = (waiting.front()?, waiting.back()?);
            Some(((held(*peer), Reverse(*newest)), Next { peer: *peer, oldest: *oldest, newest: *newest }))
        });
        peers.min_by_key(|(order, _)| *order).map(|(_, next)| next)
    }

    /// The newest of this peer.
    pub(super) fn newest(&mut self, peer: Peer) -> Option<T> {
        self.take(peer, VecDeque::pop_back)
    }

    /// The one of this peer who has waited longest.
    pub(super) fn oldest(&mut self, peer: Peer) -> Option<T> {
        self.take(peer, VecDeque::pop_front)
    }

    /// One who has waited for so long.
    pub(super) fn overdue(&mut self, limit: Duration) -> Option<T> {
        let is_late = |(since, _): &(Instant, T)| since.elapsed() >= limit;
        let late = self.waiting.iter().find(|(_, waiting)| waiting.front().is_some_and(is_late));
        let peer = *late?.0;
        self.take(peer, VecDeque::pop_front)
    }

    fn take(&mut self, peer: Peer, which: impl Fn(&mut VecDeque<(Instant, T)>) -> Option<(Instant, T)>) -> Option<T> {
        let waiting = self.waiting.get_mut(&peer)?;
        let (_, one) = which(waiting)?;
        self.count -= 1;
        if waiting.is_empty() {
            self.waiting.remove(&peer);
        }
        Some(one)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use tokio::time::advance;

    fn peer(number: u8) -> Peer {
        Peer::at(IpAddr::from([192, 0, 2, number]))
    }

    /// The next where nobody holds a place.
    fn next(lobby: &mut Lobby<u8>) -> Option<u8> {
        let next = lobby.next(|_| 0)?;
        lobby.newest(next.peer)
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_peer_the_newest_is_next_and_the_oldest_makes_room() {
        let mut lobby = Lobby::new(3);
        assert!([1, 2, 3].map(|one| lobby.enter(peer(1), one)).iter().all(Option::is_none));
        assert_eq!(lobby.enter(peer(1), 4), Some(1));
        assert_eq!(next(&mut lobby), Some(4));
        assert_eq!(lobby.enter(peer(1), 5), None);
        assert_eq!([(); 4].map(|()| next(&mut lobby)), [Some(5), Some(3), Some(2), None]);
        assert!(lobby.is_empty() && lobby.waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn of_one_peer_the_oldest_can_be_taken_too() {
        let mut lobby = Lobby::new(9);
        let began = Instant::now();
        for one in 1..5 {
            assert_eq!(lobby.enter(peer(1), one), None);
            advance(Duration::from_secs(1)).await;
        }
        let newest = began + Duration::from_secs(3);
        assert_eq!(lobby.next(|_| 0), Some(Next { peer: peer(1), oldest: began, newest }));
        assert_eq!([lobby.oldest(peer(1)), lobby.newest(peer(1)), lobby.oldest(peer(1))], [Some(1), Some(4), Some(2)]);
        assert_eq!(lobby.oldest(peer(1)), Some(3));
        assert!(lobby.is_empty() && lobby.oldest(peer(1)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_peer_who_holds_least_is_next_and_whose_crowd_is_largest_makes_room() {
        let mut lobby = Lobby::new(4);
        lobby.enter(peer(2), 20);
        for one in 10..13 {
            advance(Duration::from_millis(1)).await;
            assert_eq!(lobby.enter(peer(1), one), None);
        }
        assert_eq!(lobby.enter(peer(3), 30), Some(10));
        let held = |of: Peer| usize::from(of == peer(1)) * 9 + usize::from(of == peer(3));
        assert_eq!(lobby.next(held).unwrap().peer, peer(2));
        assert_eq!(lobby.newest(peer(2)), Some(20));
        assert_eq!(lobby.next(held).unwrap().peer, peer(3));
        assert_eq!(lobby.newest(peer(3)), Some(30));
        assert_eq!(lobby.next(held).unwrap().peer, peer(1));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let mut lobby = Lobby::new(3);
        let limit = Duration::from_secs(10);
        assert_eq!(lobby.enter(peer(1), 1), None);
        advance(Duration::from_secs(9)).await;
        assert_eq!((lobby.enter(peer(2), 2), lobby.overdue(limit)), (None, None));
        advance(Duration::from_secs(1)).await;
        assert_eq!([lobby.overdue(limit), lobby.overdue(limit)], [Some(1), None]);
        assert_eq!(next(&mut lobby), Some(2));
    }
}
