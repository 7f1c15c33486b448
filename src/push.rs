//! Pushing the metrics over OTLP: every interval the newest snapshot, whole.
//!
//! Values are cumulative, so an export that fails costs nothing but time: nothing is queued, the next one carries it all.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::domain::label::ExportResult;
use crate::domain::snapshot::Snapshot;
use crate::live::LiveStats;
use crate::render::otlp;

mod delivery;
mod grpc;
mod http;
mod retry;
mod settings;
mod status;
mod streak;
#[cfg(test)]
mod tests;

use delivery::{Delivery, Outcome, Sender};
use streak::Streak;

pub use settings::{Protocol, PushError, PushOptions};

/// What is fixed about the task's timing; tests hurry it.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// About how long the first repetition of a request waits; each further one twice as long.
    first_retry: Duration,
    /// How long the last export may take after shutdown.
    flush: Duration,
}

const PACE: Pace = Pace { first_retry: Duration::from_secs(1), flush: Duration::from_secs(2) };

/// Pushes until `shutdown`, then once more what is newest, for at most 2 s. Fails at once if the options cannot be
/// used; whatever the receiver does afterwards is counted and logged, not an error.
///
/// The first export follows the first publication of a poll, or one interval if that takes longer, so that
/// `jelou_up 0` of an upstream that hangs is seen.
pub async fn run(
    options: PushOptions,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    live: Arc<LiveStats>,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), PushError> {
    run_at(PACE, options, snapshots, live, clock, shutdown).await
}

async fn run_at(
    pace: Pace,
    options: PushOptions,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    live: Arc<LiveStats>,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), PushError> {
    let mut pusher = Pusher {
        sender: Sender::new(&options, &clock)?,
        message: Arc::new(otlp::Options { histograms: options.histograms, resource: options.resource }),
        interval: options.interval,
        timeout: options.timeout,
        pace,
        snapshots,
        live,
        clock,
        streak: Streak::default(),
    };
    tokio::select! {
        biased;
        () = shutdown => {}
        never = pusher.push_for_ever() => match never {},
    }
    pusher.flush().await;
    Ok(())
}

struct Pusher {
    sender: Sender,
    message: Arc<otlp::Options>,
    interval: Duration,
    timeout: Duration,
    pace: Pace,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    live: Arc<LiveStats>,
    clock: Arc<dyn Clock>,
    streak: Streak,
}

impl Pusher {
    async fn push_for_ever(&mut self) -> std::convert::Infallible {
        let patience = Instant::now() + self.interval;
        tokio::select! {
            // An error means that nothing will be published any more: what is there is exported all the same.
            _ = self.snapshots.wait_for(|snapshot| snapshot.own.last_poll.is_some()) => {}
            () = sleep_until(patience) => {}
        }
        loop {
            let began = Instant::now();
            let next = began + self.interval;
            let not_before = self.export(next).await;
            sleep_until(not_before.map_or(next, |not_before| not_before.max(next))).await;
        }
    }

    /// Sends the newest snapshot, trying until `deadline`. Tells until when the receiver wants to be left alone.
    async fn export(&mut self, deadline: Instant) -> Option<Instant> {
        let outcome = match self.requests().await {
            Ok(requests) => {
                let delivery = Delivery { deadline, timeout: self.timeout, first_retry: self.pace.first_retry };
                delivery.deliver(&mut self.sender, &requests).await
            }
            Err(why) => Outcome { result: ExportResult::Failure, why: Some(why), not_before: None },
        };
        self.live.count_export(outcome.result, self.clock.now());
        self.streak.note(&outcome);
        outcome.not_before
    }

    /// The newest snapshot as it is to be shown now, encoded beside the threads that serve scrapes.
    async fn requests(&self) -> Result<Vec<ExportMetricsServiceRequest>, String> {
        let now = self.clock.now();
        let snapshot = Arc::clone(&self.snapshots.borrow()).at(now);
        let (live, message) = (self.live.live(), Arc::clone(&self.message));
        let requests = tokio::task::spawn_blocking(move || otlp::requests(&snapshot, &live, &message, now));
        requests.await.map_err(|_| "the metrics could not be encoded: the encoder panicked".to_owned())
    }

    async fn flush(&mut self) {
        if self.snapshots.borrow().own.last_poll.is_none() {
            return;
        }
        self.export(Instant::now() + self.pace.flush).await;
    }
}
