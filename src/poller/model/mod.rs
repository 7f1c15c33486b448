//! The model test: random histories of conversations against random faults and crashes, the whole exporter minus the
//! sockets, in virtual time, compared with an oracle at every publication and with the truth after it settles.
//!
//! * `history`, `stories`, `settings`: what happens, all of it from one number
//! * `upstream`, `disk`, `stage`: the world in which the real poller, ledger, plan and store are put
//! * `book`, `sums`, `times`: the oracle, which reckons over again by the rules what was read
//! * `watch`, `compare`, `moments`, `series`, `pace`: what has to be true of every publication, through all lives of the process
//! * `settled`: what has to be true at the end
//! * `run`: one process after the other on the same disk
//!
//! `JELOU_TEST_SEED=n` plays history n alone and tells what happens in it; `JELOU_TEST_HISTORIES` says how many there
//! are otherwise.

mod book;
mod compare;
mod disk;
mod history;
mod moments;
mod pace;
mod run;
mod series;
mod settings;
mod settled;
mod stage;
mod stories;
mod sums;
mod times;
mod upstream;
mod watch;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Histories that are played when nothing else is asked for.
const HISTORIES: u64 = 2000;

fn asked(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn histories_are_counted_as_the_rules_say() {
    if let Some(seed) = asked("JELOU_TEST_SEED").filter(|_| asked("JELOU_TEST_HISTORIES").is_none()) {
        if let Err(failure) = run::play(seed, true) {
            panic!("{}\nhistory {seed}: {}", failure.trace.join("\n"), failure.what);
        }
        return;
    }
    let first = asked("JELOU_TEST_SEED").unwrap_or(1);
    let many = asked("JELOU_TEST_HISTORIES").unwrap_or(HISTORIES);
    let (next, failures) = (AtomicU64::new(first), Mutex::new(Vec::new()));
    let play = || {
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= first + many {
                return;
            }
            if let Err(failure) = run::play(seed, false) {
                failures.lock().unwrap().push((seed, failure.what));
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(play))));
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    let told: Vec<String> = failures.iter().take(20).map(|(seed, what)| format!("history {seed}: {what}")).collect();
    let failed = failures.len();
    assert!(failed == 0, "{}\n{failed} of {many} failed; play one alone with JELOU_TEST_SEED", told.join("\n"));
}
