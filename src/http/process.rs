//! What the system knows of this process (`process_*`), read when it is asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use tokio::time::Instant;

/// For how long a reading is good. The open files are counted one by one: in a flood of requests on thousands of connections
/// that would cost more than everything else.
const GOOD_FOR: Duration = Duration::from_millis(100);

/// Reads at most ten times a second.
pub(super) struct Process(Mutex<Reading>);

struct Reading {
    collector: ProcessCollector,
    last: Option<(Instant, Vec<MetricFamily>)>,
}

impl Process {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Reading { collector: ProcessCollector::for_self(), last: None }))
    }

    /// The families, as they are now or were a moment ago.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        // One reading at a time, short as it is: two at once would both count the seconds that are new.
        let mut reading = self.lock();
        let known =
            reading.last.as_ref().filter(|(at, _)| at.elapsed() < GOOD_FOR).map(|(_, families)| families.clone());
        known.unwrap_or_else(|| {
            let families = reading.collector.collect();
            reading.last = Some((Instant::now(), families.clone()));
            families
        })
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        // It reads the kernel's figures anew each time, so a panic before does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_files(process: &Process) -> f64 {
        let families = process.families();
        let family = families.iter().find(|family| family.name() == "process_open_fds").expect("Linux tells");
        family.get_metric()[0].get_gauge().get_value()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reading_is_good_for_a_moment() {
        let process = Process::new();
        let before = process.lock().last.as_ref().map(|(at, _)| *at);
        assert_eq!(before, None);
        assert!(open_files(&process) > 2.0);
        let first = process.lock().last.as_ref().map(|(at, _)| *at);
        tokio::time::advance(GOOD_FOR / 2).await;
        open_files(&process);
        assert_eq!(process.lock().last.as_ref().map(|(at, _)| *at), first);
        tokio::time::advance(GOOD_FOR).await;
        open_files(&process);
        assert_eq!(process.lock().last.as_ref().map(|(at, _)| *at), Some(Instant::now()));
    }
}
