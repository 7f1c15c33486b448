//! From settings to parts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::info;
use uuid::Uuid;

use super::AppError;
use crate::cli::REVISION;
use crate::clock::Clock;
use crate::config::settings::Setting;
use crate::config::{Config, HistogramForm, OtlpCompression, OtlpEndpoint, OtlpProtocol, Temporality};
use crate::domain::delta::Told;
use crate::domain::distribution::Layout;
use crate::domain::gone::Roster;
use crate::domain::ledger::{Ledger, LedgerSettings};
use crate::domain::plan::{Plan, PlanSettings};
use crate::domain::snapshot::{Own, Snapshot};
use crate::domain::time::UnixMillis;
use crate::jelou::{Budget, Client};
use crate::poller::{Parts, Poller, PollerSettings, Silence, Traces, Update};
use crate::push::{Deltas, Past, Protocol, PushOptions, SpanPush};
use crate::render::otlp::HistogramKind;
use crate::store::{Image, Outbox, Store, StoreError};

/// A poller ready to run.
pub(super) struct Assembled {
    pub(super) poller: Poller<Client>,
    pub(super) snapshots: watch::Receiver<Arc<Snapshot>>,
    /// `service.instance.id`: kept with the state, or that of this process.
    pub(super) instance_id: String,
    /// What sends the poller's spans, if they are wanted.
    pub(super) spans: Option<SpanPush>,
    /// What the push goes on from.
    pub(super) past: Past,
}

/// A poller that goes on where the checkpoint left off, or begins anew.
pub(super) fn poller(config: &Config, clock: &Arc<dyn Clock>) -> Result<Assembled, AppError> {
    let api = &config.api;
    let upstream = Client::new(api, Arc::clone(clock)).map_err(|error| AppError::Client(error.to_string()))?;
    let (store, image) = match &config.state.path {
        Some(path) => {
            let (store, image) = Store::open(path, &api.account).map_err(AppError::State)?;
            if image.is_none() {
                info!(path = %path.display(), account = api.account, "no checkpoint of this account: counting begins anew");
            }
            (Some(store), image)
        }
        None => (None, None),
    };
    let instance_id = store.as_ref().map_or_else(|| Uuid::new_v4().to_string(), |store| store.instance_id().to_owned());
    let spans = span_push(config, &instance_id, clock)?;
    let outbox = store.as_ref().map(Store::outbox);
    let (settings, mut parts) = parts(config, clock, upstream, store, image)?;
    if let Some(spans) = &spans {
        parts.traces = Traces::new(spans.tracer());
    }
    let (poller, snapshots) = Poller::new(settings, parts);
    let past = {
        let first = snapshots.borrow();
        let deltas = deltas(config, outbox, &first, clock.now())?;
        Past { deltas, roster: Roster::new(&first) }
    };
    Ok(Assembled { poller, snapshots, instance_id, spans, past })
}

/// What deltas have told, if these are wanted. Where totals are pushed, what deltas told once is of no use any more; where
/// nothing is pushed for a while, they go on from it later.
fn deltas(
    config: &Config,
    outbox: Option<Outbox>,
    first: &Snapshot,
    now: UnixMillis,
) -> Result<Option<Deltas>, AppError> {
    match (&config.otlp.endpoint, config.otlp.temporality) {
        (None, _) => Ok(None),
        (Some(_), Temporality::Delta) => Deltas::open(outbox, first, now).map(Some).map_err(AppError::State),
        (Some(_), Temporality::Cumulative) => {
            let Some(outbox) = outbox else { return Ok(None) };
            if !outbox.is_empty().map_err(AppError::State)? {
                info!("totals are pushed from now on: what was kept of deltas is forgotten");
                outbox.clear().map_err(AppError::State)?;
            }
            Ok(None)
        }
    }
}

/// What a poller is made of that asks this upstream and goes on from the image, if there is one.
pub(crate) fn parts<U>(
    config: &Config,
    clock: &Arc<dyn Clock>,
    upstream: U,
    store: Option<Store>,
    image: Option<Image>,
) -> Result<(PollerSettings, Parts<U>), AppError> {
    let api = &config.api;
    let now = clock.now();
    let mut own =
        Own::new(now, REVISION.unwrap_or(""), millis(config.metrics.reply_target), millis(config.poll.interval));
    own.restored = image.is_some();
    own.recent_window = millis(config.metrics.recent_window);
    let (ledger, plan, silence) = match image {
        Some(image) => restored(config, store.as_ref(), image, now)?,
        None => fresh(config, now),
    };
    let settings = poller_settings(config);
    let parts = Parts {
        upstream,
        budget: Budget::new(api.requests_per_second),
        clock: Arc::clone(clock),
        jitter: Box::new(fastrand::f64),
        ledger,
        plan,
        own,
        account: api.account.as_str().into(),
        store,
        silence,
        traces: Traces::off(),
    };
    Ok((settings, parts))
}

