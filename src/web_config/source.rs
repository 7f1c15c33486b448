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
use crate::config::Problems;

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
    looked: Mutex<Instant>,
    known: Mutex<Known>,
}

/// What the last reading saw.
#[derive(Default)]
struct Known {
    files: Vec<(PathBuf, Print)>,
    /// Why it could not be used, if so.
    failure: Option<String>,
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

    /// Reads the file; `open_probes` as in [`Reading`].
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn open(path: &Path, open_probes: bool) -> Result<Self, Problems> {
        Self::looking_every(LOOK_EVERY, path, open_probes)
    }

    pub(crate) fn looking_every(every: Duration, path: &Path, open_probes: bool) -> Result<Self, Problems> {
        let file = File {
            path: path.to_owned(),
            open_probes,
            every,
            looked: Mutex::new(Instant::now()),
            known: Mutex::default(),
        };
        let config = file.read(&mut lock(&file.known)).map_err(Problems)?;
        Ok(Self { file: Some(file), current: watch::Sender::new(Arc::new(config)) })
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
        if known.files.iter().all(|(path, seen)| print(path) == *seen) {
            return Found::Nothing;
        }
        let config = file
            .read(known)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "));
        let opened = |config: WebConfig| match self.current.borrow().opened_by(&config) {
            Some(why) => Err(why.to_owned()),
            None => Ok(config),
        };
        match config.and_then(opened) {
            Ok(config) => {
                let warnings = config.warnings.clone();
                self.current.send_replace(Arc::new(config));
                known.failure = None;
                Found::Changed(warnings)
            }
            Err(error) if known.failure.as_ref() == Some(&error) => Found::StillBroken(error),
            Err(error) => {
                known.failure = Some(error.clone());
                Found::Broken(error)
            }
        }
    }
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// No change.
    Nothing,
    /// Another configuration, which holds now, with what it warns of.
    Changed(Vec<String>),
    /// Something that cannot be used.
    Broken(String),
    /// Something that cannot be used either, for the same reason.
    StillBroken(String),
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
            Self::StillBroken(error) => tracing::debug!(error, "the web configuration still cannot be used"),
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
