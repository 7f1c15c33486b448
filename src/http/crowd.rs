//! All connections: how many there may be, and who has to leave for one more.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::{LOOK, Limits};
use super::link::{Asked, Link, Spare};
use super::peers::{Peer, Tally};

/// The connections that are open.
#[derive(Debug)]
pub(super) struct Crowd {
    limits: Limits,
    links: Mutex<Links>,
    freed: Notify,
    answers: AtomicUsize,
}

#[derive(Debug, Default)]
struct Links {
    next: u64,
    open: HashMap<u64, (Peer, Arc<Link>)>,
    held: Tally,
}

/// Who leaves first: whose peer holds most; of these whoever can be spared, and the others last.
type Order = (Reverse<usize>, bool, Option<Spare>, Instant);

impl Crowd {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, links: Mutex::default(), freed: Notify::new(), answers: AtomicUsize::new(0) }
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a new connection in, if there is room or somebody who could leave.
    ///
    /// Nobody leaves for a peer who holds more places than his own. For one who holds fewer, by more than the one in question,
    /// even those have to who are served in good time: else a peer could take all places and keep them. `crowded` is called
    /// when another connection is closed for it.
    pub(super) fn enter(self: &Arc<Self>, peer: Peer, crowded: impl FnOnce()) -> Option<Place> {
        let mut links = self.links();
        if links.open.len() >= self.limits.connections {
            if !links.send_away_for(peer, &self.limits) {
                return None;
            }
            crowded();
        }
        Some(self.place(&mut links, peer))
    }

    /// Whether somebody has to leave for one more.
    pub(super) fn is_full(&self) -> bool {
        self.links().open.len() >= self.limits.connections
    }

    /// How many places this peer holds.
    pub(super) fn held(&self, peer: Peer) -> usize {
        self.links().held.of(peer)
    }

    /// Completes when it is worth to [`enter`](Self::enter) again.
    pub(super) async fn changed(&self) {
        tokio::select! {
            () = self.freed.notified() => {}
            // Whoever is served now may well be too slow a moment later.
            () = tokio::time::sleep(LOOK) => {}
        }
    }

    fn place(self: &Arc<Self>, links: &mut Links, peer: Peer) -> Place {
        let (number, link) = (links.next, Arc::new(Link::new()));
        links.next += 1;
        links.open.insert(number, (peer, Arc::clone(&link)));
        links.held.add(peer);
        Place { crowd: Arc::clone(self), number, link }
    }

    /// Closes the connection that is needed least, if there is one.
    pub(super) fn send_away(&self) -> bool {
        self.links().send_away(&self.limits)
    }

    /// Takes in a request that came on this connection.
    ///
    /// `crowded` is called when another connection is closed for it. When all answers are taken and nobody is slow, a connection
    /// still gets one: only those that want several at once are in the way of others.
    pub(super) fn admit(self: &Arc<Self>, link: &Arc<Link>, http2: bool, crowded: impl FnOnce()) -> Admitted {
        let open = self.answers.fetch_add(1, Ordering::Relaxed);
        let asked = Asked::new(link, http2);
        let mut has_room = open < self.limits.answers;
        if !has_room {
            let sent_away = self.links().send_slow_away(link, &self.limits);
            if sent_away {
                crowded();
            }
            has_room = sent_away || link.open() == 1;
        }
        Admitted { crowd: Arc::clone(self), asked, has_room }
    }
}

impl Links {
    fn send_away(&mut self, limits: &Limits) -> bool {
        let now = Instant::now();
        // It is closed for its file: nothing of it may linger.
        self.sent_away(|link, _| link.spare(limits, now)).inspect(|link| link.close()).is_some()
    }

    /// Closes a slow connection for an answer on this one; none of a peer who holds fewer places.
    fn send_slow_away(&mut self, by: &Arc<Link>, limits: &Limits) -> bool {
        let now = Instant::now();
        // One that has been sent away itself is in nobody's place.
        let Some((peer, _)) = self.open.values().find(|(_, link)| Arc::ptr_eq(link, by)) else { return false };
        let own = self.held.of(*peer);
        let slow = |link: &Link| link.spare(limits, now).filter(|(why, _)| *why == Spare::Slow);
        let gone = self.sent_away(|link, held| if held < own { None } else { slow(link) });
        gone.inspect(|link| link.close_unhurried(limits)).is_some()
    }

