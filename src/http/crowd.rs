//! All connections: how many there may be, and who has to leave for one more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::{LOOK, Limits};
use super::link::{Asked, Link, Spare};

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
    open: HashMap<u64, Arc<Link>>,
}

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

    /// Takes a new connection in, waiting while there is no room and nobody who could leave.
    ///
    /// `crowded` is called when another connection is closed for it.
    pub(super) async fn enter(self: &Arc<Self>, crowded: impl Fn()) -> Place {
        loop {
            let freed = self.freed.notified();
            {
                let mut links = self.links();
                let room = links.open.len() < self.limits.connections;
                if !room && links.send_away(&self.limits) {
                    crowded();
                }
                if links.open.len() < self.limits.connections {
                    return self.place(&mut links);
                }
            }
            tokio::select! {
                () = freed => {}
                // Whoever is served now may well be too slow a moment later.
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn place(self: &Arc<Self>, links: &mut Links) -> Place {
        let (number, link) = (links.next, Arc::new(Link::new()));
        links.next += 1;
        links.open.insert(number, Arc::clone(&link));
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
            let sent_away = self.links().send_slow_away(&self.limits);
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
        self.close(|link| link.spare(limits, now))
    }

    fn send_slow_away(&mut self, limits: &Limits) -> bool {
        let now = Instant::now();
        self.close(|link| link.spare(limits, now).filter(|(why, _)| *why == Spare::Slow))
    }

    /// Closes the connection with the least key, if any has one. It does not count any more from here on.
    fn close<K: Ord>(&mut self, key: impl Fn(&Link) -> Option<K>) -> bool {
        let keys = self.open.iter().filter_map(|(number, link)| Some((key(link)?, *number)));
        let Some((_, number)) = keys.min() else { return false };
        if let Some(link) = self.open.remove(&number) {
            link.close();
        }
        true
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
        self.crowd.links().open.remove(&self.number);
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
    use std::time::Duration;
    use tokio::time::advance;

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
        let served = crowd.enter(count).await;
        let _answer = crowd.admit(&served.link, false, || {});
        advance(Duration::from_secs(1)).await;
        let old = crowd.enter(count).await;
        old.link.begins();
        advance(Duration::from_millis(1)).await;
        let young = crowd.enter(count).await;
        young.link.begins();
        assert_eq!(sent_away.get(), 0);
        let _newest = crowd.enter(count).await;
        assert_eq!(sent_away.get(), 1);
        assert_eq!([is_closed(&served).await, is_closed(&old).await, is_closed(&young).await], [false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_served_the_next_waits_for_the_slowest() {
        let crowd = crowd(1, 9);
        let slow = crowd.enter(|| {}).await;
        let _answer = crowd.admit(&slow.link, false, || {});
        let began = Instant::now();
        let _next = crowd.enter(|| {}).await;
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        assert!(is_closed(&slow).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_given_back_is_taken_at_once() {
        let crowd = crowd(1, 9);
        let first = crowd.enter(|| {}).await;
        let answer = crowd.admit(&first.link, false, || {});
        let began = Instant::now();
        let leaves = async {
            advance(Duration::from_millis(5)).await;
            drop((answer, first));
        };
        let ((), _second) = tokio::join!(leaves, crowd.enter(|| {}));
        assert!(began.elapsed() < Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_requests_are_refused_unless_somebody_is_slow() {
        let crowd = crowd(9, 1);
        let [one, two] = [crowd.enter(|| {}).await, crowd.enter(|| {}).await];
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
        let [greedy, modest] = [crowd.enter(|| {}).await, crowd.enter(|| {}).await];
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
        let [stuck, other] = [crowd.enter(|| {}).await, crowd.enter(|| {}).await];
        let _never_taken = crowd.admit(&stuck.link, true, || {});
        advance(Duration::from_secs(3)).await;
        drop(crowd.admit(&stuck.link, true, || {}));
        let _answer = crowd.admit(&other.link, false, || {});
        assert!(crowd.admit(&other.link, false, || {}).has_room);
        assert!(is_closed(&stuck).await);
    }
}
