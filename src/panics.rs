//! A panic is a bug, and is told like everything else: one line of the log that says where, and nothing that the program
//! was handed.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::panic::{self, PanicHookInfo};
use std::thread;

use tokio::task::JoinError;
use tracing::{dispatcher, error};

/// From here on, each panic of this process is one line on stderr: of the log once there is one.
pub fn tell() {
    panic::set_hook(Box::new(|info| {
        let bug = Bug::of(info);
        if dispatcher::has_been_set() {
            bug.log();
        } else {
            eprint_line(&bug);
        }
    }));
}

#[expect(clippy::print_stderr, reason = "there is no log yet")]
fn eprint_line(bug: &Bug) {
    eprintln!("error: {bug}");
}

/// Why a task gave nothing, in words that hold nothing it was handed: those of [`JoinError`] repeat the panic's.
pub fn why(error: &JoinError) -> &'static str {
    if error.is_panic() { "it panicked; the log says where" } else { "it was cancelled" }
}

/// What may be told of a panic.
struct Bug {
    /// File, line and column.
    at: String,
    thread: String,
    /// Words that stand so in the program. Those that were put together while it ran may hold a person or a secret (to cut a
    /// text at the wrong place shows the text), so they are left out.
    said: Option<&'static str>,
    /// If `RUST_BACKTRACE` asks for it.
    backtrace: Option<String>,
}

impl Bug {
    fn of(info: &PanicHookInfo<'_>) -> Self {
        let backtrace = Backtrace::capture();
        Self {
            at: info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string),
            thread: thread::current().name().unwrap_or("unnamed").to_owned(),
            said: info.payload().downcast_ref::<&'static str>().copied(),
            backtrace: (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
        }
    }

    fn log(&self) {
        error!(
            at = self.at,
            thread = self.thread,
            said = self.said,
            backtrace = self.backtrace,
            "a panic, which is a bug of the exporter: please report it with this line"
        );
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a panic at {} (thread {})", self.at, self.thread)?;
        if let Some(said) = self.said {
            write!(f, ": {said}")?;
        }
        f.write_str("; this is a bug of the exporter: please report it with this line")?;
        self.backtrace.iter().try_for_each(|backtrace| write!(f, "\n{backtrace}"))
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::time::UnixMillis;
    use crate::live::LiveStats;

    const SECRET: &str = "simulated-secret";

    /// What would be logged of this thread's panic; those of other tests go where they went.
    fn logged(panics: fn()) -> String {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (log, here) = (Log::default(), thread::current().id());
        let (subscriber, _control) = crate::logging::subscriber(
            crate::domain::label::LogLevel::Trace,
            crate::logging::LogFormat::Logfmt,
            Arc::new(ManualClock::new(UnixMillis(0))),
            Arc::new(LiveStats::new(false)),
            log.clone(),
        );
        let before: Arc<dyn Fn(&PanicHookInfo<'_>) + Send + Sync> = Arc::from(panic::take_hook());
        let others = Arc::clone(&before);
        panic::set_hook(Box::new(
            move |info| {
                if thread::current().id() == here { Bug::of(info).log() } else { others(info) }
            },
        ));
        let panicked = tracing::subscriber::with_default(subscriber, || panic::catch_unwind(panics));
        panic::set_hook(Box::new(move |info| before(info)));
        panicked.unwrap_err();
        log.text()
    }

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl std::io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_one_line_that_says_where() {
        let line = logged(|| panic!("words of the program"));
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.contains("level=error") && line.contains("src/panics.rs:"), "{line}");
        assert!(line.contains(r#"said="words of the program""#), "{line}");
    }

    #[test]
    fn what_the_program_was_handed_is_not_told() {
        let panics: [fn(); 4] = [
            || panic!("cannot use {}", black_box(SECRET)),
            || drop(black_box("é simulated-secret")[1..].to_owned()),
            || assert_eq!(black_box(SECRET), "another"),
            || black_box(Err::<(), _>(SECRET)).expect("a result"),
        ];
        for panics in panics {
            let line = logged(panics);
            assert!(line.contains("src/panics.rs:") && !line.contains(SECRET), "{line}");
        }
    }

    #[tokio::test]
    async fn a_task_that_panicked_is_told_without_its_words() {
        let error = tokio::spawn(async { panic!("cannot use {}", black_box(SECRET)) }).await.unwrap_err();
        assert!(error.to_string().contains(SECRET), "else this would be needless");
        assert_eq!(why(&error), "it panicked; the log says where");
    }
}
