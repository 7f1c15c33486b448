use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, Metric, number_data_point};
use proptest::prelude::*;
use prost::Message;
use std::sync::Arc;

use super::*;
use crate::domain::distribution::{Distribution, Layout, MAX_MILLIS};
use crate::domain::pair::Pair;
use crate::live::LiveStats;
use crate::render::sample;

/// Encodes and decodes, as a receiver would see it.
fn received(snapshot: &Snapshot, options: &Options, most_bytes: usize) -> Vec<ExportMetricsServiceRequest> {
    let live = LiveStats::new(true).live();
    let requests = split(snapshot, &live, options, sample::NOW, most_bytes);
    let decode = |request: &ExportMetricsServiceRequest| {
        let bytes = request.encode_to_vec();
        assert!(bytes.len() <= most_bytes, "{} bytes", bytes.len());
        ExportMetricsServiceRequest::decode(&*bytes).unwrap()
    };
    requests.iter().map(decode).collect()
}

fn metrics(requests: &[ExportMetricsServiceRequest]) -> Vec<&Metric> {
    let scopes = requests.iter().flat_map(|request| &request.resource_metrics).flat_map(|r| &r.scope_metrics);
    scopes.flat_map(|scope| &scope.metrics).collect()
}

fn find<'a>(requests: &'a [ExportMetricsServiceRequest], name: &str) -> &'a Data {
    let metric = metrics(requests).into_iter().find(|metric| metric.name == name);
    metric.unwrap_or_else(|| panic!("no {name}")).data.as_ref().unwrap()
}

fn text(attributes: &[KeyValue]) -> String {
    let pair = |attribute: &KeyValue| match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
        AnyValueKind::StringValue(value) => format!("{}={value}", attribute.key),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(pair).collect::<Vec<_>>().join(" ")
}

fn points(data: &Data) -> usize {
    match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(_) => panic!("no summaries here"),
    }
}

#[test]
fn explicit_points_follow_the_data_model() {
    let snapshot = sample::with_pairs([sample::pair("b", "t")]);
    let options = Options {
        resource: vec![("service.instance.id".into(), "id".into()), ("deployment".into(), "x".into())],
        ..Default::default()
    };
    let requests = received(&snapshot, &options, MAX_REQUEST_BYTES);
    assert_eq!(requests.len(), 1);
    let resource = &requests[0].resource_metrics[0];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        text(&resource.resource.as_ref().unwrap().attributes),
        format!("service.instance.id=id deployment=x service.name=jelou-exporter service.version={version}")
    );
    let scope = resource.scope_metrics[0].scope.as_ref().unwrap();
    assert_eq!((&*scope.name, &*scope.version, scope.attributes.len()), (SCOPE, "", 0));

    let Data::Histogram(reply) = find(&requests, "jelou.operator.reply_time") else { panic!("a histogram") };
    let point = &reply.data_points[0];
    assert_eq!(reply.aggregation_temporality, 2);
    assert_eq!(text(&point.attributes), "account=acme bot=b team=t");
    assert_eq!(point.explicit_bounds, [0.25, 60.0, 300.0]);
    assert_eq!(point.bucket_counts, [2, 0, 1, 1]);
    assert_eq!((point.count, point.sum, point.min, point.max), (4, Some(4299.7), Some(0.0), Some(4000.0)));
    assert_eq!(point.start_time_unix_nano, 1_767_222_000_000_000_000);
    assert_eq!(point.time_unix_nano, 1_767_225_600_000_000_000);

    let Data::Sum(started) = find(&requests, "jelou.conversations.started") else { panic!("a sum") };
    assert!(started.is_monotonic && started.aggregation_temporality == 2);
    assert_eq!(started.data_points[0].value, Some(number_data_point::Value::AsInt(6)));
    assert_eq!(started.data_points[0].start_time_unix_nano, 1_767_222_000_000_000_000);

    let Data::Sum(wait) = find(&requests, "jelou.exporter.api_budget_wait") else { panic!("a sum") };
    assert_eq!(wait.data_points[0].value, Some(number_data_point::Value::AsDouble(1.5)));

    let Data::Gauge(recent) = find(&requests, "jelou.operator.reply_time.recent") else { panic!("a gauge") };
    assert_eq!(recent.data_points[0].start_time_unix_nano, 0);
    assert_eq!(recent.data_points[0].value, Some(number_data_point::Value::AsDouble(0.2)));
    let Some(number_data_point::Value::AsDouble(none)) = recent.data_points[3].value else { panic!("a double") };
    assert!(none.is_nan());
}

