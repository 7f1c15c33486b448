//! What the numbers are sorted by.

use std::time::Duration;

use super::duration::millis;
use super::given::quoted;
use super::nearest::did_you_mean;
use super::reader::{LONGER_THAN_ZERO, Reader};
use super::values::{bounds, list, whole};
use crate::domain::conversation::Origin;

/// Settings of the section `metrics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsSettings {
    /// Bounds of the reply times, milliseconds, ascending; the reply target is always among them.
    pub reply_bounds: Vec<u64>,
    /// Bounds of the conversation durations, milliseconds, ascending.
    pub duration_bounds: Vec<u64>,
    /// Schema of exponential buckets: 2^schema of them per doubling.
    pub schema: i8,
    /// Up to when a reply meets the promise.
    pub reply_target: Duration,
    /// Origins of conversations that no customer is waiting in.
    pub excluded_origins: Vec<Origin>,
    /// Window of the recent percentiles.
    pub recent_window: Duration,
    /// The most pairs of bot and team, the overflow pair among them.
    pub max_label_sets: usize,
    /// How long facts of the moment are shown when no poll succeeds.
    pub stale_after: Duration,
    /// After how long a silence a pair is dropped when the process starts.
    pub forget_pairs_after: Duration,
}

/// Reads the section.
pub(super) fn read(from: &mut Reader<'_>) -> Option<MetricsSettings> {
    let reply_bounds = from.value("metrics.reply_time_buckets", bounds);
    let duration_bounds = from.value("metrics.duration_buckets", bounds);
    let schema = from.value("metrics.native_histogram_schema", |text| whole(text, -4..=8));
    let reply_target = from.duration("metrics.reply_target", LONGER_THAN_ZERO);
    let excluded_origins = from.value("metrics.reply_target_excluded_origins", origins);
    let recent_window = from.duration("metrics.recent_window", LONGER_THAN_ZERO);
    let max_label_sets = from.value("metrics.max_label_sets", |text| whole(text, 2..=MOST_LABEL_SETS));
    let stale_after = from.duration("metrics.stale_after", LONGER_THAN_ZERO);
    let forget_pairs_after = from.duration("metrics.forget_pairs_after", LONGER_THAN_ZERO);
    let (mut reply_bounds, reply_target) = (reply_bounds?, reply_target?);
    // The share of kept promises must be exact, and only a bound is.
    if let Err(place) = reply_bounds.binary_search(&millis(reply_target)) {
        reply_bounds.insert(place, millis(reply_target));
    }
    Some(MetricsSettings {
        reply_bounds,
        duration_bounds: duration_bounds?,
        schema: schema?,
        reply_target,
        excluded_origins: excluded_origins?,
        recent_window: recent_window?,
        max_label_sets: max_label_sets?,
        stale_after: stale_after?,
        forget_pairs_after: forget_pairs_after?,
    })
}

/// Some 60 series a pair: a million pairs no scraper would take.
const MOST_LABEL_SETS: usize = 1_000_000;

fn origins(text: &str) -> Result<Vec<Origin>, String> {
    let mut origins = Vec::new();
    for name in list(text) {
        let Some(origin) = Origin::named(name) else {
            let known = || Origin::ALL.iter().map(|origin| origin.as_str());
            let instead = did_you_mean(name, known(), str::to_owned)
                .unwrap_or_else(|| format!("known are {}", known().collect::<Vec<_>>().join(", ")));
            return Err(format!("{} is no origin; {instead}", quoted(name)));
        };
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(origins)
}
