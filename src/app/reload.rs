//! Reading the settings again while the process runs: all of them hold from then on, or none.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use super::{AppError, assemble};
use crate::clock::Clock;
use crate::config::settings::Setting;
use crate::config::{Config, Problems};
use crate::http::NotReloaded;
use crate::jelou::{Client, SetupError};
use crate::live::LiveStats;
use crate::logging::Control;
use crate::panics;
use crate::poller::Updates;
use crate::streak::{News, Streak};
use crate::web_config::{self, WebConfig};

/// How long whoever asks waits for what comes of it. Files that do not answer are given up before, one after the other.
const LIMIT: Duration = Duration::from_secs(15);

/// Reads the settings where they were given at the start.
pub(super) type Read = Box<dyn Fn() -> Result<Config, Problems> + Send + Sync>;

/// What a reload needs of the process before there is a poller.
pub(super) struct Source {
    pub(super) read: Read,
    pub(super) log: Control,
}

/// Reloads at each hang-up, until it is told to stop.
pub(super) async fn at_each(
    mut hangups: Signal,
    reloader: Arc<Reloader>,
    stopped: impl Future<Output = ()>,
) -> Result<(), AppError> {
    let mut stopped = pin!(stopped);
    loop {
        tokio::select! {
            _ = hangups.recv() => {}
            () = &mut stopped => return Ok(()),
        }
        tokio::select! {
            () = reloader.reload_in_turn() => {}
            () = &mut stopped => return Ok(()),
        }
    }
}

/// Why the settings before are still in force.
#[derive(Debug)]
pub(super) enum ReloadError {
    /// They cannot be used.
    Config(Problems),
    /// Some of the settings that differ hold from the start of the process to its end.
    Restart {
        /// Those.
        fixed: Vec<&'static str>,
        /// The others, which might change by themselves.
        others: Vec<&'static str>,
    },
    /// The web configuration must not come into force while the process runs, or cannot.
    Web(String),
    /// The API client cannot be made.
    Client(SetupError),
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => write!(f, "{problems}"),
            Self::Restart { fixed, others } => {
                f.write_str("these settings cannot change while the exporter runs; restart it, or set them back:")?;
                fixed.iter().try_for_each(|key| write!(f, "\n  {key}"))?;
                if !others.is_empty() {
                    write!(f, "\n  until then what else was changed does not hold either: {}", others.join(", "))?;
                }
                Ok(())
            }
            Self::Web(why) => write!(f, "web.config_file: {why}"),
            Self::Client(error) => write!(f, "the API client cannot be made: {error}"),
        }
    }
}

/// What a reload has done.
struct Done {
    /// The settings that changed.
    changed: Vec<&'static Setting>,
    /// Whether the web configuration has changed since it was told of last.
    web_changed: bool,
}

impl Done {
    const fn is_nothing(&self) -> bool {
        self.changed.is_empty() && !self.web_changed
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = |setting: &Setting| match setting.section() {
            "log" => "from now on",
            _ if setting.acts_at_start() => "from the next start on",
            _ => "from the next poll on",
        };
        let told = ["from now on", "from the next poll on", "from the next start on"].into_iter().filter_map(|time| {
            let those = self.changed.iter().filter(|setting| when(setting) == time);
            let those: Vec<_> = those.map(|setting| setting.key).collect();
            (!those.is_empty()).then(|| format!("{} {time}", those.join(", ")))
        });
        let web = self.web_changed.then(|| "the web configuration has changed and holds".to_owned());
        match told.chain(web).collect::<Vec<_>>().join("; ") {
            none if none.is_empty() => {
                f.write_str("Reloaded: no setting has changed; the files that settings name were read again.")
            }
            told => write!(f, "Reloaded: {told}."),
        }
    }
}

/// Reloads; shared by everyone who may ask for it.
pub(super) struct Reloader {
    source: Source,
    web: Arc<web_config::Source>,
    /// Held from reading to what is told of it: one reload at a time, and of two the later one holds.
    running: Arc<Mutex<Running>>,
    updates: Updates<Client>,
    clock: Arc<dyn Clock>,
    live: Arc<LiveStats>,
    /// How long whoever asks waits for what comes of it.
    limit: Duration,
}

/// What holds, and how reloads went that were to change it.
struct Running {
    config: Config,
    /// The web configuration that was told of last.
    web: Arc<WebConfig>,
    refusals: Streak,
}

impl Reloader {
    /// Goes from `running` on; the poller takes over what comes by `updates`, and `web` looks after a file of its own.
    pub(super) fn new(
        source: Source,
        web: Arc<web_config::Source>,
        running: Config,
        updates: Updates<Client>,
        clock: Arc<dyn Clock>,
        live: Arc<LiveStats>,
    ) -> Self {
        let running = Running { config: running, web: web.in_force(), refusals: Streak::default() };
        Self { source, web, running: Arc::new(Mutex::new(running)), updates, clock, live, limit: LIMIT }
    }

    /// Reads the settings again, unless that is just being done, and says in one line, or several if there is much to say,
    /// what came of it. However many ask, one thread is taken, and nobody waits for a file that does not answer.
    ///
    /// # Errors
    ///
    /// Everything that is wrong; nothing has changed then. Or that a reload is under way.
    pub(super) async fn reload(self: Arc<Self>) -> Result<String, NotReloaded> {
        match Arc::clone(&self.running).try_lock_owned() {
            Ok(running) => self.attempt(running).await,
            Err(_) => {
                Err(NotReloaded::UnderWay("Not reloaded: a reload is under way; ask again when it is over.".to_owned()))
            }
        }
    }

