//! jelou-exporter: Jelou conversations as Prometheus and OpenTelemetry metrics, each conversation counted exactly once.
//!
//! ```text
//! upstream pages ─► jelou (bytes → records) ─► poller ─► domain (each conversation counted once)
//!                                                │              │
//!                          store (one transaction a walk) ◄─────┤
//!                                                │              │
//!                                                └─ publishes ◄─┘
//!                                                     │
//!                             Snapshot (immutable, Arc) ─► http: render::exposition  (whoever scrapes)
//!                                                      └─► push: render::otlp  (whoever receives)
//! ```
//!
//! Data flows one way. The poller is the only writer of what is counted; whoever shows numbers gets an immutable snapshot, so
//! a scrape never waits for the upstream. What a walk changed is committed to the checkpoint before it is shown, so that
//! nothing is ever shown that a crash could take back. A push of deltas keeps there what it has told, in tables of its own.
//!
//! In reading order:
//!
//! * [`domain`]: the pure core, without input, output or clock. [`domain::ledger`] decides what counts and when,
//!   [`domain::plan`] what to ask for next, [`domain::catalog`] declares every metric, [`domain::snapshot`] is what is shown
//! * [`jelou`]: one call is one request: a page of records, or a reason. [`jelou::Budget`] spaces the requests
//! * [`poller`]: plan, fetch, fold, commit, publish; retries and how long to keep silent
//! * [`store`]: the checkpoint: one file, one transaction a walk, every schema that was ever written
//! * [`render`]: pure encoders of a snapshot: what a scrape gets in its three formats, OTLP messages, the status page, the
//!   README's table
//! * [`http`]: the web server; [`web_config`]: whom it serves, by a file that the exporters of Prometheus share; [`push`]: OTLP
//!   over HTTP or gRPC; [`live`]: the counts of these two and of the log
//! * [`config`]: one table of settings, read from flags, environment and file; [`cli`]: commands and flags
//! * [`app`]: the wiring: opens, starts, supervises and stops everything else
//! * [`simulator`]: a stand-in for the Jelou API that knows the truth, for `demo`, `simulate` and the tests
//! * [`logging`], [`panics`], [`clock`], [`tls`], `files`, `unreached`, `streak`: log lines, what is told of a bug, the time
//!   that is handed in, the roots of trust, files that may not answer, why a server was not reached, failures in a row
//!
//! One conversation's way through all of it: a [`jelou::Client`] reads it as a row of a page, the poller folds the walk into the
//! [`domain::ledger::Ledger`], which finds what is new about it and moves the counters of its bot and team, and the next
//! snapshot shows them.
//!
//! Conventions: an error is a value that names what to do about it; a time is handed in, never taken; durations of
//! conversations are whole milliseconds until they are shown as seconds.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod http;
pub mod jelou;
pub mod live;
pub mod logging;
pub mod panics;
pub mod poller;
pub mod push;
pub mod render;
pub mod simulator;
pub mod store;
mod streak;
pub mod tls;
mod unreached;
pub mod web_config;
