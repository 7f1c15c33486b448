//! From settings to parts.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use uuid::Uuid;

use super::AppError;
use crate::cli::REVISION;
use crate::clock::Clock;
use crate::config::{Config, HistogramForm, OtlpProtocol};
use crate::domain::distribution::Layout;
use crate::domain::ledger::{Ledger, LedgerSettings};
use crate::domain::plan::{Plan, PlanSettings};
use crate::domain::snapshot::{Own, Snapshot};
use crate::domain::time::UnixMillis;
use crate::jelou::{Budget, Client};
use crate::poller::{Parts, Poller, PollerSettings};
use crate::push::{Protocol, PushOptions};
use crate::render::otlp::HistogramKind;

/// A poller with an empty ledger.
pub(super) fn poller(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<(Poller<Client>, watch::Receiver<Arc<Snapshot>>), AppError> {
    let (api, poll, metrics) = (&config.api, &config.poll, &config.metrics);
    let upstream = Client::new(api, Arc::clone(clock)).map_err(|error| AppError::Client(error.to_string()))?;
    let now = clock.now();
    let initial_start = now.seconds() - seconds(poll.initial_lookback);
    let ledger = LedgerSettings {
        reply: Arc::new(Layout::new(metrics.reply_bounds.iter().copied(), metrics.schema)),
        duration: Arc::new(Layout::new(metrics.duration_bounds.iter().copied(), metrics.schema)),
        reply_target: millis(metrics.reply_target),
        excluded_origins: metrics.excluded_origins.clone(),
        recent_window: signed_millis(metrics.recent_window),
        max_label_sets: metrics.max_label_sets,
        stale_after: signed_millis(metrics.stale_after),
        count_initial: poll.count_initial,
    };
    let plan = PlanSettings {
        // Shorter than a second an interval may be, but the plan thinks in seconds.
        interval: seconds(poll.interval).max(1),
        overlap: seconds(poll.overlap),
        horizon: seconds(poll.horizon),
        sweep_interval: seconds(poll.sweep_interval).max(1),
    };
    let settings = PollerSettings {
        interval: poll.interval,
        requests_per_second: api.requests_per_second,
        page_size: api.page_size,
    };
    let parts = Parts {
        upstream,
        budget: Budget::new(api.requests_per_second),
        clock: Arc::clone(clock),
        jitter: Box::new(fastrand::f64),
        ledger: Ledger::new(ledger, now, UnixMillis::from_seconds(initial_start)),
        plan: Plan::new(plan, initial_start),
        own: Own::new(now, REVISION.unwrap_or(""), millis(metrics.reply_target), millis(poll.interval)),
        account: api.account.as_str().into(),
    };
    Ok(Poller::new(settings, parts))
}

/// How to push, if that is wanted.
pub(super) fn push_options(config: &Config) -> Option<PushOptions> {
    let otlp = &config.otlp;
    let endpoint = otlp.endpoint.as_ref()?;
    let mut resource = otlp.resource.clone();
    // Without a checkpoint the instance is this process.
    resource.entry("service.instance.id".to_owned()).or_insert_with(|| Uuid::new_v4().to_string());
    resource.entry("service.version".to_owned()).or_insert_with(|| crate::cli::VERSION.to_owned());
    Some(PushOptions {
        url: endpoint.url.clone(),
        protocol: match otlp.protocol {
            OtlpProtocol::HttpProtobuf => Protocol::HttpProtobuf,
            OtlpProtocol::Grpc => Protocol::Grpc,
        },
        exact_url: endpoint.exact,
        headers: otlp.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        interval: otlp.interval,
        timeout: otlp.timeout,
        histograms: match otlp.histograms {
            HistogramForm::Explicit => HistogramKind::Explicit,
            HistogramForm::Exponential => HistogramKind::Exponential,
        },
        resource: resource.into_iter().collect(),
    })
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
