//! The configuration that holds now, read again when a file of it changes.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::{Reading, WebConfig, read};
use crate::clock::Clock;
use crate::config::Problems;
use crate::domain::time::UnixMillis;
use crate::streak::{News, Streak};

/// A file that was read over and over may well be on a slow disk: how long one look holds.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// For how long a request waits for a look. A mount that has lost its server may keep one for ever.
const LOOK_LIMIT: Duration = Duration::from_millis(500);

/// Where the configuration comes from, and what it says now.
pub struct Source {
    file: Option<File>,
    current: watch::Sender<Arc<WebConfig>>,
}

struct File {
    path: PathBuf,
    open_probes: bool,
    every: Duration,
    clock: Arc<dyn Clock>,
    told: Option<Told>,
    looked: Mutex<Instant>,
    known: Mutex<Known>,
}

/// Is told of every reading after the first whether what was read holds now.
type Told = Box<dyn Fn(bool) + Send + Sync>;

/// What the last reading saw.
#[derive(Default)]
struct Known {
    files: Vec<(PathBuf, Print)>,
    /// Why it could not be used, if so.
    failure: Option<String>,
    /// The looks since then, each of which found it so.
    failures: Streak,
}

impl Known {
    /// The failure is there at `now`, found by a reading or still in a file that has not changed.
    fn fails(&mut self, error: String, now: UnixMillis) -> Found {
        let news = self.failures.failed(error.clone(), now);
        self.failure = Some(error.clone());
        match news {
            News::First => Found::Broken(error),
            News::StillFailing { since, .. } => Found::StillBroken { error, since },
            News::Again { .. } => Found::Nothing,
        }
    }
}

/// What tells one state of a file from another; `None` when there is no such file.
type Print = Option<[i128; 7]>;

fn print(path: &Path) -> Print {
    let of = fs::metadata(path).ok()?;
    let (modified, changed) = ([of.mtime(), of.mtime_nsec()], [of.ctime(), of.ctime_nsec()]);
    let times = modified.into_iter().chain(changed).map(i128::from);
    let all: Vec<i128> = [of.dev(), of.ino(), of.size()].map(i128::from).into_iter().chain(times).collect();
    all.try_into().ok()
}

impl Source {
    /// No file: plain HTTP for everybody.
    pub fn none() -> Self {
        Self { file: None, current: watch::Sender::default() }
    }

