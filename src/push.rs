//! Pushing the metrics over OTLP: every interval the newest snapshot, whole.
//!
//! Cumulative values need no queue: an export that fails costs nothing but time, the next one carries it all. Of deltas one
//! export at most waits for its answer, see `deltas`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::domain::gone::Roster;
use crate::domain::snapshot::Snapshot;
use crate::live::LiveStats;
use crate::render::otlp;

mod answer;
mod certificates;
mod delivery;
mod deltas;
mod grpc;
mod http;
mod payload;
mod pusher;
mod retry;
mod sender;
mod settings;
mod status;
mod streak;
#[cfg(test)]
pub(super) mod tests;
mod traces;

use payload::Packing;
use pusher::Pusher;
use sender::Sender;
use streak::Streak;

pub use deltas::Deltas;
pub use settings::{Protocol, PushError, PushOptions};
pub use traces::SpanPush;

/// What is fixed about the task's timing; tests hurry it.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// About how long the first repetition of a request waits; each further one twice as long.
    first_retry: Duration,
    /// How long everything may take after shutdown.
    flush: Duration,
}

const PACE: Pace = Pace { first_retry: Duration::from_secs(1), flush: Duration::from_secs(2) };

/// What the push goes on from.
#[derive(Debug, Default)]
pub struct Past {
    /// What deltas have told; `None` to push cumulative values.
    pub deltas: Option<Deltas>,
    /// The series that the receiver knows and that may leave.
    pub roster: Roster,
}

/// Pushes until `shutdown`, then once more what is newest, for at most 2 s. Fails at once if the options cannot be
/// used; whatever the receiver does afterwards is counted and logged, not an error.
///
/// The first export follows the first publication of a poll, or one interval if that takes longer, so that
/// `jelou_up 0` of an upstream that hangs is seen.
pub async fn run(
    options: PushOptions,
    past: Past,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    live: Arc<LiveStats>,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), PushError> {
    run_at(PACE, options, past, snapshots, live, clock, shutdown).await
}

async fn run_at(
    pace: Pace,
    options: PushOptions,
    past: Past,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    live: Arc<LiveStats>,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), PushError> {
    let (stop, stopping) = watch::channel(false);
    let sender = Sender::new(&options, &clock)?;
    let streak = Streak::at(sender.place().url());
    let mut pusher = Pusher {
        sender,
        unusable: None,
        message: Arc::new(message(&options)),
        packing: Packing::new(&options),
        deltas: past.deltas,
        roster: past.roster,
        options,
        pace,
        snapshots,
        live,
        clock,
        streak,
        stopping,
    };
    let end = {
        let pushing = pusher.push_until_stopped();
        tokio::pin!(pushing);
        tokio::select! {
            biased;
            () = shutdown => {}
            () = &mut pushing => {}
        }
        stop.send_replace(true);
        let end = Instant::now() + pace.flush;
        // A request that is under way may have been taken: half of the time is given to its answer.
        let _ = timeout_at(Instant::now() + pace.flush / 2, pushing).await;
        end
    };
    pusher.flush(end).await;
    Ok(())
}

fn message(options: &PushOptions) -> otlp::Options {
    let encoding = match options.protocol {
        Protocol::HttpJson => otlp::Encoding::Json,
        Protocol::HttpProtobuf | Protocol::Grpc => otlp::Encoding::Protobuf,
    };
    otlp::Options { encoding, histograms: options.histograms, resource: options.resource.clone() }
}
