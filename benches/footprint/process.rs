//! A process that is measured: it is ended when it is dropped, and asked over HTTP and by the kernel's account of it.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Child;
use std::time::{Duration, Instant};

/// Far more than anything takes; only a failure lasts so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Killed(pub(super) Child);

impl Killed {
    pub(super) fn memory(&self) -> Memory {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("the process lives");
        let mib = |key: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line on this kind of memory");
            value.trim_matches([':', '\t', ' ', 'k', 'B']).parse::<f64>().expect("a number of KiB") / 1024.0
        };
        // What is shared without a file (RssShmem) none of these programs has.
        Memory { resident: mib("VmRSS"), own: mib("RssAnon"), files: mib("RssFile") }
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Resident memory, MiB.
#[derive(Clone, Copy)]
pub(super) struct Memory {
    /// All of it, VmRSS.
    pub(super) resident: f64,
    /// Heap, stacks and what the loader wrote: nobody else's, and never given back under pressure.
    own: f64,
    /// Code and constants that lie in the page cache.
    files: f64,
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5.1} MiB resident ({:.1} own, {:.1} of files)", self.resident, self.own, self.files)
    }
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

pub(super) fn wait_for<T>(what: &str, patience: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(began.elapsed() < patience, "waited {patience:?} in vain for {what}");
        std::thread::yield_now();
    }
}

/// The answer, head and body; `None` where there is none.
pub(super) fn get(port: u16, path: &str, accept: &str) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(answer)
}
