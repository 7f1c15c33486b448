//! Prometheus text format 0.0.4, through the crate `prometheus`.
//!
//! No registry stands between: it would sort the families by name and copy them all once more, while the catalog's
//! order is the order to read them in, and one family at a time is all that has to be in memory.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Result, TextEncoder};

use crate::domain::catalog::{FAMILIES, Family, FamilyId, Kind};
use crate::domain::distribution::Distribution;
use crate::domain::snapshot::{Live, Point, Snapshot, Value};

/// What a scraper is told that it gets.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One family of the catalog, collected from a snapshot.
pub struct FamilyCollector {
    family: &'static Family,
    desc: Desc,
    snapshot: Arc<Snapshot>,
    live: Arc<Live>,
}

impl FamilyCollector {
    /// Collects `family`; fails only if the crate does not take its name or labels.
    pub fn new(family: &'static Family, snapshot: Arc<Snapshot>, live: Arc<Live>) -> Result<Self> {
        let labels = family.labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(family.name.to_owned(), family.help.to_owned(), labels, Default::default())?;
        Ok(Self { family, desc, snapshot, live })
    }
}

impl Collector for FamilyCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    /// The family, or nothing when it has no point.
    fn collect(&self) -> Vec<MetricFamily> {
        let mut metrics = Vec::new();
        self.snapshot.visit(self.family, &self.live, &mut |point| metrics.push(metric(self.family.kind, &point)));
        if metrics.is_empty() {
            return Vec::new();
        }
        let mut family = MetricFamily::default();
        family.set_name(self.family.name.to_owned());
        family.set_help(self.family.help.to_owned());
        family.set_field_type(match self.family.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        });
        family.set_metric(metrics);
        vec![family]
    }
}

/// Everything that stands still while the snapshot is shown.
pub fn kept(snapshot: &Arc<Snapshot>) -> Result<String> {
    encode(snapshot, Live::default(), |id| !is_live(id))
}

/// What moves between snapshots: the web server, the log and pushing.
pub fn live(snapshot: &Arc<Snapshot>, live: Live) -> Result<String> {
    encode(snapshot, live, is_live)
}

/// What the kernel tells of this process.
pub fn process(collector: &ProcessCollector) -> Result<String> {
    TextEncoder::new().encode_to_string(&collector.collect())
}

const fn is_live(id: FamilyId) -> bool {
    use FamilyId::{HttpRequests, LogMessages, OtlpExports, OtlpLastSuccess};
    matches!(id, OtlpExports | OtlpLastSuccess | HttpRequests | LogMessages)
}

fn encode(snapshot: &Arc<Snapshot>, live: Live, wanted: impl Fn(FamilyId) -> bool) -> Result<String> {
    let live = Arc::new(live);
    let mut text = String::new();
    for family in FAMILIES.iter().filter(|family| wanted(family.id)) {
        let collector = FamilyCollector::new(family, Arc::clone(snapshot), Arc::clone(&live))?;
        TextEncoder::new().encode_utf8(&collector.collect(), &mut text)?;
    }
    Ok(text)
}

fn metric(kind: Kind, point: &Point<'_>) -> Metric {
    let labels = point.labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    let mut metric = Metric::from_label(labels.collect());
    // The format knows only floats; whole numbers print without a fraction.
    let number = match point.value {
        Value::Distribution(distribution) => {
            metric.set_histogram(histogram(distribution));
            return metric;
        }
        Value::Whole(value) => value as f64,
        Value::Number(value) => value,
    };
    if kind == Kind::Counter {
        let mut counter = Counter::default();
        counter.set_value(number);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(number);
        metric.set_gauge(gauge);
    }
    metric
}

/// The encoder adds `+Inf` itself and spells each `le` in the shortest decimal that is the same number.
fn histogram(distribution: &Distribution) -> Histogram {
    let buckets = distribution.buckets().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound as f64 / 1000.0);
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_sum(distribution.sum_seconds());
    histogram.set_sample_count(distribution.count());
    histogram
}

#[cfg(test)]
mod tests;
