//! A faithful stand-in for the Jelou API, and the judge that knows the truth behind it.
//!
//! Serves the commands `demo` and `simulate` and the integration tests; nothing else may import it. It is written from
//! what is known of the upstream, not from the exporter. In reading order:
//!
//! * [`story`]: the whole life of one record, known in advance
//! * [`cast`]: bots and teams; `dice` and `traffic` make their stories by seed; `world` holds them all
//! * `record`: a story at one instant, as a row of JSON
//! * `request`, [`faults`], `answer`, `page`, `reply`: from a request to its answer, right or wrong on purpose
//! * `server`, [`log`]: the socket, and what was asked
//! * [`oracle`]: the exact totals for any moment

mod answer;
pub mod cast;
mod dice;
pub mod faults;
pub mod log;
mod options;
pub mod oracle;
mod page;
mod record;
mod reply;
mod request;
mod server;
pub mod story;
mod traffic;
mod world;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::answer::State;
use self::faults::{Fault, FaultRates};
use self::log::LoggedRequest;
use self::oracle::{OracleRules, Totals};
use self::server::Shared;
use self::story::Story;
use crate::clock::Clock;
use crate::domain::time::UnixMillis;

pub use self::options::{AuthForm, DateStyle, SimulatorOptions, TooWide, TotalStyle};
pub use self::request::Dialect;

/// A running simulated API. It stops when it is dropped, too.
pub struct Simulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Serves on this listener, from within a runtime. The generated world begins
    /// [`history`](SimulatorOptions::history) before the clock's present.
    pub fn start(options: SimulatorOptions, clock: Arc<dyn Clock>, listener: TcpListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let begins = clock.now() - options.history;
        let shared = Arc::new(Shared::new(clock, State::new(options, begins)));
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(server::serve(listener, shared.clone(), stopped));
        Ok(Self { shared, address, stop, server })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// What `api.url` is to be set to.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening, ends every connection (those that hang, too) and waits for it.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // The server task neither panics nor is it aborted.
        let _ = self.server.await;
    }

    /// The world stops at this instant: nothing that happens later is ever shown.
    pub fn freeze_at(&self, at: UnixMillis) {
        self.shared.state().frozen = Some(at);
    }

    /// The world goes on (and has gone on all the while).
    pub fn thaw(&self) {
        self.shared.state().frozen = None;
    }

    /// Changes how the server behaves from now on. What concerns the generated traffic (seed, cast, rates, pace,
    /// history, order) is fixed from the start, and so are the fault rates: see [`set_faults`](Self::set_faults).
    /// The change must not call the simulator.
    pub fn configure(&self, change: impl FnOnce(&mut SimulatorOptions)) {
        change(&mut self.shared.state().options);
    }

    /// The next `requests` requests get this fault, after what was scripted before.
    pub fn script(&self, fault: Fault, requests: u64) {
        self.shared.state().faults.script.push_back((fault, requests));
    }

    /// Forgets what was scripted.
    pub fn clear_script(&self) {
        self.shared.state().faults.script.clear();
    }

    /// How often something goes wrong by chance from now on.
    pub fn set_faults(&self, rates: FaultRates) {
        self.shared.state().faults.rates = rates;
    }

    /// Adds a record, or replaces the one of the same id.
    pub fn put(&self, story: Story) {
        self.shared.state().world.put(story);
    }

    /// Takes a record away as if it had never been; whether there was one.
    pub fn remove(&self, id: &str) -> bool {
        self.shared.state().world.remove(id)
    }

    /// The record of this id.
    pub fn find(&self, id: &str) -> Option<Arc<Story>> {
        self.shared.state().world.find(id)
    }

    /// Changes a record, generated ones included; whether there was one. The change must not call the simulator.
    pub fn amend(&self, id: &str, change: impl FnOnce(&mut Story)) -> bool {
        let mut state = self.shared.state();
        let Some(story) = state.world.find(id) else { return false };
        let mut story = Arc::unwrap_or_clone(story);
        change(&mut story);
        // Under a new id it is another record; the old one must not stay beside it.
        state.world.remove(id);
        state.world.put(story);
        true
    }

    /// Soft-deletes a record: from now on it is not listed; whether there was one.
    pub fn hide(&self, id: &str) -> bool {
        let now = self.shared.clock.now();
        let reached = self.shared.state().reached(now);
        self.amend(id, |story| story.vanishes = Some(reached))
    }

    /// Lists a hidden record again; whether there was one.
    pub fn unhide(&self, id: &str) -> bool {
        self.amend(id, |story| story.vanishes = None)
    }

    /// Every record that starts between these instants (both included), sorted by start, whether it is listed or not.
    pub fn stories(&self, from: UnixMillis, until: UnixMillis) -> Vec<Arc<Story>> {
        self.shared.state().world.between(from, until)
    }

    /// Every piece of personal data in the rows of these records: what must not show up anywhere else.
    pub fn personal_data(&self, from: UnixMillis, until: UnixMillis) -> Vec<String> {
        let stories = self.stories(from, until);
        let mut found: Vec<String> = stories.iter().flat_map(|story| record::personal_data(story)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The exact totals of the records that start between these instants (both included), in the state of the world
    /// at `until`; see [`oracle`].
    pub fn totals(&self, from: UnixMillis, until: UnixMillis, rules: &OracleRules) -> Totals {
        let stories = self.stories(from, until);
        oracle::totals(stories.iter().map(Arc::as_ref), until, rules)
    }

    /// The requests so far, the latest [`requests_kept`](SimulatorOptions::requests_kept).
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.shared.state().log.list()
    }

    /// How many requests there have been since the start or the last [`clear_requests`](Self::clear_requests).
    pub fn request_count(&self) -> u64 {
        self.shared.state().log.total()
    }

    /// Forgets the requests so far.
    pub fn clear_requests(&self) {
        self.shared.state().log.clear();
    }

    /// The most requests that came within any one second.
    pub fn most_requests_in_a_second(&self) -> usize {
        self.shared.state().log.most_within(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests;