    /// The same for who cannot be asked to come again: after the reload that is under way, if one is. What came of it is
    /// logged.
    async fn reload_in_turn(self: &Arc<Self>) {
        let running = match Arc::clone(&self.running).try_lock_owned() {
            Ok(running) => running,
            Err(_) => {
                info!("a reload is under way; what SIGHUP asks for is done after it");
                Arc::clone(&self.running).lock_owned().await
            }
        };
        // A signal gets no answer but the log's, also where nothing has changed, which is not logged otherwise.
        let nothing = Done { changed: Vec::new(), web_changed: false }.to_string();
        if self.attempt(running).await.is_ok_and(|said| said == nothing) {
            info!("{nothing}");
        }
    }

    async fn attempt(self: &Arc<Self>, mut running: OwnedMutexGuard<Running>) -> Result<String, NotReloaded> {
        let (reading, waiting) = (Arc::clone(self), Arc::clone(self));
        // A task of its own: what comes of it is told, whether or not anybody still waits for it.
        let done = tokio::spawn(async move {
            let done = tokio::task::spawn_blocking(move || reading.read_again(&mut running)).await;
            done.unwrap_or_else(|error| Err(waiting.panicked(panics::why(&error))))
        });
        match timeout(self.limit, done).await {
            Ok(done) => done.unwrap_or_else(|error| Err(format!("Not reloaded: {}", panics::why(&error)))),
            Err(_) => {
                warn!(
                    after = ?self.limit,
                    "a reload does not come to its end, as when a file does not answer: it goes on, and no other begins before"
                );
                let why = "Not reloaded yet: a file does not answer. The reload goes on, and the log will tell what came of it.";
                return Err(NotReloaded::UnderWay(why.to_owned()));
            }
        }
        .map_err(NotReloaded::Refused)
    }

    /// A bug in what reads the settings is no reason to stop counting by those before.
    fn panicked(&self, why: &str) -> String {
        self.live.config_refused();
        error!(error = why, "the configuration was not reloaded; the one before holds");
        format!("Not reloaded, the configuration before holds: {why}")
    }

    fn read_again(&self, running: &mut Running) -> Result<String, String> {
        match self.try_reload(running) {
            Ok(done) => {
                self.live.config_loaded(self.clock.now());
                // Whoever asks over and over for what does not change is answered, but fills no log.
                if running.refusals.succeeded().is_none() && done.is_nothing() {
                    debug!("{done}");
                } else {
                    info!("{done}");
                }
                Ok(done.to_string())
            }
            Err(why) => {
                self.live.config_refused();
                let mut why = why.to_string();
                // It looks after its file itself, whatever becomes of the other settings.
                if self.web.check().is_ok() && self.web_changed(running) {
                    why.push_str("\n  apart from that, the web configuration has changed and holds");
                }
                self.tell_refused(&why.replace(":\n  ", ": ").replace("\n  ", "; "), running);
                Err(format!("Not reloaded, the configuration before holds: {why}"))
            }
        }
    }

    fn tell_refused(&self, error: &str, running: &mut Running) {
        match running.refusals.failed(error.to_owned(), self.clock.now()) {
            News::First => error!(error, "the configuration was not reloaded; the one before holds"),
            News::StillFailing { failures, since } => {
                error!(error, failures, failing_since = %since, "the configuration still is not reloaded; the one before holds");
            }
            News::Again { failures } => {
                debug!(error, failures, "the configuration was not reloaded once more; the one before holds");
            }
        }
    }

    /// Whether another web configuration holds than when this was asked last.
    fn web_changed(&self, running: &mut Running) -> bool {
        let now = self.web.in_force();
        let before = std::mem::replace(&mut running.web, Arc::clone(&now));
        !Arc::ptr_eq(&before, &now)
    }

    fn try_reload(&self, running: &mut Running) -> Result<Done, ReloadError> {
        let config = (self.source.read)().map_err(ReloadError::Config)?;
        let changed: Vec<_> = running.config.differs_from(&config).collect();
        let (fixed, others): (Vec<&Setting>, Vec<&Setting>) =
            changed.iter().partition(|setting| setting.needs_restart());
        if !fixed.is_empty() {
            let keys = |settings: Vec<&Setting>| settings.iter().map(|setting| setting.key).collect();
            return Err(ReloadError::Restart { fixed: keys(fixed), others: keys(others) });
        }
        // A client looks after its files itself. Another one is made only for other settings: it knows nothing of refusals.
        let has_new_api = changed.iter().any(|setting| setting.section() == "api");
        let client = has_new_api.then(|| Client::new(&config.api, Arc::clone(&self.clock)));
        let client = client.transpose().map_err(ReloadError::Client)?;
        self.web.check().map_err(ReloadError::Web)?;

        // Nothing can fail from here on.
        self.updates.put(assemble::update(&config, client, &changed));
        let (level, format) = super::log_settings(&config.log);
        self.source.log.set(level, format);
        // What the web configuration warns of was told when it was read.
        let web = self.web.in_force();
        let told = [&running.config.warnings, &web.warnings];
        for warning in config.warnings.iter().filter(|warning| !told.iter().any(|told| told.contains(warning))) {
            warn!("{warning}");
        }
        running.config = config;
        Ok(Done { changed, web_changed: self.web_changed(running) })
    }
}

#[cfg(test)]
mod tests;
