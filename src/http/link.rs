//! What one connection is doing, and since when.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::limits::Limits;
use crate::domain::label::HttpDrop;

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The TLS handshake.
    Handshake,
    /// The headers of a request are owed to us.
    Head,
    /// Nothing, after an answer.
    Idle,
    /// An answer is being made or sent.
    Answer,
}

#[derive(Debug)]
struct Doing {
    phase: Phase,
    since: Instant,
    /// When each request came whose answer has not been handed over whole.
    open: Vec<Instant>,
    /// When the last request came.
    asked: Instant,
    /// How many of the open requests have no answer yet that could be sent.
    making: usize,
    /// When the last answer was ready, or the client took something.
    moved: Instant,
    /// Whether the client takes no more for now.
    blocked: bool,
    /// Whether the client was looked at and had sent nothing more.
    silent: bool,
    /// In HTTP/2 a byte is no sign of a request.
    http2: bool,
    /// Whether the socket is to outlive the connection.
    lingers: bool,
    /// The socket of a connection that has ended, if it is to outlive it.
    socket: Option<OwnedFd>,
}

impl Doing {
    /// Some answers are through: the oldest of the others is what counts. One that ends gives them no more time, or a
    /// client could hold them for ever by asking for small ones beside.
    fn go_on(&mut self) {
        (self.phase, self.since) = match self.open.iter().min() {
            Some(oldest) => (Phase::Answer, *oldest),
            None => (Phase::Idle, Instant::now()),
        };
    }
}

/// Why a connection could be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spare {
    /// It has had an answer, and asks nothing.
    Idle,
    /// It owes us a handshake, or a request.
    Owing,
    /// It is slow to take its answer, or we to make it.
    Slow,
}

/// A connection, seen by those who read, answer and count.
#[derive(Debug)]
pub(super) struct Link {
    doing: Mutex<Doing>,
    /// Told when an idle time ends: another limit holds from then on, and it is shorter.
    woken: Notify,
    closing: Notify,
}

impl Link {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let doing = Doing {
            phase: Phase::Handshake,
            since: now,
            open: Vec::new(),
            asked: now,
            making: 0,
            moved: now,
            blocked: false,
            silent: false,
            http2: false,
            lingers: false,
            socket: None,
        };
        Self { doing: Mutex::new(doing), woken: Notify::new(), closing: Notify::new() }
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is the connection's turn for the first time.
    pub(super) fn begins(&self) {
        self.doing().silent = true;
    }

    /// There is no handshake, or it has ended.
    pub(super) fn greeted(&self) {
        let mut doing = self.doing();
        (doing.phase, doing.since, doing.silent) = (Phase::Head, Instant::now(), false);
    }

    /// There was nothing to read.
    pub(super) fn silent(&self) {
        self.doing().silent = true;
    }

    /// Something was read.
    pub(super) fn read(&self) {
        let mut doing = self.doing();
        doing.silent = false;
        if doing.phase == Phase::Idle && !doing.http2 {
            (doing.phase, doing.since) = (Phase::Head, Instant::now());
            self.woken.notify_one();
        }
    }

    /// The client takes no more for now, or does again.
    pub(super) fn blocked(&self, blocked: bool) {
        let mut doing = self.doing();
        doing.blocked = blocked;
        match doing.phase {
            Phase::Answer if !blocked => doing.go_on(),
            // The answer had been handed over whole, and part of it is still on its way: its time runs on.
            Phase::Idle if blocked => {
                (doing.phase, doing.since) = (Phase::Answer, doing.asked);
                self.woken.notify_one();
            }
            _ => {}
        }
    }

    /// A request came; says when.
    fn asked(&self, http2: bool) -> Instant {
        let mut doing = self.doing();
        let now = Instant::now();
        doing.open.push(now);
        doing.making += 1;
        doing.http2 |= http2;
        doing.asked = now;
        if doing.phase != Phase::Answer {
            (doing.phase, doing.since) = (Phase::Answer, now);
            self.woken.notify_one();
        }
        now
    }

    /// How many requests wait for the end of their answer.
    pub(super) fn open(&self) -> usize {
        self.doing().open.len()
    }

    /// The answer to the request that came then has been handed over whole, or given up.
    fn answered(&self, asked: Instant) {
        let mut doing = self.doing();
        if let Some(at) = doing.open.iter().position(|open| *open == asked) {
            doing.open.swap_remove(at);
        }
        if !doing.blocked {
            doing.go_on();
        }
    }