#[test]
fn metrics_bear_what_the_catalog_says() {
    let snapshot = sample::with_pairs([sample::pair("b", "t")]);
    let requests = received(&snapshot, &Options::default(), MAX_REQUEST_BYTES);
    for metric in metrics(&requests) {
        let family = FAMILIES.iter().find(|family| family.otlp_name == metric.name).unwrap();
        assert_eq!((&*metric.unit, &*metric.description), (family.unit, family.help));
        assert!(!metric.name.starts_with("process"));
    }
}

fn exponential_point(pair: Pair) -> ExponentialHistogramDataPoint {
    let options = Options { histograms: HistogramKind::Exponential, ..Default::default() };
    let requests = received(&sample::with_pairs([pair]), &options, MAX_REQUEST_BYTES);
    let Data::ExponentialHistogram(reply) = find(&requests, "jelou.operator.reply_time") else { panic!("exponential") };
    assert_eq!(reply.aggregation_temporality, 2);
    reply.data_points[0].clone()
}

#[test]
fn a_histogram_without_times_has_no_buckets_and_no_extremes() {
    let layout = Arc::new(Layout::new([1000], 3));
    let mut pair = sample::pair("b", "t");
    pair.reply = Distribution::new(layout, sample::START);
    let point = exponential_point(pair);
    assert_eq!((point.count, point.sum, point.min, point.max), (0, Some(0.0), None, None));
    assert!(point.positive.unwrap().bucket_counts.is_empty());
}

proptest! {
    #[test]
    fn exponential_buckets_hold_their_times(times in prop::collection::vec(0..MAX_MILLIS, 1..100), schema in -4..=8i8) {
        let mut pair = sample::pair("b", "t");
        pair.reply = Distribution::new(Arc::new(Layout::new([], schema)), sample::START);
        times.iter().for_each(|millis| pair.reply.record(*millis));
        let point = exponential_point(pair);
        let buckets = point.positive.unwrap();
        prop_assert!(buckets.bucket_counts.len() <= 160);
        prop_assert_eq!(point.zero_count + buckets.bucket_counts.iter().sum::<u64>(), point.count);
        prop_assert_eq!(point.count, times.len() as u64);
        let base_log = 2f64.powi(-point.scale);
        for (at, count) in buckets.bucket_counts.iter().enumerate() {
            // OTLP data model: bucket `index` holds (base^index, base^(index+1)].
            let index = f64::from(buckets.offset + at as i32);
            let logs = times.iter().filter(|t| **t > 0).map(|t| (*t as f64 / 1000.0).log2());
            let inside = logs.filter(|log| *log > index * base_log && *log <= (index + 1.0) * base_log).count();
            prop_assert_eq!(inside as u64, *count);
        }
    }
}

#[test]
fn large_exports_are_split_and_lose_nothing() {
    let pairs = || (0..3000).map(|n| sample::pair(&format!("bot {n}"), "team"));
    let snapshot = sample::with_pairs(pairs());
    for (options, most_bytes) in [
        (Options::default(), MAX_REQUEST_BYTES),
        (Options { histograms: HistogramKind::Exponential, ..Default::default() }, MAX_REQUEST_BYTES),
        (Options::default(), 10_000),
    ] {
        let requests = received(&snapshot, &options, most_bytes);
        assert!(requests.len() > 1);
        let fullest = requests.iter().map(Message::encoded_len).max().unwrap();
        assert!(fullest > most_bytes * 9 / 10, "{fullest} of {most_bytes}");
        for family in FAMILIES {
            let mut expected = 0;
            snapshot.visit(family, &LiveStats::new(true).live(), &mut |_| expected += 1);
            let all = metrics(&requests);
            let found = all.iter().filter(|metric| metric.name == family.otlp_name);
            assert_eq!(found.map(|metric| points(metric.data.as_ref().unwrap())).sum::<usize>(), expected);
        }
    }
}

#[test]
fn any_label_value_is_an_attribute_as_it_is() {
    let torture = sample::torture();
    let snapshot = sample::with_pairs(torture.iter().map(|value| sample::pair(value, "t")));
    let requests = received(&snapshot, &Options::default(), MAX_REQUEST_BYTES);
    let Data::Gauge(active) = find(&requests, "jelou.conversations.active") else { panic!("a gauge") };
    let found: Vec<String> = active.data_points.iter().map(|point| text(&point.attributes)).collect();
    let expected: Vec<String> = torture.iter().map(|value| format!("account=acme bot={value} team=t")).collect();
    assert_eq!(found, expected);
}
