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
    /// What it is in the midst of when it has to leave: then its socket is to outlive it.
    midst: Option<Midst>,
    /// That socket, once the rest of the connection has ended.
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

/// What a connection has to leave in the midst of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Midst {
    /// An answer, which is still owed.
    Answer,
    /// The moment between an answer and the next request.
    Pause,
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
            midst: None,
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

    /// The same, but the socket of a connection in the midst of asking is to outlive it.
    pub(super) fn close_unhurried(&self, limits: &Limits) {
        {
            let mut doing = self.doing();
            let midst = match doing.phase {
                Phase::Answer => Some(Midst::Answer),
                // In HTTP/2 nobody could tell whether it asks again.
                Phase::Idle => (!doing.http2).then_some(Midst::Pause),
                Phase::Handshake | Phase::Head => None,
            };
            doing.midst = midst.filter(|_| doing.asked.elapsed() < limits.busy);
        }
        self.close();
    }

    /// Whether the socket is to outlive the connection.
    pub(super) fn lingers(&self) -> bool {
        self.doing().midst.is_some()
    }

    /// The connection has ended, and this is its socket.
    pub(super) fn leaves(&self, socket: OwnedFd) {
        self.doing().socket = Some(socket);
    }

    /// The socket of a connection that has ended, if it is to outlive it, and what that was in the midst of.
    pub(super) fn left(&self) -> Option<(OwnedFd, Midst)> {
        let mut doing = self.doing();
        doing.socket.take().zip(doing.midst)
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
mod tests;
