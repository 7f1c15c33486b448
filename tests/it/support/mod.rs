//! What the tests are written with.

pub(crate) mod adder;
pub(crate) mod alertmanager;
pub(crate) mod attack;
pub(crate) mod chromium;
pub(crate) mod collector;
pub(crate) mod disk;
pub(crate) mod endless;
pub(crate) mod expected;
pub(crate) mod exporter;
pub(crate) mod exposition;
pub(crate) mod lasting;
pub(crate) mod needles;
pub(crate) mod otlp;
pub(crate) mod peer;
pub(crate) mod posts;
pub(crate) mod program;
pub(crate) mod receiver;
pub(crate) mod rotel;
pub(crate) mod scratch;
pub(crate) mod tls;
pub(crate) mod web;
pub(crate) mod world;

use std::time::{Duration, Instant};

/// Far more than anything takes; only a failure lasts so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Asks again and again until the answer is there; says the last reason why it was not.
#[track_caller]
pub(crate) fn eventually<T>(mut ask: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(why) => assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {why}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The same for a plain condition.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(|| if holds() { Ok(()) } else { Err(what.to_owned()) });
}
