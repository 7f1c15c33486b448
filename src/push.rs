//! Pushing the metrics over OTLP: every interval the newest snapshot, whole.
//!
//! Values are cumulative, so an export that fails costs nothing but time: nothing is queued, the next one carries it all.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::Clock;
use crate::domain::snapshot::Snapshot;
use crate::live::LiveStats;
use crate::render::otlp;

mod answer;
mod certificates;
mod delivery;
mod grpc;
mod http;
mod payload;
mod retry;
mod sender;
mod settings;
mod status;
mod streak;
#[cfg(test)]
pub(super) mod tests;
mod traces;

use delivery::{Delivery, Report};
use payload::{Packing, Payload};
use sender::Sender;
use streak::Streak;

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
    let (stop, stopping) = watch::channel(false);
    let mut pusher = Pusher {
        sender: Sender::new(&options, &clock)?,
        message: Arc::new(message(&options)),
        options,
        pace,
        snapshots,
        live,
        clock,
        streak: Streak::default(),
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

struct Pusher {
    sender: Sender,
    message: Arc<otlp::Options>,
    options: PushOptions,
    pace: Pace,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    live: Arc<LiveStats>,
    clock: Arc<dyn Clock>,
    streak: Streak,
    stopping: watch::Receiver<bool>,
}

impl Pusher {
    async fn push_until_stopped(&mut self) {
        let mut stopping = self.stopping.clone();
        let patience = Instant::now() + self.options.interval;
        tokio::select! {
            // An error means that nothing will be published any more: what is there is exported all the same.
            _ = self.snapshots.wait_for(|snapshot| snapshot.own.last_poll.is_some()) => {}
            () = sleep_until(patience) => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        loop {
            let began = Instant::now();
            let next = began + self.options.interval;
            let deadline = self.options.export_timeout.map_or(next, |timeout| next.min(began + timeout));
            let not_before = self.export(deadline).await;
            tokio::select! {
                () = sleep_until(not_before.map_or(next, |not_before| not_before.max(next))) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    /// Sends the newest snapshot, trying until `deadline`. Tells until when the receiver wants to be left alone.
    async fn export(&mut self, deadline: Instant) -> Option<Instant> {
        self.renew_certificates();
        let mut report = Report::default();
        match self.payloads().await {
            Ok(payloads) => {
                let mut delivery = self.delivery(deadline);
                delivery.deliver(&mut self.sender, &payloads, &mut report).await;
            }
            Err(why) => report.failed(why),
        }
        let outcome = report.outcome();
        let not_before = outcome.not_before;
        self.live.count_export(outcome.result, self.clock.now());
        self.streak.note(outcome);
        not_before
    }

    fn delivery(&self, deadline: Instant) -> Delivery {
        let (timeout, first_retry) = (self.options.timeout, self.pace.first_retry);
        Delivery { deadline, timeout, first_retry, stopping: self.stopping.clone() }
    }

    /// The newest snapshot as it is to be shown now, encoded beside the threads that serve scrapes.
    async fn payloads(&self) -> Result<Vec<Payload>, String> {
        let now = self.clock.now();
        let snapshot = Arc::clone(&self.snapshots.borrow()).at(now);
        let (live, message, packing) = (self.live.live(), Arc::clone(&self.message), Packing::new(&self.options));
        let payloads = tokio::task::spawn_blocking(move || {
            let requests = otlp::requests(&snapshot, &live, &message, now);
            requests.into_iter().map(|request| packing.pack(request)).collect()
        });
        payloads.await.map_err(|_| "the metrics could not be encoded: the encoder panicked".to_owned())
    }

    /// Uses certificates that were renewed since the last export. Those that cannot be used leave the old ones in place.
    fn renew_certificates(&mut self) {
        match self.sender.renewed(&self.options, &self.clock) {
            Ok(None) => {}
            Ok(Some(sender)) => {
                tracing::info!("the certificates of OTLP have changed and are used from now on");
                self.sender = sender;
            }
            Err(error) => tracing::warn!(%error, "the certificates of OTLP have changed; those before are used on"),
        }
    }

    async fn flush(&mut self, deadline: Instant) {
        if self.snapshots.borrow().own.last_poll.is_none() {
            return;
        }
        // What is sent now may be repeated until the end. Whoever asks for rest gets it for ever then.
        let (_running, stopping) = watch::channel(false);
        self.stopping = stopping;
        let _ = timeout_at(deadline, self.export(deadline)).await;
    }
}