    fn send_away_for(&mut self, peer: Peer, limits: &Limits) -> bool {
        let (now, own) = (Instant::now(), self.held.of(peer));
        let gone = self.sent_away(|link, held| -> Option<Order> {
            if held < own {
                return None;
            }
            match link.spare(limits, now) {
                Some((why, since)) => Some((Reverse(held), false, Some(why), since)),
                None => (held > own + 1).then(|| (Reverse(held), true, None, link.since())),
            }
        });
        gone.inspect(|link| link.close_unhurried(limits)).is_some()
    }

    /// The connection with the least key, if any has one. It does not count any more from here on, and is to be closed.
    fn sent_away<K: Ord>(&mut self, key: impl Fn(&Link, usize) -> Option<K>) -> Option<Arc<Link>> {
        let keys =
            self.open.iter().filter_map(|(number, (peer, link))| Some((key(link, self.held.of(*peer))?, *number)));
        let (_, number) = keys.min()?;
        self.leave(number)
    }

    fn leave(&mut self, number: u64) -> Option<Arc<Link>> {
        let (peer, link) = self.open.remove(&number)?;
        self.held.remove(peer);
        Some(link)
    }
}

/// The place of one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    pub(super) link: Arc<Link>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.links().leave(self.number);
        self.crowd.freed.notify_one();
    }
}

/// A request that is being answered, until its answer has been handed over.
#[derive(Debug)]
pub(super) struct Admitted {
    crowd: Arc<Crowd>,
    asked: Asked,
    /// Whether it should be answered; else too many others are, its own connection's among them, and none of them is slow.
    pub(super) has_room: bool,
}

