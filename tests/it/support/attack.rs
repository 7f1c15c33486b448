//! Attacks on a web server by other people's tools, for tests and for the benchmark.

use std::ffi::OsStr;
use std::process::Command;

/// What a tool does, until it is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// The environment variable that names the tool.
    pub(crate) tool: &'static str,
    /// What stands before the address.
    arguments: &'static [&'static str],
    path: &'static str,
    pub(crate) door: Door,
}

/// What is to be overcome before an answer is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) tls: bool,
    /// Whether a password is wanted; the tools send a wrong one.
    pub(crate) password: bool,
}

const OPEN: Door = Door { tls: false, password: false };
const TLS: Door = Door { tls: true, password: false };
const PASSWORD: Door = Door { tls: false, password: true };
const LOCKED: Door = Door { tls: true, password: true };

const SLOW: &str = "JELOU_TEST_SLOWHTTPTEST";
const WRK: &str = "JELOU_TEST_WRK";
const H2LOAD: &str = "JELOU_TEST_H2LOAD";
const AB: &str = "JELOU_TEST_AB";

/// User `ada`, password `two`, which is not hers.
const WRONG: &str = "Authorization: Basic YWRhOnR3bw==";

/// A line of a request's head or body every 5 s on 2000 connections; 1000 new ones a second.
macro_rules! slow {
    ($($how:literal),+) => { &["-c", "2000", "-r", "1000", "-i", "5", "-l", "36000", $($how,)+ "-u"] };
}

impl Attack {
    pub(crate) const SLOW_HEADERS: Self = Self::new("slow headers", SLOW, slow!("-H"), OPEN);
    /// So few that none has to leave for another.
    pub(crate) const FEW_SLOW_HEADERS: Self =
        Self::new("few slow headers", SLOW, &["-c", "100", "-r", "1000", "-i", "5", "-l", "36000", "-H", "-u"], OPEN);
    pub(crate) const SLOW_BODIES: Self = Self::new("slow bodies", SLOW, slow!("-B"), OPEN);
    /// Windows of some hundred bytes, read 32 bytes a time.
    pub(crate) const SLOW_READERS: Self =
        Self::new("slow readers", SLOW, slow!("-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3"), OPEN);
    /// One request on each, and then nothing for minutes.
    pub(crate) const IDLE: Self =
        Self::new("idle connections", H2LOAD, &["--h1", "-c", "4000", "--rps=0.005", "-D", "36000"], OPEN);
    pub(crate) const REQUESTS: Self =
        Self::new("keep-alive requests", WRK, &["-t", "1", "-c", "200", "-d", "10h"], OPEN);
    /// More than there is room for.
    pub(crate) const CROWD: Self = Self::new("a crowd of requests", WRK, &["-t", "1", "-c", "2000", "-d", "10h"], OPEN);
    pub(crate) const PAGES: Self =
        Self { path: "/", ..Self::new("status pages", WRK, &["-t", "1", "-c", "200", "-d", "10h"], OPEN) };
    pub(crate) const CONNECTIONS: Self =
        Self::new("new connections", AB, &["-q", "-r", "-l", "-n", "20000000", "-c", "200"], OPEN);
    pub(crate) const STREAMS: Self =
        Self::new("HTTP/2 streams", H2LOAD, &["-c", "100", "-m", "100", "-D", "36000"], OPEN);
    pub(crate) const HANDSHAKES: Self =
        Self { path: "/-/healthy", ..Self::new("TLS handshakes", AB, Self::CONNECTIONS.arguments, TLS) };
    pub(crate) const TLS_STREAMS: Self = Self::new("HTTP/2 streams by TLS", H2LOAD, Self::STREAMS.arguments, TLS);
    pub(crate) const PASSWORDS: Self =
        Self::new("wrong passwords", WRK, &["-t", "1", "-c", "200", "-d", "10h", "-H", WRONG], PASSWORD);
    pub(crate) const LOCKED_PASSWORDS: Self = Self::new(
        "wrong passwords by TLS",
        AB,
        &["-q", "-r", "-l", "-n", "20000000", "-c", "200", "-H", WRONG],
        LOCKED,
    );

    const fn new(name: &'static str, tool: &'static str, arguments: &'static [&'static str], door: Door) -> Self {
        Self { name, tool, arguments, path: "/metrics", door }
    }

    /// What attacks this `host:port`. Behind everything else in the queue for the processor: on other machines, where
    /// attackers are, they would take nothing from the server's.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, address: &str) -> Command {
        let scheme = if self.door.tls { "https" } else { "http" };
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(program).args(self.arguments);
        command.arg(format!("{scheme}://{address}{}", self.path));
        command
    }
}