    /// Reads the file; `open_probes` as in [`Reading`]. The clock tells since when a file cannot be used.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn open(path: &Path, open_probes: bool, clock: Arc<dyn Clock>) -> Result<Self, Problems> {
        Self::looking_every(LOOK_EVERY, path, open_probes, clock)
    }

    pub(crate) fn looking_every(
        every: Duration,
        path: &Path,
        open_probes: bool,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Problems> {
        let file = File {
            path: path.to_owned(),
            open_probes,
            every,
            clock,
            told: None,
            looked: Mutex::new(Instant::now()),
            known: Mutex::default(),
        };
        let config = file.read(&mut lock(&file.known)).map_err(Problems)?;
        Ok(Self { file: Some(file), current: watch::Sender::new(Arc::new(config)) })
    }

    /// Tells at every later reading whether what was read holds now; if not, the former does.
    #[must_use]
    pub fn telling(mut self, told: impl Fn(bool) + Send + Sync + 'static) -> Self {
        if let Some(file) = &mut self.file {
            file.told = Some(Box::new(told));
        }
        self
    }

    /// What holds now. Whoever asks first after a second looks whether a file has changed; the others do not wait for it,
    /// nor does anybody wait for long: a look that takes its time goes on by itself.
    pub async fn current(self: &Arc<Self>) -> Arc<WebConfig> {
        if self.file.as_ref().is_some_and(File::is_due) {
            let source = Arc::clone(self);
            let look = tokio::task::spawn_blocking(move || source.look().tell(&source));
            // If it panics, what held before holds on.
            let _ = tokio::time::timeout(LOOK_LIMIT, look).await;
        }
        Arc::clone(&self.current.borrow())
    }

    /// What holds now, without a look at the file.
    pub(crate) fn in_force(&self) -> Arc<WebConfig> {
        Arc::clone(&self.current.borrow())
    }

    /// Completes when another configuration holds than this one.
    pub async fn outdated(&self, config: &Arc<WebConfig>) {
        // The sender is ours, so it cannot be gone.
        let _ = self.current.subscribe().wait_for(|now| !Arc::ptr_eq(now, config)).await;
    }

    /// Looks as everybody does, though it may take long, and says whether what the file holds is in force.
    ///
    /// # Errors
    ///
    /// Why it cannot be used, or must not be while the process runs.
    pub fn check(&self) -> Result<(), String> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut known = lock(&file.known);
        self.look_by(file, &mut known).tell(self);
        known.failure.clone().map_or(Ok(()), Err)
    }

    /// Reads again if a file has changed, unless that is just being done. What cannot be used, or would open what is
    /// closed, leaves the former in force.
    pub(crate) fn look(&self) -> Found {
        let Some(file) = &self.file else { return Found::Nothing };
        let mut known = match file.known.try_lock() {
            Ok(known) => known,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return Found::Nothing,
        };
        self.look_by(file, &mut known)
    }

    fn look_by(&self, file: &File, known: &mut Known) -> Found {
        let now = file.clock.now();
        if known.files.iter().all(|(path, seen)| print(path) == *seen) {
            return known.failure.take().map_or(Found::Nothing, |error| known.fails(error, now));
        }
        let config = file
            .read(known)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        let opened = |config: WebConfig| match self.current.borrow().opened_by(&config) {
            Some(why) => Err(why.to_owned()),
            None => Ok(config),
        };
        let config = config.and_then(opened);
        let found = match config {
            Ok(config) => {
                let warnings = config.warnings.clone();
                self.current.send_replace(Arc::new(config));
                known.failure = None;
                known.failures.succeeded();
                Found::Changed(warnings)
            }
            Err(error) => known.fails(error, now),
        };
        if let Some(told) = &file.told {
            told(known.failure.is_none());
        }
        found
    }
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing that was not told.
    Nothing,
    /// Another configuration, which holds now, with what it warns of.
    Changed(Vec<String>),
    /// Something that cannot be used.
    Broken(String),
    /// The same, of which nothing was said for a while.
    StillBroken {
        /// Why it cannot be used.
        error: String,
        /// When something that cannot be used was first found.
        since: UnixMillis,
    },
}

impl Found {
    fn tell(&self, source: &Source) {
        match self {
            Self::Nothing => {}
            Self::Changed(warnings) => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                let file = source.file.as_ref().map(|file| file.path.display().to_string());
                tracing::info!(file, "the web configuration was read again");
            }
            Self::Broken(error) => {
                tracing::warn!(error, "the changed web configuration cannot be used; the former one holds on");
            }
            Self::StillBroken { error, since } => tracing::warn!(
                error,
                failing_since = %since,
                "the web configuration on the disk still cannot be used; the former one holds on"
            ),
        }
    }
}

impl File {
    fn is_due(&self) -> bool {
        let mut looked = lock(&self.looked);
        let due = looked.elapsed() >= self.every;
        if due {
            *looked = Instant::now();
        }
        due
    }

    /// Reads it, and remembers the state that each file had before it was read: a change meanwhile is seen next time.
    fn read(&self, known: &mut Known) -> Result<WebConfig, Vec<crate::config::Problem>> {
        let files = RefCell::new(Vec::new());
        let read_file = |path: &Path| {
            files.borrow_mut().push((path.to_owned(), print(path)));
            fs::read_to_string(path)
        };
        let config = read(&self.path, Reading { read_file: &read_file, open_probes: self.open_probes });
        known.files = files.into_inner();
        config
    }
}

/// Each of them is whole after every step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