/// What a running poller is to go on by, with another upstream if that is other than before.
pub(super) fn update<U>(config: &Config, upstream: Option<U>, changed: &[&'static Setting]) -> Update<U> {
    let those = changed.iter().filter(|setting| setting.section() != "log" && !setting.acts_at_start());
    Update {
        settings: poller_settings(config),
        ledger: ledger_settings(config),
        plan: plan_settings(config),
        upstream,
        changed: those.map(|setting| setting.key).collect(),
    }
}

const fn poller_settings(config: &Config) -> PollerSettings {
    PollerSettings {
        interval: config.poll.interval,
        requests_per_second: config.api.requests_per_second,
        page_size: config.api.page_size,
    }
}

/// From where counting goes on, and which pairs are to be forgotten then.
type Begin = (Ledger, Plan, Option<Silence>);

fn fresh(config: &Config, now: UnixMillis) -> Begin {
    let initial_start = now.seconds() - seconds(config.poll.initial_lookback);
    let ledger = Ledger::new(ledger_settings(config), now, UnixMillis::from_seconds(initial_start));
    (ledger, Plan::new(plan_settings(config), initial_start), None)
}

fn restored(config: &Config, store: Option<&Store>, image: Image, now: UnixMillis) -> Result<Begin, AppError> {
    let Image { kept, plan, pairs, conversations } = image;
    let plan = Plan::restore(plan_settings(config), plan).ok_or_else(|| {
        let path = config.state.path.clone().unwrap_or_default();
        AppError::State(StoreError::Damaged { path, why: "it does not say what was read".to_owned() })
    })?;
    let mut ledger = Ledger::restore(ledger_settings(config), kept, pairs, conversations);
    if let Some(store) = store {
        store.conversations(|id, entry| ledger.take_back(id, entry, now)).map_err(AppError::State)?;
    }
    let told = store.map(|store| told(config, &store.outbox(), now)).transpose()?.flatten();
    let silence = Silence { longest: signed_millis(config.metrics.forget_pairs_after), told };
    info!(conversations, pairs = ledger.label_sets(), "counting goes on from the checkpoint");
    Ok((ledger, plan, Some(silence)))
}

/// What deltas have told, as far as somebody waits for the rest. Where nothing is pushed, they may go on some day; but for
/// no longer than pairs may be silent anyway, or new pairs would never be forgotten again.
fn told(config: &Config, outbox: &Outbox, now: UnixMillis) -> Result<Option<Told>, AppError> {
    if config.otlp.endpoint.is_some() && config.otlp.temporality == Temporality::Cumulative {
        return Ok(None);
    }
    let kept = outbox.read().map_err(AppError::State)?;
    let told = kept.map(|kept| Told::restored(kept.until, kept.pairs, kept.tallies));
    let patience = now - signed_millis(config.metrics.forget_pairs_after);
    Ok(told.filter(|told| config.otlp.endpoint.is_some() || told.until.is_some_and(|until| until >= patience)))
}

fn ledger_settings(config: &Config) -> LedgerSettings {
    let metrics = &config.metrics;
    LedgerSettings {
        reply: Arc::new(Layout::new(metrics.reply_bounds.iter().copied(), metrics.schema)),
        duration: Arc::new(Layout::new(metrics.duration_bounds.iter().copied(), metrics.schema)),
        reply_target: millis(metrics.reply_target),
        excluded_origins: metrics.excluded_origins.clone(),
        recent_window: signed_millis(metrics.recent_window),
        max_label_sets: metrics.max_label_sets,
        stale_after: signed_millis(metrics.stale_after),
        count_initial: config.poll.count_initial,
    }
}

fn plan_settings(config: &Config) -> PlanSettings {
    let poll = &config.poll;
    PlanSettings {
        // Shorter than a second an interval may be, but the plan thinks in seconds.
        interval: seconds(poll.interval).max(1),
        overlap: seconds(poll.overlap),
        horizon: seconds(poll.horizon),
        sweep_interval: seconds(poll.sweep_interval).max(1),
        initial_lookback: seconds(poll.initial_lookback),
    }
}

/// How to push, if that is wanted.
pub(super) fn push_options(config: &Config, instance_id: &str) -> Option<PushOptions> {
    config.otlp.endpoint.as_ref().map(|endpoint| options(config, endpoint, instance_id))
}

/// Where the exporter's own spans go, if that is wanted.
fn span_push(config: &Config, instance_id: &str, clock: &Arc<dyn Clock>) -> Result<Option<SpanPush>, AppError> {
    let push = |endpoint| SpanPush::new(&options(config, endpoint, instance_id), clock);
    config.otlp.traces.as_ref().map(push).transpose().map_err(AppError::Push)
}

fn options(config: &Config, endpoint: &OtlpEndpoint, instance_id: &str) -> PushOptions {
    let otlp = &config.otlp;
    let mut resource = otlp.resource.clone();
    resource.entry("service.instance.id".to_owned()).or_insert_with(|| instance_id.to_owned());
    resource.entry("service.version".to_owned()).or_insert_with(|| crate::cli::VERSION.to_owned());
    PushOptions {
        url: endpoint.url.clone(),
        protocol: match otlp.protocol {
            OtlpProtocol::HttpProtobuf => Protocol::HttpProtobuf,
            OtlpProtocol::HttpJson => Protocol::HttpJson,
            OtlpProtocol::Grpc => Protocol::Grpc,
        },
        exact_url: endpoint.exact,
        headers: otlp.headers.clone(),
        gzip: otlp.compression == OtlpCompression::Gzip,
        tls: otlp.tls.clone(),
        interval: otlp.interval,
        timeout: otlp.timeout,
        export_timeout: otlp.export_timeout,
        histograms: match otlp.histograms {
            HistogramForm::Explicit => HistogramKind::Explicit,
            HistogramForm::Exponential => HistogramKind::Exponential,
        },
        resource: resource.into_iter().collect(),
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn signed_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
