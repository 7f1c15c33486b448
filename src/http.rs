//! The web server: metrics for a scraper, a page for people, health for an orchestrator.
//!
//! Scrapes never wait for the upstream: whatever is asked, the newest published snapshot answers.

use std::sync::Arc;

use prometheus::process_collector::ProcessCollector;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::snapshot::Snapshot;
use crate::live::LiveStats;

mod body;
mod cache;
mod page;
mod routes;
mod server;
#[cfg(test)]
mod tests;

pub use server::serve;

/// What the answers are made of.
pub struct HttpState {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    clock: Arc<dyn Clock>,
    live: Arc<LiveStats>,
    telemetry_path: String,
    cache: cache::Cache,
    process: Arc<ProcessCollector>,
}

impl HttpState {
    /// Shows the newest of `snapshots` under `telemetry_path`.
    pub fn new(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        clock: Arc<dyn Clock>,
        live: Arc<LiveStats>,
        telemetry_path: impl Into<String>,
    ) -> Self {
        Self {
            snapshots,
            clock,
            live,
            telemetry_path: telemetry_path.into(),
            cache: cache::Cache::default(),
            process: Arc::new(ProcessCollector::for_self()),
        }
    }

    /// What is to be shown now.
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }
}
