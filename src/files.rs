//! Reading files that may not answer: a mount that has lost its server keeps whoever reads from it, for ever if need be.
//!
//! Nothing can call such a read off. So each is made by a thread of its own, which is left behind when it takes too long; it
//! holds up neither the threads of the runtime nor the end of the process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io, thread};

use zeroize::Zeroizing;

/// How long a file may take when nothing can go on without it. A mount that is made on demand takes its time.
pub(crate) const AT_LENGTH: Duration = Duration::from_secs(10);

/// How long one may take that is only looked at again.
pub(crate) const AT_A_GLANCE: Duration = Duration::from_secs(2);

/// How soon a file that did not answer is tried again. Each try may leave a thread behind, so each waits twice as long as the
/// one before; a file that answers after all is read at once.
const FIRST_PAUSE: Duration = Duration::from_secs(10);

/// A file that was put in the place of one that hangs is found after so long at the latest.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What a thread that reads needs: two paths through the standard library.
const STACK: usize = 128 << 10;

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Contents {
    /// All of it; overwritten when it is dropped.
    pub(crate) text: Zeroizing<String>,
    /// When it had been written, as was known before it was read; if that can be told.
    pub(crate) written: Option<SystemTime>,
}

/// Reads a file, waiting for it no longer than `limit`.
///
/// # Errors
///
/// What the system says, or [`io::ErrorKind::TimedOut`]: see [`is_silent`].
pub(crate) fn read(path: &Path, limit: Duration) -> io::Result<Contents> {
    static PROCESS: Silent = Silent::new(FIRST_PAUSE);
    PROCESS.read(path, limit)
}

/// The text alone, for whoever wipes it himself.
///
/// # Errors
///
/// See [`read`].
pub(crate) fn read_to_string(path: &Path) -> io::Result<String> {
    read(path, AT_LENGTH).map(|mut contents| std::mem::take(&mut *contents.text))
}

/// Whether a file was not read because it does not answer.
pub(crate) fn is_silent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::TimedOut
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "it does not answer; is the server of its mount gone?")
}

/// The files that do not answer.
struct Silent {
    files: Mutex<BTreeMap<PathBuf, Silence>>,
    first_pause: Duration,
}

#[derive(Clone, Copy)]
struct Silence {
    tried_again: Instant,
    pause: Duration,
}

impl Silent {
    const fn new(first_pause: Duration) -> Self {
        Self { files: Mutex::new(BTreeMap::new()), first_pause }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Silence>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&'static self, path: &Path, limit: Duration) -> io::Result<Contents> {
        if self.files().get(path).is_some_and(|silence| Instant::now() < silence.tried_again) {
            return Err(silent());
        }
        let (here, there) = sync_channel(1);
        let of = path.to_owned();
        thread::Builder::new().name("file".to_owned()).stack_size(STACK).spawn(move || {
            let contents = read_now(&of);
            // Whoever gives up holds the lock, too: so what came in time is not taken for silence.
            let mut files = self.files();
            files.remove(&of);
            // Nobody may be there any more.
            let _ = here.send(contents);
        })?;
        match there.recv_timeout(limit) {
            Ok(contents) => contents,
            Err(RecvTimeoutError::Timeout) => {
                let mut files = self.files();
                there.try_recv().unwrap_or_else(|_| {
                    let pause = files
                        .get(path)
                        .map_or(self.first_pause, |silence| silence.pause.saturating_mul(2).min(LONGEST_PAUSE));
                    let tried_again = Instant::now().checked_add(pause).unwrap_or_else(Instant::now);
                    files.insert(path.to_owned(), Silence { tried_again, pause });
                    Err(silent())
                })
            }
            Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the thread that reads it has panicked")),
        }
    }
}

fn read_now(path: &Path) -> io::Result<Contents> {
    // Before it is read: what is written between the two shows as a change.
    let written = fs::metadata(path).and_then(|file| file.modified()).ok();
    Ok(Contents { text: Zeroizing::new(fs::read_to_string(path)?), written })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A folder with a file in it that does not answer until somebody writes.
    pub(crate) struct Hanging {
        folder: PathBuf,
        pub(crate) file: PathBuf,
    }

    impl Hanging {
        pub(crate) fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("jelou-exporter-hanging-{}", uuid::Uuid::new_v4()));
            fs::create_dir(&folder).unwrap();
            let file = folder.join("file");
            let hanging = Self { folder, file };
            hanging.hang();
            hanging
        }

        /// Puts the pipe where the file is, at once.
        pub(crate) fn hang(&self) {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            let pipe = self.folder.join("pipe");
            mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            fs::rename(&pipe, &self.file).unwrap();
        }

        /// Puts a file with this text where the pipe is, at once.
        pub(crate) fn put(&self, text: &str) {
            let other = self.folder.join("other");
            fs::write(&other, text).unwrap();
            fs::rename(&other, &self.file).unwrap();
        }
    }

    impl Hanging {
        /// Lets those read on who hang, and puts a file with this text there.
        pub(crate) fn answer(&self, text: &str) {
            let pipe = fs::File::options().write(true).open(&self.file).unwrap();
            self.put(text);
            drop(pipe);
        }
    }

    impl Drop for Hanging {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    fn files(first_pause: Duration) -> &'static Silent {
        Box::leak(Box::new(Silent::new(first_pause)))
    }

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_a_file_holds_and_why_it_cannot_be_read() {
        let (hanging, files) = (Hanging::new(), files(LONG));
        hanging.put("text\n");
        let contents = files.read(&hanging.file, LONG).unwrap();
        assert_eq!((contents.text.as_str(), contents.written.is_some()), ("text\n", true));
        let error = files.read(Path::new("/no/such"), LONG).unwrap_err();
        assert_eq!((error.kind(), is_silent(&error)), (io::ErrorKind::NotFound, false));
    }

    #[test]
    fn a_file_that_does_not_answer_is_given_up_and_not_asked_again_at_once() {
        let (hanging, files) = (Hanging::new(), files(LONG));
        let error = files.read(&hanging.file, SHORT).unwrap_err();
        assert!(is_silent(&error) && error.to_string().contains("does not answer"), "{error}");
        // Now it waits for nothing: a limit of a minute would be noticed.
        let began = Instant::now();
        assert!(is_silent(&files.read(&hanging.file, LONG).unwrap_err()));
        assert!(began.elapsed() < LONG);
        // It answers whoever asked first, and is read again from then on.
        hanging.answer("new");
        while files.files().contains_key(&hanging.file) {
            thread::yield_now();
        }
        assert_eq!(files.read(&hanging.file, LONG).unwrap().text.as_str(), "new");
    }

    #[test]
    fn a_file_in_place_of_one_that_hangs_is_read_after_a_pause_that_grows() {
        let (hanging, files) = (Hanging::new(), files(Duration::from_nanos(1)));
        for doubled in [1, 2, 4] {
            assert!(is_silent(&files.read(&hanging.file, SHORT).unwrap_err()));
            assert_eq!(files.files()[&hanging.file].pause, Duration::from_nanos(doubled));
        }
        hanging.put("new");
        assert_eq!(files.read(&hanging.file, LONG).unwrap().text.as_str(), "new");
        assert!(files.files().is_empty());
    }
}