    /// The answer to one of the requests is ready to be sent, or is not wanted any more.
    fn made(&self) {
        let mut doing = self.doing();
        doing.making = doing.making.saturating_sub(1);
        doing.moved = Instant::now();
    }

    /// The client took something.
    pub(super) fn took(&self) {
        self.doing().moved = Instant::now();
    }

    /// Completes when the connection has taken longer than it may; says with what, unless it was only idle.
    pub(super) async fn overdue(&self, limits: &Limits) -> Option<HttpDrop> {
        loop {
            let (phase, end) = {
                let doing = self.doing();
                let (limit, _) = bounds(doing.phase, limits);
                (doing.phase, doing.since + limit)
            };
            if end <= Instant::now() {
                return bounds(phase, limits).1;
            }
            tokio::select! {
                () = sleep_until(end) => {}
                () = self.woken.notified() => {}
            }
        }
    }

    /// How well, the least best, and since when the connection could be closed to make room; `None` while it is being served in
    /// good time.
    pub(super) fn spare(&self, limits: &Limits, now: Instant) -> Option<(Spare, Instant)> {
        let doing = self.doing();
        let is_for = |limit| now.saturating_duration_since(doing.since) >= limit;
        match doing.phase {
            Phase::Idle => Some((Spare::Idle, doing.since)),
            // What it has sent may wait for us.
            Phase::Handshake | Phase::Head => {
                (doing.silent && is_for(limits.stall)).then_some((Spare::Owing, doing.since))
            }
            Phase::Answer if is_for(limits.patience) => Some((Spare::Slow, doing.since)),
            // What is ready and is not taken waits for the client alone.
            Phase::Answer => {
                let stalled = doing.making == 0 && now.saturating_duration_since(doing.moved) >= limits.stall;
                stalled.then_some((Spare::Slow, doing.moved))
            }
        }
    }

    /// Since when it is at what it is at.
    pub(super) fn since(&self) -> Instant {
        self.doing().since
    }

    /// Asks whoever serves the connection to close it.
    pub(super) fn close(&self) {
        self.closing.notify_one();
    }

    /// The same, but of a connection on which a request came a moment ago the socket lingers.
    pub(super) fn close_unhurried(&self, limits: &Limits) {
        {
            let mut doing = self.doing();
            let has_asked = matches!(doing.phase, Phase::Idle | Phase::Answer);
            doing.lingers = has_asked && doing.asked.elapsed() < limits.again;
        }
        self.close();
    }

    /// Whether the socket is to outlive the connection.
    pub(super) fn lingers(&self) -> bool {
        self.doing().lingers
    }

    /// The connection has ended, and this is its socket.
    pub(super) fn leaves(&self, socket: OwnedFd) {
        self.doing().socket = Some(socket);
    }

    /// What lingers of a connection that has ended.
    pub(super) fn left(&self) -> Option<OwnedFd> {
        self.doing().socket.take()
    }

    /// Completes when the connection is to be closed.
    pub(super) async fn closing(&self) {
        self.closing.notified().await;
    }
}

fn bounds(phase: Phase, limits: &Limits) -> (std::time::Duration, Option<HttpDrop>) {
    match phase {
        Phase::Handshake => (limits.handshake, Some(HttpDrop::HandshakeTimeout)),
        Phase::Head => (limits.head, Some(HttpDrop::HeaderTimeout)),
        Phase::Idle => (limits.idle, None),
        Phase::Answer => (limits.request, Some(HttpDrop::RequestTimeout)),
    }
}

/// A request from its headers to the end of its answer.
#[derive(Debug)]
pub(super) struct Asked {
    link: Arc<Link>,
    at: Instant,
    made: bool,
}

impl Asked {
    pub(super) fn new(link: &Arc<Link>, http2: bool) -> Self {
        Self { at: link.asked(http2), link: Arc::clone(link), made: false }
    }

