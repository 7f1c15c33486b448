//! Pushing the metrics over OTLP: every interval the newest snapshot, whole.
//!
//! Cumulative values need no queue: an export that fails costs nothing but time, the next one carries it all. Of deltas one
//! export at most waits for its answer, see `deltas`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::Clock;
use crate::domain::gone::{Gone, Roster};
use crate::domain::snapshot::{Live, Snapshot};
use crate::domain::time::UnixMillis;
use crate::live::LiveStats;
use crate::render::otlp;

mod answer;
mod certificates;
mod delivery;
mod deltas;
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

use answer::Answer;
use delivery::{Delivery, Report};
pub use deltas::Deltas;
use payload::Packing;
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
    let mut pusher = Pusher {
        sender: Sender::new(&options, &clock)?,
        message: Arc::new(message(&options)),
        packing: Packing::new(&options),
        deltas: past.deltas,
        roster: past.roster,
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

/// What there is to export.
struct Newest {
    snapshot: Arc<Snapshot>,
    live: Live,
    gone: Vec<Gone>,
    at: UnixMillis,
}

/// Does work that takes a while beside the threads that serve scrapes.
async fn encoding<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err("the metrics could not be encoded: the encoder panicked".to_owned()))
}

struct Pusher {
    sender: Sender,
    message: Arc<otlp::Options>,
    packing: Packing,
    deltas: Option<Deltas>,
    /// The series that the receiver knows and that may leave.
    roster: Roster,
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
            let next = Instant::now() + self.options.interval;
            let not_before = self.export(self.deadline()).await;
            tokio::select! {
                () = sleep_until(not_before.map_or(next, |not_before| not_before.max(next))) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    /// Until when an export may take that begins now.
    fn deadline(&self) -> Instant {
        let interval = self.options.interval;
        Instant::now() + self.options.export_timeout.map_or(interval, |timeout| timeout.min(interval))
    }

    /// Sends the newest snapshot, trying until `deadline`. Tells until when the receiver wants to be left alone.
    async fn export(&mut self, deadline: Instant) -> Option<Instant> {
        self.renew_certificates();
        match self.deltas.clone() {
            None => self.export_totals(deadline).await,
            Some(deltas) => self.export_deltas(deltas, deadline).await,
        }
    }

    async fn export_totals(&mut self, deadline: Instant) -> Option<Instant> {
        let mut report = Report::default();
        let Newest { snapshot, live, gone, at } = self.newest();
        let (message, packing) = (Arc::clone(&self.message), self.packing);
        let (shown, counts) = (Arc::clone(&snapshot), live.clone());
        let packed = encoding(move || {
            let temporality = otlp::Temporality::Cumulative;
            let export = otlp::Export { snapshot: &shown, live: &counts, gone: &gone, temporality, at };
            Ok(otlp::requests(&export, &message).into_iter().map(|request| packing.pack(request)).collect::<Vec<_>>())
        });
        match packed.await {
            Ok(payloads) => {
                let mut delivery = self.delivery(deadline);
                if delivery.deliver(&mut self.sender, &payloads, &mut report).await && report.taken {
                    self.roster.told(&snapshot, &live);
                }
            }
            Err(why) => report.failed(why),
        }
        self.conclude(report)
    }

    /// What is left of the last export goes first, unchanged; then comes what was counted since.
    async fn export_deltas(&mut self, deltas: Deltas, deadline: Instant) -> Option<Instant> {
        let mut report = Report::default();
        if self.send_deltas(&deltas, deadline, &mut report).await && report.is_any() {
            self.conclude(std::mem::take(&mut report));
        }
        if !report.is_any() {
            let Newest { snapshot, live, gone, at } = self.newest();
            let (message, shown, counts) = (Arc::clone(&self.message), Arc::clone(&snapshot), live.clone());
            let made = deltas.clone();
            let made =
                encoding(move || made.make(&shown, &counts, &gone, &message, at).map_err(|error| error.to_string()));
            match made.await {
                Ok(()) => {
                    self.roster.told(&snapshot, &live);
                    // In a hurry a receiver's answer would be missed, and it would be told twice.
                    self.send_deltas(&deltas, deadline.max(self.deadline()), &mut report).await;
                }
                Err(why) => report.failed(why),
            }
        }
        self.conclude(report)
    }

    /// Sends what is left of the last export. Tells whether all of it has been answered for good.
    async fn send_deltas(&mut self, deltas: &Deltas, deadline: Instant, report: &mut Report) -> bool {
        let mut delivery = self.delivery(deadline);
        loop {
            let (next, packing) = (deltas.clone(), self.packing);
            let payload = match encoding(move || Ok(next.next()?.map(|request| packing.pack(request)))).await {
                Ok(Some(payload)) => payload,
                Ok(None) => return true,
                Err(why) => {
                    report.failed(why);
                    return false;
                }
            };
            let answer = delivery.send(&mut self.sender, &payload, report).await;
            // Whoever is not let in today may be tomorrow: the counts are not to blame.
            let for_good = !matches!(answer, Answer::Later(..) | Answer::Denied(_));
            let lost = matches!(answer, Answer::Partly(_) | Answer::Refused(_));
            report.note(answer);
            if !for_good {
                return false;
            }
            report.lost |= lost;
            let answered = deltas.clone();
            if let Err(error) = encoding(move || answered.answered().map_err(|error| error.to_string())).await {
                tracing::error!(%error, "an OTLP export was taken, which cannot be kept: after a crash it is sent again");
            }
        }
    }

    /// Counts the export, logs it if it is news, and tells until when the receiver wants to be left alone.
    fn conclude(&mut self, report: Report) -> Option<Instant> {
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

    /// The newest snapshot as it is to be shown now.
    fn newest(&self) -> Newest {
        let at = self.clock.now();
        let snapshot = Arc::clone(&self.snapshots.borrow()).at(at);
        let live = self.live.live();
        let gone = self.roster.gone(&snapshot, &live);
        Newest { snapshot, live, gone, at }
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
