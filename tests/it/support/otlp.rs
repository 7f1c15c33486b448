//! What receivers of OTLP got, under the names that Prometheus text has for the series.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, exemplar, metric,
    number_data_point,
};

use super::exposition::{Labels, Scrape, Series};

/// Counters and histograms, in thousandths: whole numbers, so that sums can be compared to the last digit. Of an
/// exponential histogram the buckets are left out.
pub(crate) type Counts = BTreeMap<Series, i128>;

/// Adds what this request tells of the families that are wanted; all of it has to be of this temporality.
pub(crate) fn add(
    counts: &mut Counts,
    request: &ExportMetricsServiceRequest,
    temporality: AggregationTemporality,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    let mut add = |name: String, labels: Labels, thousandths: i128| {
        if wanted(&name) {
            *counts.entry(Series { name, labels }).or_default() += thousandths;
        }
    };
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &scope.metrics) {
        let mut name = metric.name.replace('.', "_");
        name += if metric.unit == "s" { "_seconds" } else { "" };
        let told = match &metric.data {
            Some(metric::Data::Sum(sum)) => sum.aggregation_temporality,
            Some(metric::Data::Histogram(histogram)) => histogram.aggregation_temporality,
            Some(metric::Data::ExponentialHistogram(histogram)) => histogram.aggregation_temporality,
            _ => continue,
        };
        if told != temporality as i32 {
            return Err(format!("{name} is of temporality {told}"));
        }
        match &metric.data {
            Some(metric::Data::Sum(sum)) => {
                for point in &sum.data_points {
                    let value = match point.value {
                        Some(number_data_point::Value::AsInt(value)) => i128::from(value) * 1000,
                        Some(number_data_point::Value::AsDouble(value)) => thousandths(value),
                        None => return Err(format!("{name} has no value: {point:?}")),
                    };
                    add(format!("{name}_total"), labels(&point.attributes), value);
                }
            }
            Some(metric::Data::Histogram(histogram)) => {
                for point in &histogram.data_points {
                    explicit(&name, point)
                        .into_iter()
                        .for_each(|(series, value)| add(series.name, series.labels, value));
                }
            }
            Some(metric::Data::ExponentialHistogram(histogram)) => {
                for point in &histogram.data_points {
                    exponential(&name, point)?
                        .into_iter()
                        .for_each(|(series, value)| add(series.name, series.labels, value));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn explicit(name: &str, point: &HistogramDataPoint) -> Vec<(Series, i128)> {
    let series = |suffix: &str| Series { name: format!("{name}{suffix}"), labels: labels(&point.attributes) };
    let mut told = vec![(series("_count"), i128::from(point.count) * 1000)];
    told.push((series("_sum"), thousandths(point.sum.unwrap_or_default())));
    let bounds = point.explicit_bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    let mut below = 0;
    for (bound, count) in bounds.zip(&point.bucket_counts) {
        below += i128::from(*count);
        let mut bucket = series("_bucket");
        bucket.labels.insert("le".to_owned(), bound);
        told.push((bucket, below * 1000));
    }
    told
}

fn exponential(name: &str, point: &ExponentialHistogramDataPoint) -> Result<Vec<(Series, i128)>, String> {
    let series = |suffix: &str| Series { name: format!("{name}{suffix}"), labels: labels(&point.attributes) };
    let buckets = point.positive.iter().flat_map(|buckets| &buckets.bucket_counts);
    if point.zero_count + buckets.sum::<u64>() != point.count {
        return Err(format!("{name}: the buckets do not hold the count: {point:?}"));
    }
    let count = (series("_count"), i128::from(point.count) * 1000);
    Ok(vec![count, (series("_sum"), thousandths(point.sum.unwrap_or_default()))])
}

pub(crate) fn labels(attributes: &[KeyValue]) -> Labels {
    let text = |attribute: &KeyValue| match attribute.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some((attribute.key.clone(), text.clone())),
        _ => None,
    };
    attributes.iter().filter_map(text).collect()
}

fn thousandths(value: f64) -> i128 {
    (value * 1000.0).round() as i128
}

/// The same of a scrape.
pub(crate) fn counts(scrape: &Scrape, wanted: &dyn Fn(&str) -> bool) -> Counts {
    let wanted = scrape.series.iter().filter(|(series, _)| wanted(&series.name));
    wanted.map(|(series, value)| (series.clone(), thousandths(value.parse().unwrap()))).collect()
}

/// What differs, if anything does.
pub(crate) fn same(ours: &Counts, theirs: &Counts) -> Result<(), String> {
    let mut wrong: Vec<String> = ours
        .iter()
        .filter(|(series, value)| theirs.get(series) != Some(value))
        .map(|(series, value)| format!("{series} is {value}, there {:?}", theirs.get(series)))
        .collect();
    wrong.extend(
        theirs.keys().filter(|series| !ours.contains_key(series)).map(|series| format!("only there: {series}")),
    );
    if wrong.is_empty() { Ok(()) } else { Err(format!("{} differences:\n{}", wrong.len(), wrong.join("\n"))) }
}

/// The gauges of a message.
pub(crate) fn gauges(message: &ExportMetricsServiceRequest) -> BTreeMap<Series, f64> {
    let mut gauges = BTreeMap::new();
    let scopes = message.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    for metric in scopes.flat_map(|scope| &scope.metrics) {
        let Some(metric::Data::Gauge(gauge)) = &metric.data else { continue };
        let name = metric.name.replace('.', "_") + if metric.unit == "s" { "_seconds" } else { "" };
        for point in &gauge.data_points {
            let value = match point.value {
                Some(number_data_point::Value::AsInt(value)) => value as f64,
                Some(number_data_point::Value::AsDouble(value)) => value,
                None => continue,
            };
            gauges.insert(Series { name: name.clone(), labels: labels(&point.attributes) }, value);
        }
    }
    gauges
}

/// The value of an exemplar.
pub(crate) fn exemplar(exemplar: &Exemplar) -> Option<f64> {
    match exemplar.value {
        Some(exemplar::Value::AsDouble(value)) => Some(value),
        _ => None,
    }
}
