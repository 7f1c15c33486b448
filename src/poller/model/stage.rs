//! Where a history is played: time, the death of the process, and whatever has to be seen on the way.
//!
//! The poller takes the time before each publication, and asks the disk and the upstream in between. At each of these
//! moments the stage looks at what was published last, so that no publication is missed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::disk::{Death, Disk, Witness};
use super::history::{BEGIN, History};
use super::pace::Pace;
use super::watch::Watch;
use crate::clock::Clock;
use crate::domain::reading::Page;
use crate::domain::time::{Range, UnixMillis};
use crate::jelou::ApiError;

pub(super) struct Stage {
    history: Arc<History>,
    began: Instant,
    disk: Disk,
    /// The process has died, though its code may still run until it waits for something.
    dead: AtomicBool,
    died: Notify,
    requests: AtomicU64,
    /// The process dies in this request.
    dies_asking: Mutex<Option<(u64, Death)>>,
    pace: Mutex<Pace>,
    watch: Mutex<Watch>,
}

impl Stage {
    pub(super) fn new(history: Arc<History>, disk: Disk, watch: Watch) -> Self {
        Self {
            history,
            began: Instant::now(),
            disk,
            dead: AtomicBool::new(false),
            died: Notify::new(),
            requests: AtomicU64::new(0),
            dies_asking: Mutex::new(None),
            pace: Mutex::new(Pace::default()),
            watch: Mutex::new(watch),
        }
    }

    /// The true time, which is also the upstream's.
    pub(super) fn now(&self) -> i64 {
        BEGIN + i64::try_from(self.began.elapsed().as_millis()).unwrap()
    }

    /// The local time.
    pub(super) fn local(&self) -> UnixMillis {
        let now = self.now();
        UnixMillis(now + self.history.off(now))
    }

    pub(super) const fn disk(&self) -> &Disk {
        &self.disk
    }

    /// What was traced, even if a panic has left the watch as it stood.
    pub(super) fn trace(&self) -> Vec<String> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).trace().to_vec()
    }

    /// Requests that were ever sent.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap()
    }

    /// A process begins; it is to die in this request of its own.
    pub(super) fn begin_life(&self, requests_per_second: f64, dies_asking: Option<(u64, Death)>) {
        *self.pace.lock().unwrap() = Pace::new(requests_per_second);
        self.dead.store(false, Ordering::SeqCst);
        *self.dies_asking.lock().unwrap() = dies_asking.map(|(request, death)| (self.requests() + request, death));
    }

    /// The process dies here and now, if it lives.
    pub(super) fn die(&self, death: Death) {
        if !self.dead.load(Ordering::SeqCst) {
            self.look();
            self.disk.die(death);
            self.note(|| format!("the process dies: {death:?}"));
            self.end();
        }
    }

    /// The process was told to stop: nothing that it does from now on is seen, but the disk serves it to the end.
    pub(super) fn end(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.watch().end_life();
        self.died.notify_one();
    }

    /// Waits until the process has died, or something is wrong.
    pub(super) async fn death(&self) {
        while !self.dead.load(Ordering::SeqCst) && self.watch().complaint().is_none() {
            self.died.notified().await;
        }
    }

    /// Looks at what was published since.
    pub(super) fn look(&self) {
        if !self.dead.load(Ordering::SeqCst) {
            let now = self.now();
            let mut watch = self.watch();
            watch.look(now);
            if watch.complaint().is_some() {
                self.died.notify_one();
            }
        }
    }

    pub(super) fn note(&self, what: impl FnOnce() -> String) {
        let now = self.now();
        self.watch().note(now, what);
    }

    /// A request is about to be sent; true if it never will be, for the process is dead.
    pub(super) fn asked(&self, range: Range, page: u32) -> bool {
        self.look();
        let request = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let dies = self.dies_asking.lock().unwrap().filter(|(at, _)| *at == request);
        if let Some((_, death)) = dies {
            self.note(|| format!("asks for {range} page {page}"));
            self.die(death);
        }
        let now = self.now();
        let pace = self.pace.lock().unwrap().asked(now);
        if let Err(what) = pace {
            self.watch().complain(now, what);
        }
        self.dead.load(Ordering::SeqCst)
    }

    pub(super) fn answered(&self, range: Range, page: u32, answer: &Result<Page, ApiError>) {
        let now = self.now();
        if let Err(error) = answer {
            self.pace.lock().unwrap().refused(now, error);
        }
        self.watch().answered(now, range, page, answer);
    }
}

impl Clock for Stage {
    fn now(&self) -> UnixMillis {
        self.look();
        self.local()
    }
}

impl Witness for Stage {
    fn disk_is_used(&self) {
        self.look();
    }

    fn died_on_disk(&self) {
        self.note(|| format!("the process dies in operation {} of the disk", self.disk.operations()));
        self.end();
    }
}
