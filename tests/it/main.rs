//! The whole exporter against whole counterparts: a simulated upstream in this process, the real binary, real servers.
//!
//! In reading order: `oracle` (the numbers are right), `errors` (whatever the upstream does), `kills` (whatever becomes
//! of the process), `schemas` (whichever version wrote the checkpoint), `http`, `cli`, `stop`, `peers` (other people's programs read what we
//! write), `formats` (each format, by strict readers), `scrapes` (Prometheus, with all that a format carries).

#![allow(clippy::unwrap_used, reason = "in a test a failure is what it should be")]

mod cli;
mod errors;
mod formats;
mod http;
mod kills;
mod oracle;
mod peers;
mod schemas;
mod scrapes;
mod stop;
mod support;
