//! The simulated upstream in this process.

use std::sync::{Arc, LazyLock};

use jelou_exporter::clock::{Clock as _, SystemClock};
use jelou_exporter::domain::time::UnixMillis;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Serves every simulator; the tests themselves are plain threads.
pub(crate) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

pub(crate) const HOUR: i64 = 3_600_000;

pub(crate) fn now() -> UnixMillis {
    SystemClock.now()
}

/// An upstream on a port of its own.
pub(crate) fn simulate(options: SimulatorOptions) -> Simulator {
    RUNTIME.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Simulator::start(options, Arc::new(SystemClock), listener).unwrap()
    })
}

/// The same, in which nothing happens any more since a moment ago: ranges end with whole seconds, so the first walk does
/// not show yet what began within the present one.
pub(crate) fn frozen(options: SimulatorOptions) -> (Simulator, UnixMillis) {
    let (simulator, at) = (simulate(options), now() - 2000);
    simulator.freeze_at(at);
    (simulator, at)
}
