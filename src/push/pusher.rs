//! The task that pushes: export after export, totals or deltas.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::answer::Answer;
use super::delivery::{Delivery, Report};
use super::deltas::Deltas;
use super::payload::Packing;
use super::sender::Sender;
use super::streak::Streak;
use super::{Pace, PushError, PushOptions};
use crate::clock::Clock;
use crate::domain::gone::{Gone, Roster};
use crate::domain::snapshot::{Live, Snapshot};
use crate::domain::time::UnixMillis;
use crate::live::LiveStats;
use crate::render::otlp;

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

/// Pushes the snapshots.
pub(super) struct Pusher {
    pub(super) sender: Sender,
    /// What was said of certificates that cannot be used: it is news but once.
    pub(super) unusable: Option<PushError>,
    pub(super) message: Arc<otlp::Options>,
    pub(super) packing: Packing,
    pub(super) deltas: Option<Deltas>,
    /// The series that the receiver knows and that may leave.
    pub(super) roster: Roster,
    pub(super) options: PushOptions,
    pub(super) pace: Pace,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    pub(super) live: Arc<LiveStats>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) streak: Streak,
    pub(super) stopping: watch::Receiver<bool>,
}

impl Pusher {
    /// Pushes until it is told to stop.
    pub(super) async fn push_until_stopped(&mut self) {
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
        self.renew_certificates().await;
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
            let export = otlp::Export { gone: &gone, ..otlp::Export::totals(&shown, &counts, at) };
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
            let packed = move || Ok(next.next()?.map(|(place, request)| (place, packing.pack(request))));
            let (place, payload) = match encoding(packed).await {
                Ok(Some(next)) => next,
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
            if let Err(error) = encoding(move || answered.answered(place).map_err(|error| error.to_string())).await {
                tracing::error!(%error, "an OTLP export was taken, which cannot be kept: after a crash it is sent again");
            }
        }
    }

    /// Counts the export, logs it if it is news, and tells until when the receiver wants to be left alone.
    fn conclude(&mut self, report: Report) -> Option<Instant> {
        let outcome = report.outcome();
        let not_before = outcome.not_before;
        self.live.count_export(outcome.result, self.clock.now());
        self.streak.note(outcome, self.clock.now());
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
    async fn renew_certificates(&mut self) {
        match self.sender.renewed(&self.options, &self.clock).await {
            Ok(renewed) => {
                self.unusable = None;
                if let Some(sender) = renewed {
                    tracing::info!("the certificates of OTLP have changed and are used from now on");
                    self.sender = sender;
                }
            }
            Err(error) if self.unusable.as_ref() == Some(&error) => {
                tracing::debug!(%error, "the certificates of OTLP still cannot be used; those before are used on");
            }
            Err(error) => {
                tracing::warn!(%error, "the files of OTLP's certificates cannot be used; those before are used on");
                self.unusable = Some(error);
            }
        }
    }

    /// Sends what is newest for the last time.
    pub(super) async fn flush(&mut self, deadline: Instant) {
        if self.snapshots.borrow().own.last_poll.is_none() {
            return;
        }
        // What is sent now may be repeated until the end. Whoever asks for rest gets it for ever then.
        let (_running, stopping) = watch::channel(false);
        self.stopping = stopping;
        let _ = timeout_at(deadline, self.export(deadline)).await;
    }
}
