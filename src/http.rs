//! The web server: metrics for a scraper, a page for people, health for an orchestrator.
//!
//! Scrapes never wait for the upstream: whatever is asked, the newest published snapshot answers.
//!
//! * `door`: connections come in, `lobby`: or wait; `crowd`: who leaves for one more, `tarpit`: and is closed later; `server`: how they
//!   are served; `link`: what each is doing and how long it may; `watched`: its stream; `limits`, `drops`
//! * `peers`: whose connections they are
//! * `gate`: who gets an answer; `passwords`: basic authentication; `bucket`: the rate limit
//! * `routes`: which answer belongs to which request; `page`: the one for people
//! * `accept`, `negotiation`: what the client wants, and what it gets
//! * `cache`: each format encoded once for a snapshot; `pack`: compressed so that a scrape can add what is live; `process`: which
//!   is part of that

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use hyper::body::Body;
use hyper::{HeaderMap, Method, Response};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::snapshot::Snapshot;
use crate::live::LiveStats;
use crate::render::exposition::{self, Format, Options};
use crate::web_config::Source;

mod accept;
mod body;
mod bucket;
mod cache;
mod crowd;
mod door;
mod drops;
mod gate;
mod limits;
mod link;
mod lobby;
mod negotiation;
mod pack;
mod page;
mod passwords;
mod peers;
mod process;
mod routes;
mod server;
mod tarpit;
#[cfg(test)]
mod tests;
mod watched;

pub use server::serve;

/// Who may ask.
#[derive(Clone)]
pub struct Access {
    /// The web configuration that holds.
    pub source: Arc<Source>,
    /// Whether health is told to whoever asks.
    pub open_probes: bool,
}

impl Access {
    /// Everybody, by plain HTTP.
    pub fn open() -> Self {
        Self { source: Arc::new(Source::none()), open_probes: false }
    }
}

/// Reads the configuration again; what is said of it when it holds now.
pub type Reload = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<String, NotReloaded>> + Send>> + Send + Sync>;

/// Why the configuration was not read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReloaded {
    /// It cannot be used, and why.
    Refused(String),
    /// It is just being read, and what that means for who asks.
    UnderWay(String),
}

/// What the answers are made of.
pub struct HttpState {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    clock: Arc<dyn Clock>,
    live: Arc<LiveStats>,
    telemetry_path: String,
    options: Options,
    cache: cache::Cache,
    page: Arc<page::LastPage>,
    reload: Option<Reload>,
    process: process::Process,
}

impl HttpState {
    /// Shows the newest of `snapshots` under `telemetry_path`.
    pub fn new(
        snapshots: watch::Receiver<Arc<Snapshot>>,
        clock: Arc<dyn Clock>,
        live: Arc<LiveStats>,
        telemetry_path: impl Into<String>,
        options: Options,
    ) -> Self {
        Self {
            snapshots,
            clock,
            live,
            telemetry_path: telemetry_path.into(),
            options,
            cache: cache::Cache::new(options),
            page: Arc::default(),
            reload: None,
            process: process::Process::new(),
        }
    }

    /// Lets `POST /-/reload` do this.
    pub fn reloading(self, reload: Reload) -> Self {
        Self { reload: Some(reload), ..self }
    }

    /// The answer that the server gives; for whoever wants it without a connection.
    pub async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Response<impl Body<Data = Bytes, Error = Infallible> + use<>> {
        routes::answer(self, method, path, headers).await
    }

    /// What is to be shown now.
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// What is encoded anew for each scrape.
    fn fresh(&self, format: Format, snapshot: &Snapshot) -> Vec<u8> {
        exposition::fresh(format, self.options, snapshot, &self.live.live(), &self.process.families())
    }
}
