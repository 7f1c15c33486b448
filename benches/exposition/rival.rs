//! The same families through the crate `prometheus`: a collector over a snapshot for each, gathered by a registry and
//! encoded by the crate's own encoder.

use std::sync::Arc;

use jelou_exporter::domain::catalog::{FAMILIES, Family, Kind};
use jelou_exporter::domain::distribution::Distribution;
use jelou_exporter::domain::snapshot::{Live, Point, Snapshot, Value};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

/// One family of the catalog, collected from a snapshot.
struct FamilyCollector {
    family: &'static Family,
    desc: Desc,
    snapshot: Arc<Snapshot>,
    live: Arc<Live>,
}

/// A registry of every family.
pub(crate) fn registry(snapshot: &Arc<Snapshot>, live: Live) -> Registry {
    let (registry, live) = (Registry::new(), Arc::new(live));
    for family in FAMILIES {
        let labels = family.labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(family.name.to_owned(), family.help.to_owned(), labels, Default::default());
        let desc = desc.expect("the crate takes every name and label");
        let collector = FamilyCollector { family, desc, snapshot: Arc::clone(snapshot), live: Arc::clone(&live) };
        registry.register(Box::new(collector)).expect("each family comes once");
    }
    registry
}

/// Everything, as the crate writes it.
pub(crate) fn text(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).expect("the crate can encode it")
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

fn metric(kind: Kind, point: &Point<'_>) -> Metric {
    let labels = point.labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    let mut metric = Metric::from_label(labels.collect());
    let number = match point.value {
        Value::Distribution(times) => {
            metric.set_histogram(histogram(times));
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

fn histogram(times: &Distribution) -> Histogram {
    let buckets = times.buckets().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound as f64 / 1000.0);
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_sum(times.sum_seconds());
    histogram.set_sample_count(times.count());
    histogram
}
