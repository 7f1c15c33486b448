//! A child process that is listened to, and that does not outlive its test.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::eventually;

/// What a stream has brought so far.
struct Heard {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Heard {
    fn listen(stream: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut lines = BufReader::new(stream);
            let mut line = Vec::new();
            // A stream that breaks has ended.
            while lines.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

/// A running program.
pub(crate) struct Program {
    child: Child,
    stdout: Heard,
    stderr: Heard,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::with_stdin(command, Stdio::null())
    }

    pub(crate) fn with_stdin(command: &mut Command, stdin: Stdio) -> Self {
        let spawned = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, stdout: Heard::listen(stdout), stderr: Heard::listen(stderr) }
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// What follows `mark` in the first line, on either stream, that has it: up to the next blank.
    #[track_caller]
    pub(crate) fn word_after(&mut self, mark: &str) -> String {
        eventually(|| {
            let ended = self.child.try_wait().unwrap();
            let said = self.stdout() + &self.stderr();
            let word = said.split_once(mark).and_then(|(_, rest)| rest.split_once(char::is_whitespace));
            match (word, ended) {
                (Some((word, _)), _) => Ok(word.to_owned()),
                (None, Some(status)) => panic!("{status}, without {mark:?}:\n{said}"),
                (None, None) => Err(format!("no {mark:?} in:\n{said}")),
            }
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its short name (`TERM`).
    pub(crate) fn signal(&self, name: &str) {
        // By the shell, which has it built in: neither a crate nor a program is needed for it.
        let sent =
            Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end; after that both streams are complete.
    #[track_caller]
    pub(crate) fn ended_within(&mut self, limit: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.stdout.join();
                self.stderr.join();
                return status;
            }
            assert!(began.elapsed() < limit, "still running after {limit:?}:\n{}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}{}", tail(&self.stdout()), tail(&self.stderr()));
        }
    }
}

/// The last lines, for a failure's output.
fn tail(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].iter().map(|line| format!("{line}\n")).collect()
}