impl Admitted {
    /// Its answer is ready to be sent.
    pub(super) fn made(&mut self) {
        self.asked.made();
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.crowd.answers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::net::IpAddr;
    use std::time::Duration;
    use tokio::time::advance;

    fn peer(number: u8) -> Peer {
        Peer::at(IpAddr::from([192, 0, 2, number]))
    }

    fn crowd(connections: usize, answers: usize) -> Arc<Crowd> {
        Arc::new(Crowd::new(Limits { connections, answers, ..Limits::default() }))
    }

    async fn is_closed(place: &Place) -> bool {
        tokio::select! {
            biased;
            () = place.link.closing() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_leaves_and_those_served_stay() {
        let (crowd, sent_away) = (crowd(3, 9), Cell::new(0));
        let count = || sent_away.set(sent_away.get() + 1);
        let served = crowd.enter(peer(1), count).unwrap();
        let _answer = crowd.admit(&served.link, false, || {});
        advance(Duration::from_secs(1)).await;
        let old = crowd.enter(peer(1), count).unwrap();
        old.link.begins();
        advance(Duration::from_millis(1)).await;
        let young = crowd.enter(peer(1), count).unwrap();
        young.link.begins();
        assert_eq!(sent_away.get(), 0);
        advance(Limits::default().stall).await;
        let _newest = crowd.enter(peer(1), count).unwrap();
        assert_eq!(sent_away.get(), 1);
        assert_eq!([is_closed(&served).await, is_closed(&old).await, is_closed(&young).await], [false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_closed_for_its_file_leaves_nothing_behind() {
        let crowd = crowd(1, 9);
        let place = crowd.enter(peer(1), || {}).unwrap();
        drop(crowd.admit(&place.link, false, || {}));
        assert!(crowd.send_away());
        assert!(is_closed(&place).await && !place.link.lingers());
        let place = crowd.enter(peer(1), || {}).unwrap();
        drop(crowd.admit(&place.link, false, || {}));
        let _next = crowd.enter(peer(1), || {}).unwrap();
        assert!(is_closed(&place).await && place.link.lingers());
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_served_the_next_waits_for_the_slowest() {
        let crowd = crowd(1, 9);
        let slow = crowd.enter(peer(1), || {}).unwrap();
        let _answer = crowd.admit(&slow.link, false, || {});
        let began = Instant::now();
        while crowd.enter(peer(1), || {}).is_none() {
            crowd.changed().await;
        }
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        assert!(is_closed(&slow).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_given_back_is_taken_at_once() {
        let crowd = crowd(1, 9);
        let first = crowd.enter(peer(1), || {}).unwrap();
        let answer = crowd.admit(&first.link, false, || {});
        assert!(crowd.enter(peer(1), || {}).is_none());
        drop((answer, first));
        let began = Instant::now();
        crowd.changed().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(crowd.enter(peer(1), || {}).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_requests_are_refused_unless_somebody_is_slow() {
        let crowd = crowd(9, 1);
        let [one, two] = [crowd.enter(peer(1), || {}).unwrap(), crowd.enter(peer(1), || {}).unwrap()];
        let _answer = crowd.admit(&one.link, true, || {});
        assert!(!crowd.admit(&one.link, true, || {}).has_room);
        advance(Duration::from_secs(3)).await;
        let sent_away = Cell::new(0);
        assert!(crowd.admit(&two.link, true, || sent_away.set(1)).has_room);
        assert_eq!(sent_away.get(), 1);
        assert!(is_closed(&one).await);
        assert!(!is_closed(&two).await);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_want_many_answers_leave_one_to_each_other_connection() {
        let crowd = crowd(9, 2);
        let [greedy, modest] = [crowd.enter(peer(1), || {}).unwrap(), crowd.enter(peer(1), || {}).unwrap()];
        let admit = |place: &Place| crowd.admit(&place.link, true, || {});
        let _taken = [admit(&greedy), admit(&greedy)];
        assert!(!admit(&greedy).has_room);
        let one = admit(&modest);
        assert!(one.has_room && !admit(&modest).has_room);
        drop(one);
        assert!(admit(&modest).has_room);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_holds_answers_is_not_made_quick_by_others_that_it_takes() {
        let crowd = crowd(9, 2);
        let [stuck, other] = [crowd.enter(peer(1), || {}).unwrap(), crowd.enter(peer(1), || {}).unwrap()];
        let _never_taken = crowd.admit(&stuck.link, true, || {});
        advance(Duration::from_secs(3)).await;
        drop(crowd.admit(&stuck.link, true, || {}));
        let _answer = crowd.admit(&other.link, false, || {});
        assert!(crowd.admit(&other.link, false, || {}).has_room);
        assert!(is_closed(&stuck).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_taken_all_places_gives_one_to_another_peer() {
        let crowd = crowd(3, 9);
        let enter = |number| crowd.enter(peer(number), || {});
        let greedy = [enter(1).unwrap(), enter(1).unwrap(), enter(1).unwrap()];
        // All are served in good time.
        let _answers = greedy.each_ref().map(|place| crowd.admit(&place.link, false, || {}));
        assert!(enter(1).is_none());
        let other = enter(2).unwrap();
        let closed = [is_closed(&greedy[0]).await, is_closed(&greedy[1]).await, is_closed(&greedy[2]).await];
        assert_eq!(closed.iter().filter(|closed| **closed).count(), 1);
        assert_eq!([crowd.held(peer(1)), crowd.held(peer(2))], [2, 1]);
        // To take turns with it would serve neither better.
        assert!(enter(2).is_none());
        drop(other);
        drop(greedy);
        assert_eq!([crowd.held(peer(1)), crowd.held(peer(2))], [0, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_does_not_leave_for_whoever_has_more() {
        let crowd = crowd(3, 9);
        let enter = |number| crowd.enter(peer(number), || {}).unwrap();
        let kept = enter(1);
        drop(crowd.admit(&kept.link, false, || {}));
        advance(Duration::from_secs(1)).await;
        let crowded = [enter(2), enter(2)];
        crowded.iter().for_each(|place| drop(crowd.admit(&place.link, false, || {})));
        let _newcomer = enter(2);
        assert!(!is_closed(&kept).await);
        assert_eq!([crowd.held(peer(1)), crowd.held(peer(2))], [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_does_not_end_for_a_peer_who_has_more() {
        let crowd = crowd(9, 2);
        let [slow, greedy, other] = [1, 2, 2].map(|number| crowd.enter(peer(number), || {}).unwrap());
        let _its = crowd.admit(&slow.link, false, || {});
        advance(Duration::from_secs(3)).await;
        let _theirs = [crowd.admit(&greedy.link, false, || {}), crowd.admit(&other.link, false, || {})];
        assert!(!is_closed(&slow).await);
    }
}
