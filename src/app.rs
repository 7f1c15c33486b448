//! The one wiring place: opens what is needed, binds the port, supervises the tasks, stops them in order.

pub(crate) mod assemble;
mod demo;
mod listen;
mod reload;
mod tasks;

use std::fmt;
use std::future::Future;
use std::io::{self, Write as _};
use std::sync::Arc;

use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::cli::{Command, Invocation, Origin};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, LogFormat, LogSettings, Problems};
use crate::domain::label::LogLevel;
use crate::http::{self, Access, HttpState};
use crate::live::LiveStats;
use crate::logging;
use crate::poller::PollError;
use crate::push::{self, PushError};
use crate::render::exposition::{self, Format, Options};
use crate::store::StoreError;
use assemble::Assembled;
use reload::{Reloader, Source};
use tasks::{Stopped, Tasks, Turn};

/// Why the process ends with status 1.
#[derive(Debug)]
pub enum AppError {
    /// The address to listen on cannot be had.
    Listen {
        /// The setting or flag that gave the address.
        setting: &'static str,
        /// `host:port`.
        address: String,
        /// What the system says.
        error: io::Error,
    },
    /// The sockets that were passed to the process cannot be used.
    Socket(String),
    /// The web configuration file cannot be used.
    Web(Problems),
    /// The API client cannot be made.
    Client(String),
    /// The checkpoint cannot be opened.
    State(StoreError),
    /// The OTLP settings cannot be used.
    Push(PushError),
    /// `once` failed.
    Poll(PollError),
    /// `once` was told to stop before its poll was complete; the name of the signal.
    Interrupted(&'static str),
    /// Standard output cannot be written.
    Output(io::Error),
    /// A task ended that should not have.
    TaskDied {
        /// Which one.
        task: &'static str,
        /// Why.
        why: String,
    },
    /// The process could not be set up (signals, runtime).
    Setup(String),
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen { setting, address, error } => {
                let advice = match error.kind() {
                    io::ErrorKind::AddrInUse => "set another port with",
                    io::ErrorKind::AddrNotAvailable => "this machine does not have that address: check",
                    io::ErrorKind::PermissionDenied => {
                        "ports below 1024 usually need a privilege: set a higher one with"
                    }
                    _ => "check",
                };
                write!(f, "cannot listen on {address}: {error}; {advice} {setting}")
            }
            Self::Socket(why) => f.write_str(why),
            Self::Web(problems) => write!(f, "{problems}"),
            Self::Client(why) => write!(f, "the API client cannot be made: {why}"),
            Self::State(error) => write!(f, "{error}"),
            Self::Push(error) => write!(f, "{error}"),
            Self::Poll(error) => write!(f, "the poll failed: {error}"),
            Self::Interrupted(signal) => write!(f, "stopped by {signal} before the poll was complete"),
            Self::Output(error) => write!(f, "standard output cannot be written: {error}"),
            Self::TaskDied { task, why } => {
                write!(f, "the task {task} ended unexpectedly ({why}); the process ends with it")
            }
            Self::Setup(why) => write!(f, "the process cannot be set up: {why}"),
        }
    }
}

impl std::error::Error for AppError {}

/// Does what the command line asked for, until it is done or the process is told to stop.
///
/// # Errors
///
/// Whatever ends the process with status 1.
pub fn run(invocation: Invocation) -> Result<(), AppError> {
    let Invocation { command, config, origin } = invocation;
    match command {
        Command::CheckConfig => check_config(&config),
        Command::Run => running(config, origin, true, serve),
        Command::Once => running(config, origin, false, |config, _, clock, live| once(config, clock, live)),
        Command::Demo(options) => running(config, origin, true, |config, source, clock, live| {
            demo::demo(options, config, source, clock, live)
        }),
        Command::Simulate(options) => running(config, origin, false, |_, _, clock, _| demo::simulate(options, clock)),
    }
}

/// Does what a command is about with a clock, a log and a runtime; `pushes` if it may push.
fn running<F: Future<Output = Result<(), AppError>>>(
    config: Config,
    origin: Origin,
    pushes: bool,
    work: impl FnOnce(Config, Source, Arc<dyn Clock>, Arc<LiveStats>) -> F,
) -> Result<(), AppError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let live = Arc::new(LiveStats::new(config.otlp.endpoint.is_some() && pushes));
    live.config_loaded(clock.now());
    let (level, format) = log_settings(&config.log);
    let log = logging::init(level, format, Arc::clone(&clock), Arc::clone(&live))
        .map_err(|error| AppError::Setup(error.to_string()))?;
    let source = Source { read: Box::new(move || origin.read_again()), log };
    for warning in &config.warnings {
        warn!("{warning}");
    }
    // Two threads: one may encode while the other polls. The work is a trickle, and each thread costs memory.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // In a crowd there is always something to do. A connection that has just come is among what is looked at now and then
        // only, so that shall be often.
        .global_queue_interval(3)
        .event_interval(13)
        .enable_all()
        .build()
        .map_err(|error| AppError::Setup(error.to_string()))?;
    // Boxed for the reason of `Tasks::spawn_until_stop`.
    let result = runtime.block_on(Box::pin(work(config, source, clock, live)));
    // A look-up of a name, or a file, may block a thread for long; nobody waits for it.
    runtime.shutdown_background();
    result
}

