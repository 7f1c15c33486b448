//! The whole exporter against whole counterparts: a simulated upstream in this process, the real binary, real servers.
//!
//! In reading order: `oracle` (the numbers are right), `errors` (whatever the upstream does), `hostile` and `hostile_receiver` (on purpose),
//! `nobody` (what leaves names no person), `upstream` (how it is reached), `kills` and `soak` (whatever becomes of the process),
//! `disk` (of its state), `schemas` (whichever version wrote it), `changes` and `reload` (of its settings), `http`, `access`,
//! `siege` (under attack), `page` (a browser shows it), `cli`, `stop`, `peers`, `starts`, `formats`, `scrapes` and `otlp` (other people's programs read
//! what we write), `deploy` (how it is started), `grafana` (dashboards and rules), `rules`, `afternoon` and `alerting` (whoever
//! is to be woken is, and nobody else).

#![allow(clippy::unwrap_used, reason = "in a test a failure is what it should be")]

mod access;
mod afternoon;
mod alerting;
mod changes;
mod cli;
mod deploy;
mod disk;
mod errors;
mod formats;
mod grafana;
mod hostile;
mod hostile_receiver;
mod http;
mod kills;
mod nobody;
mod oracle;
mod otlp;
mod page;
mod peers;
mod reload;
mod rules;
mod schemas;
mod scrapes;
mod siege;
mod soak;
mod starts;
mod stop;
mod support;
mod upstream;
