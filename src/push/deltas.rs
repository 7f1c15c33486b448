//! Sending deltas: each export is kept before it is sent, and sent as it is until it is answered for good; only then the
//! next is made, of all that has been counted meanwhile. So however long a receiver is away, one export waits for it, and
//! what that adds up to.
//!
//! A crash between the keeping and the answer sends the export again after the restart. Nothing else repeats one: only
//! where a receiver took it and the answer was lost does it get the same twice, with the same times.

use std::collections::VecDeque;
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;

use super::payload::gzip;
use crate::domain::delta::{News, Told};
use crate::domain::gone::Gone;
use crate::domain::snapshot::{Live, Snapshot};
use crate::domain::time::UnixMillis;
use crate::render::otlp::{self, Encoding, Temporality};
use crate::store::{Outbox, StoreError, outbox};

/// What exports have told, and the one that is not answered yet. Every call may wait for the disk.
#[derive(Clone, Debug)]
pub struct Deltas(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    told: Told,
    /// Requests of the last export that are not answered for good, compressed.
    unsent: VecDeque<Vec<u8>>,
    /// Which export that is, among those of the process.
    export: u64,
    /// How many others it had.
    answered: u32,
    /// Where it is kept, if anything is.
    outbox: Option<Outbox>,
}

/// Which request of which export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    export: u64,
    request: u32,
}

impl Deltas {
    /// Goes on from what is kept. Without that, a process that has counted nothing yet tells everything from the start; one
    /// that goes on counting tells what it counts from now on.
    ///
    /// # Errors
    ///
    /// When what is kept cannot be read, or nothing can be kept.
    pub fn open(outbox: Option<Outbox>, first: &Snapshot, now: UnixMillis) -> Result<Self, StoreError> {
        let kept = outbox.as_ref().map(Outbox::read).transpose()?.flatten();
        let state = match (kept, outbox) {
            (Some(kept), Some(outbox)) => {
                let outbox::Kept { until, tallies, pairs, answered, unsent } = kept;
                if let Some(why) = unsent.iter().find_map(|request| unpack(request).err()) {
                    return Err(StoreError::Damaged { path: outbox.path(), why });
                }
                let told = Told::restored(until, pairs, tallies);
                State { told, unsent: unsent.into(), export: 0, answered, outbox: Some(outbox) }
            }
            (_, outbox) => {
                let told = if first.own.restored { Told::as_if(first, now) } else { Told::default() };
                let state = State { told, unsent: VecDeque::new(), export: 0, answered: 0, outbox };
                // Before anything is counted: after a crash it is known that what was counted is still to be told.
                state.keep(&News { pairs: state.told.pairs.clone(), gone: Vec::new() }, &[])?;
                state
            }
        };
        if !state.unsent.is_empty() {
            tracing::info!(
                requests = state.unsent.len(),
                "an OTLP export is left that nobody acknowledged: it goes first"
            );
        }
        Ok(Self(Arc::new(Mutex::new(state))))
    }

    /// Every step either is done or has not begun, so a panic in between does no harm.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request to send, if an export is under way, and its place.
    ///
    /// # Errors
    ///
    /// When it is not what was kept.
    pub(super) fn next(&self) -> Result<Option<(Place, ExportMetricsServiceRequest)>, String> {
        let state = self.lock();
        let place = Place { export: state.export, request: state.answered };
        Ok(state.unsent.front().map(|request| unpack(request)).transpose()?.map(|request| (place, request)))
    }

    /// The request of this place was answered for good. It may be said twice, by who was stopped while it was kept.
    ///
    /// # Errors
    ///
    /// When this cannot be kept. It is not sent again but after a crash.
    pub(super) fn answered(&self, place: Place) -> Result<(), StoreError> {
        let mut state = self.lock();
        if place != (Place { export: state.export, request: state.answered }) || state.unsent.pop_front().is_none() {
            return Ok(());
        }
        state.answered += 1;
        let State { told, answered, outbox, .. } = &*state;
        outbox.as_ref().map_or(Ok(()), |outbox| outbox.answered(*answered, told.until, told.tallies.as_ref()))
    }

    /// Makes the next export, of all that was counted since the last one, unless one is under way: whoever is stopped while
    /// one is made finds it made.
    ///
    /// # Errors
    ///
    /// When it cannot be kept: then it is not to be sent, and the next will hold the same and more.
    pub(super) fn make(
        &self,
        snapshot: &Snapshot,
        live: &Live,
        gone: &[Gone],
        options: &otlp::Options,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        if !state.unsent.is_empty() {
            return Ok(());
        }
        let window = state.told.window(snapshot, live, now);
        let export = otlp::Export {
            snapshot: &window.snapshot,
            live: &window.live,
            gone,
            temporality: Temporality::Delta { since: window.since, until: window.until },
            at: now,
        };
        // By whichever protocol it is sent in the end, perhaps after a restart by other settings.
        let options = otlp::Options { encoding: Encoding::Any, ..options.clone() };
        let requests = otlp::requests(&export, &options);
        let requests: Vec<_> = requests.iter().map(|request| gzip(&request.encode_to_vec()).to_vec()).collect();
        let (told, news) = state.told.with(snapshot, live, window.until);
        let (export, outbox) = (state.export + 1, state.outbox.clone());
        let next = State { told, unsent: requests.into(), export, answered: 0, outbox };
        next.keep(&news, &Vec::from(next.unsent.clone()))?;
        *state = next;
        Ok(())
    }
}

impl State {
    fn keep(&self, news: &News, requests: &[Vec<u8>]) -> Result<(), StoreError> {
        let Some(outbox) = &self.outbox else { return Ok(()) };
        outbox.put(&outbox::Export {
            until: self.told.until,
            tallies: self.told.tallies.as_ref(),
            pairs: &news.pairs,
            gone: &news.gone,
            requests,
        })
    }
}

fn unpack(request: &[u8]) -> Result<ExportMetricsServiceRequest, String> {
    let mut bytes = Vec::new();
    let whole = GzDecoder::new(request).read_to_end(&mut bytes);
    let request = whole.ok().and_then(|_| ExportMetricsServiceRequest::decode(&*bytes).ok());
    request.ok_or_else(|| "an export in it is none".to_owned())
}

#[cfg(test)]
mod tests;