fn check_config(config: &Config) -> Result<(), AppError> {
    let warnings = config.warnings.iter().map(|warning| format!("warning: {warning}\n"));
    let notes = config.notes.iter().map(|note| format!("note: {note}\n"));
    print(warnings.chain(notes).chain(["The configuration is usable.\n".to_owned()]).collect::<String>().as_bytes())
}

/// Writes to standard output. Whoever closes it early (`once | head`) has read enough.
///
/// # Errors
///
/// When it cannot be written otherwise, as to a full disk.
pub fn print(text: &[u8]) -> Result<(), AppError> {
    let mut out = io::stdout().lock();
    // What is left in the buffer would be written at the end, when nobody asks how that went.
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(AppError::Output(error)),
        _ => Ok(()),
    }
}

/// Polls, serves and pushes until the process is told to stop.
async fn serve(config: Config, source: Source, clock: Arc<dyn Clock>, live: Arc<LiveStats>) -> Result<(), AppError> {
    let stop = tasks::stop_signal()?;
    let door = (listen::bind(&config.web).await?, listen::access(&config.web, &clock, &live)?);
    serve_on(door, config, source, clock, live, stop).await
}

async fn serve_on(
    (listeners, access): (Vec<TcpListener>, Access),
    config: Config,
    source: Source,
    clock: Arc<dyn Clock>,
    live: Arc<LiveStats>,
    stop: impl Future<Output = &'static str>,
) -> Result<(), AppError> {
    let hangups = tasks::hangups()?;
    let Assembled { poller, snapshots, instance_id, spans, past } = assemble::poller(&config, &clock)?;
    let options = Options { openmetrics_created: config.web.openmetrics_created };
    let (path, enable_reload) = (config.web.telemetry_path.clone(), config.web.enable_reload);
    let mut state = HttpState::new(snapshots.clone(), Arc::clone(&clock), Arc::clone(&live), &path, options);
    let push = assemble::push_options(&config, &instance_id);
    let reloader = Arc::new(Reloader::new(
        source,
        Arc::clone(&access.source),
        config,
        poller.updates(),
        Arc::clone(&clock),
        Arc::clone(&live),
    ));
    if enable_reload {
        let reloader = Arc::clone(&reloader);
        state = state.reloading(Arc::new(move || Box::pin(Arc::clone(&reloader).reload())));
    }

    listen::announce(&listeners, &access, &path).await?;
    let mut tasks = Tasks::new();
    tasks.spawn_until_stop("web server", Turn::Last, |stopped: Stopped| async move {
        http::serve(listeners, state, access, stopped.wait()).await;
        Ok(())
    });
    if let Some(options) = push {
        let (snapshots, live, clock) = (snapshots, Arc::clone(&live), Arc::clone(&clock));
        tasks.spawn_until_stop("OTLP push", Turn::Last, |stopped: Stopped| async move {
            push::run(options, past, snapshots, live, clock, stopped.wait()).await.map_err(AppError::Push)
        });
    }
    if let Some(spans) = spans {
        tasks.spawn_until_stop("OTLP traces", Turn::Last, |stopped: Stopped| async move {
            stopped.wait().await;
            spans.flush().await;
            Ok(())
        });
    }
    tasks
        .spawn_until_stop("reload", Turn::First, |stopped: Stopped| reload::at_each(hangups, reloader, stopped.wait()));
    // What it has read is folded and published walk by walk, so it can be dropped wherever it stands.
    tasks.spawn_until_stop("poller", Turn::First, |stopped: Stopped| async move {
        tokio::select! {
            () = poller.run() => Err(AppError::TaskDied { task: "poller", why: "it returned".to_owned() }),
            () = stopped.wait() => Ok(()),
        }
    });
    tasks.run_until(stop).await
}

/// Polls once and prints the metrics.
async fn once(config: Config, clock: Arc<dyn Clock>, live: Arc<LiveStats>) -> Result<(), AppError> {
    let stop = tasks::stop_signal()?;
    let Assembled { poller, snapshots, .. } = assemble::poller(&config, &clock)?;
    // It may take minutes, and looks as if nothing went on.
    let a_minute = f64::from(config.api.page_size) * config.api.requests_per_second * 60.0;
    info!(
        conversations_per_minute = a_minute.round(),
        "reading all of the initial range, at most as fast as api.page_size and api.requests_per_second allow"
    );
    tokio::select! {
        result = poller.once() => result.map_err(AppError::Poll)?,
        signal = stop => return Err(AppError::Interrupted(signal)),
    }
    let snapshot = snapshots.borrow().at(clock.now());
    let (options, mut metrics) = (Options::default(), Vec::new());
    exposition::kept(Format::Text, options, &snapshot, &mut |piece| metrics.extend_from_slice(piece));
    let process = ProcessCollector::for_self().collect();
    metrics.extend(exposition::fresh(Format::Text, options, &snapshot, &live.live(), &process));
    print(&metrics)
}

fn log_settings(log: &LogSettings) -> (LogLevel, logging::LogFormat) {
    let format = match log.format {
        LogFormat::Logfmt => logging::LogFormat::Logfmt,
        LogFormat::Json => logging::LogFormat::Json,
    };
    (log_level(log.level), format)
}

const fn log_level(level: tracing::Level) -> LogLevel {
    match level {
        tracing::Level::ERROR => LogLevel::Error,
        tracing::Level::WARN => LogLevel::Warn,
        tracing::Level::INFO => LogLevel::Info,
        tracing::Level::DEBUG => LogLevel::Debug,
        tracing::Level::TRACE => LogLevel::Trace,
    }
}
