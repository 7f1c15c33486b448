//! Reading the settings again while the process runs: all of them hold from then on, or none.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::signal::unix::Signal;
use tracing::{error, info, warn};

use super::{AppError, assemble};
use crate::clock::Clock;
use crate::config::settings::Setting;
use crate::config::{Config, Problems};
use crate::http::Reload;
use crate::jelou::{Client, SetupError};
use crate::live::LiveStats;
use crate::logging::Control;
use crate::panics;
use crate::poller::Updates;
use crate::web_config;

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
    reload: Reload,
    stopped: impl Future<Output = ()>,
) -> Result<(), AppError> {
    let mut stopped = pin!(stopped);
    loop {
        tokio::select! {
            _ = hangups.recv() => {}
            () = &mut stopped => return Ok(()),
        }
        let reload = Arc::clone(&reload);
        // A file on a mount that has lost its server may keep it for ever: that holds up no end.
        let reloaded = tokio::select! {
            reloaded = tokio::task::spawn_blocking(move || reload()) => reloaded,
            () = &mut stopped => return Ok(()),
        };
        // What came of it is logged; only a panic is left to tell.
        reloaded
            .map(drop)
            .map_err(|error| AppError::TaskDied { task: "reload", why: panics::why(&error).to_owned() })?;
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

/// What a reload has done, by the settings that changed.
fn said(changed: &[&Setting]) -> String {
    let when = |setting: &Setting| match setting.section() {
        "log" => "from now on",
        _ if setting.acts_at_start() => "from the next start on",
        _ => "from the next poll on",
    };
    let told = ["from now on", "from the next poll on", "from the next start on"].into_iter().filter_map(|time| {
        let those: Vec<_> = changed.iter().filter(|setting| when(setting) == time).map(|setting| setting.key).collect();
        (!those.is_empty()).then(|| format!("{} {time}", those.join(", ")))
    });
    match told.collect::<Vec<_>>().join("; ") {
        none if none.is_empty() => {
            "Reloaded: no setting has changed; the files that settings name were read again.".to_owned()
        }
        told => format!("Reloaded: {told}."),
    }
}

/// Reloads; shared by everyone who may ask for it.
pub(super) struct Reloader {
    source: Source,
    web: Arc<web_config::Source>,
    running: Mutex<Config>,
    updates: Updates<Client>,
    clock: Arc<dyn Clock>,
    live: Arc<LiveStats>,
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
        Self { source, web, running: Mutex::new(running), updates, clock, live }
    }

    /// Reads the settings again, and says in one line, or several if there is much to say, what came of it. It reads
    /// files, so it is not for the threads of the runtime.
    ///
    /// # Errors
    ///
    /// Everything that is wrong; nothing has changed then.
    pub(super) fn reload(&self) -> Result<String, String> {
        // One at a time, from reading to what is told of it: of two, the later one holds.
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match self.try_reload(&mut running) {
            Ok(changed) => {
                self.live.config_loaded(self.clock.now());
                let said = said(&changed);
                info!("{said}");
                Ok(said)
            }
            Err(why) => {
                self.live.config_refused();
                error!(
                    error = why.to_string().replace(":\n  ", ": ").replace("\n  ", "; "),
                    "the configuration was not reloaded; the one before holds"
                );
                Err(format!("Not reloaded, the configuration before holds: {why}"))
            }
        }
    }

    fn try_reload(&self, running: &mut Config) -> Result<Vec<&'static Setting>, ReloadError> {
        let config = (self.source.read)().map_err(ReloadError::Config)?;
        let changed: Vec<_> = running.differs_from(&config).collect();
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
        for warning in config.warnings.iter().filter(|warning| !running.warnings.contains(warning)) {
            warn!("{warning}");
        }
        *running = config;
        Ok(changed)
    }
}
