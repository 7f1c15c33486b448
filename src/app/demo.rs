//! The commands that need no account: a simulated API, alone or with the exporter against it.

use std::sync::Arc;

use tokio::net::TcpListener;
use tracing::info;

use super::reload::Source;
use super::{AppError, listen, serve_on, tasks};
use crate::cli::{DemoOptions, SimulateOptions};
use crate::clock::Clock;
use crate::config::{Config, Secret};
use crate::live::LiveStats;
use crate::simulator::faults::FaultRates;
use crate::simulator::{Simulator, SimulatorOptions};

/// The exporter against an embedded simulated API, everything on loopback.
pub(super) async fn demo(
    options: DemoOptions,
    mut config: Config,
    mut source: Source,
    clock: Arc<dyn Clock>,
    live: Arc<LiveStats>,
) -> Result<(), AppError> {
    let stop = tasks::stop_signal()?;
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let simulator = start(SimulatorOptions { seed, ..SimulatorOptions::demo() }, "127.0.0.1:0", &clock).await?;
    let world = SimulatorOptions::demo();
    let url = simulator.base_url();
    let aim = move |config: &mut Config| {
        config.api.url.clone_from(&url);
        config.api.client_id = Some(world.client_id.clone());
        config.api.client_secret = Some(Secret::new(world.client_secret.clone()));
    };
    aim(&mut config);
    let read = source.read;
    source.read = Box::new(move || {
        read().map(|mut config| {
            aim(&mut config);
            config
        })
    });
    let access = listen::access(&config.web, &clock, &live)?;
    let listeners = listen::bind(&config.web).await?;
    let address = format!("{}://{}", listen::scheme(&access).await, listen::address(&listeners[0])?);
    let metrics = &config.web.telemetry_path;
    say(&format!(
        "A simulated Jelou API (seed {seed}) is polled every {:?}; its customers, teams and bots are invented.\n\
         \n  metrics   {address}{metrics}\n  status    {address}/\n  upstream  {}\n\n\
         Press Ctrl-C to stop.\n",
        config.poll.interval,
        simulator.base_url(),
    ))?;
    let result = serve_on((listeners, access), config, source, clock, live, stop).await;
    simulator.stop().await;
    result
}

/// Only the simulated API.
pub(super) async fn simulate(options: SimulateOptions, clock: Arc<dyn Clock>) -> Result<(), AppError> {
    let stop = tasks::stop_signal()?;
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let world = SimulatorOptions { seed, faults: FaultRates::share(options.faults), ..SimulatorOptions::demo() };
    let (client_id, client_secret) = (world.client_id.clone(), world.client_secret.clone());
    let simulator = start(world, &options.listen_address, &clock).await?;
    let url = simulator.base_url();
    say(&format!(
        "A simulated Jelou API (seed {seed}) listens on {url}; everything in it is invented. To poll it:\n\
         \n  JELOU_EXPORTER_API_URL={url} JELOU_EXPORTER_API_CLIENT_ID={client_id} \\\n  \
         JELOU_EXPORTER_API_CLIENT_SECRET={client_secret} JELOU_EXPORTER_API_CLIENT_SECRET_FILE= \\\n  \
         JELOU_EXPORTER_STATE_PATH= JELOU_EXPORTER_API_REQUESTS_PER_SECOND=100 jelou-exporter\n\n\
         The last line keeps what is counted in memory, apart from the state of a real account, and hurries.\n\
         Press Ctrl-C to stop.\n",
    ))?;
    let signal = stop.await;
    info!(signal, "stopping");
    simulator.stop().await;
    Ok(())
}

async fn start(options: SimulatorOptions, address: &str, clock: &Arc<dyn Clock>) -> Result<Simulator, AppError> {
    let refused =
        |error| AppError::Listen { setting: "--simulator.listen-address", address: address.to_owned(), error };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    Simulator::start(options, Arc::clone(clock), listener).map_err(refused)
}

fn say(text: &str) -> Result<(), AppError> {
    super::print(text.as_bytes())
}