    /// Its answer is ready to be sent.
    pub(super) fn made(&mut self) {
        if !std::mem::replace(&mut self.made, true) {
            self.link.made();
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.made();
        self.link.answered(self.at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::advance;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    async fn lasts(link: &Link, expected: u64, drop: Option<HttpDrop>) {
        let began = Instant::now();
        assert_eq!(link.overdue(&Limits::default()).await, drop);
        assert_eq!(began.elapsed().as_secs(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_time() {
        let link = Arc::new(Link::new());
        lasts(&link, 10, Some(HttpDrop::HandshakeTimeout)).await;
        link.greeted();
        link.read();
        lasts(&link, 10, Some(HttpDrop::HeaderTimeout)).await;
        let asked = Asked::new(&link, false);
        lasts(&link, 60, Some(HttpDrop::RequestTimeout)).await;
        drop(asked);
        lasts(&link, 120, None).await;
        link.read();
        advance(seconds(4)).await;
        // Byte by byte does not make it longer.
        link.read();
        lasts(&link, 6, Some(HttpDrop::HeaderTimeout)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_an_idle_time_has_its_own_from_there() {
        let link = Arc::new(Link::new());
        link.greeted();
        drop(Asked::new(&link, false));
        let begins = async {
            advance(seconds(5)).await;
            link.read();
        };
        let ((), ()) = tokio::join!(lasts(&link, 15, Some(HttpDrop::HeaderTimeout)), begins);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_taken_in_drops_has_no_more_time_than_another() {
        let link = Arc::new(Link::new());
        link.greeted();
        drop(Asked::new(&link, false));
        for _ in 0..5 {
            link.blocked(true);
            advance(seconds(10)).await;
            link.blocked(false);
        }
        link.blocked(true);
        lasts(&link, 10, Some(HttpDrop::RequestTimeout)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn in_http2_bytes_between_requests_mean_nothing() {
        let link = Arc::new(Link::new());
        link.greeted();
        let (one, two) = (Asked::new(&link, true), Asked::new(&link, true));
        advance(seconds(40)).await;
        drop(one);
        lasts(&link, 20, Some(HttpDrop::RequestTimeout)).await;
        drop(two);
        link.read();
        lasts(&link, 120, None).await;
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_end_give_no_time_to_those_that_do_not() {
        let link = Arc::new(Link::new());
        link.greeted();
        let old = Asked::new(&link, true);
        advance(seconds(10)).await;
        let _young = Asked::new(&link, true);
        for _ in 0..4 {
            advance(seconds(5)).await;
            drop(Asked::new(&link, true));
        }
        assert!(
            link.spare(&Limits::default(), Instant::now()).is_some_and(|(_, since)| since.elapsed() == seconds(30))
        );
        drop(old);
        // The younger one came 20 s ago.
        lasts(&link, 40, Some(HttpDrop::RequestTimeout)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_spared_while_it_is_served_in_good_time() {
        let (link, limits) = (Arc::new(Link::new()), Limits::default());
        advance(seconds(5)).await;
        assert!(link.spare(&limits, Instant::now()).is_none(), "it has not had its turn");
        link.begins();
        assert!(link.spare(&limits, Instant::now()).is_some());
        link.greeted();
        advance(seconds(5)).await;
        assert!(link.spare(&limits, Instant::now()).is_none(), "nobody has looked for its request");
        link.silent();
        assert!(link.spare(&limits, Instant::now()).is_some());
        link.greeted();
        link.silent();
        assert!(link.spare(&limits, Instant::now()).is_none(), "its first request may be on the way");
        advance(limits.stall).await;
        assert!(link.spare(&limits, Instant::now()).is_some());
        let asked = Asked::new(&link, false);
        assert!(link.spare(&limits, Instant::now()).is_none());
        advance(seconds(2)).await;
        assert!(link.spare(&limits, Instant::now()).is_some());
        drop(asked);
        assert!(link.spare(&limits, Instant::now()).is_some(), "it has had an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn what_lingers_has_asked_a_moment_ago() {
        let limits = Limits::default();
        let lingers = |link: &Link| {
            link.close_unhurried(&limits);
            link.lingers()
        };
        let link = Arc::new(Link::new());
        link.greeted();
        assert!(!lingers(&link), "it has asked nothing");
        let asked = Asked::new(&link, false);
        assert!(lingers(&link));
        drop(asked);
        assert!(lingers(&link));
        link.read();
        assert!(!lingers(&link), "it owes the rest of a request");
        drop(Asked::new(&link, false));
        advance(limits.again).await;
        assert!(!lingers(&link), "it is in no hurry");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_spared_while_its_answers_are_made_and_taken() {
        let (link, limits) = (Arc::new(Link::new()), Limits::default());
        link.greeted();
        let (mut one, mut other) = (Asked::new(&link, true), Asked::new(&link, true));
        one.made();
        advance(2 * limits.stall).await;
        assert!(link.spare(&limits, Instant::now()).is_none(), "the other answer is ours to make");
        other.made();
        for _ in 0..5 {
            assert!(link.spare(&limits, Instant::now()).is_none());
            advance(limits.stall / 2).await;
            link.took();
        }
        advance(limits.stall).await;
        assert!(
            link.spare(&limits, Instant::now())
                .is_some_and(|(why, since)| why == Spare::Slow && since.elapsed() == limits.stall)
        );
    }
}
