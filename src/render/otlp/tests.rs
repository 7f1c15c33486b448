use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogramDataPoint, Metric, exemplar, number_data_point};
use proptest::prelude::*;
use prost::Message;
use std::sync::Arc;

use super::*;
use crate::domain::distribution::{Distribution, Layout, MAX_MILLIS};
use crate::domain::pair::Pair;
use crate::live::LiveStats;
use crate::render::sample;

/// All that a snapshot shows.
pub(crate) const fn whole<'a>(snapshot: &'a Snapshot, live: &'a Live) -> Export<'a> {
    Export::totals(snapshot, live, sample::NOW)
}

/// Encodes and decodes, as a receiver would see it.
fn received(snapshot: &Snapshot, options: &Options, most_bytes: usize) -> Vec<ExportMetricsServiceRequest> {
    sent(&whole(snapshot, &LiveStats::new(true).live()), options, most_bytes)
}

fn sent(export: &Export<'_>, options: &Options, most_bytes: usize) -> Vec<ExportMetricsServiceRequest> {
    let requests = split(export, options, most_bytes);
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

/// The time at this rank (from 0) as exponential buckets tell it: the middle of its bucket, as logarithms go.
fn told_at(point: &ExponentialHistogramDataPoint, rank: u64) -> f64 {
    let buckets = point.positive.as_ref().unwrap();
    let mut below = point.zero_count;
    if rank < below {
        return 0.0;
    }
    for (count, index) in buckets.bucket_counts.iter().zip(buckets.offset..) {
        below += count;
        if rank < below {
            return 2f64.powf((f64::from(index) + 0.5) * 2f64.powi(-point.scale));
        }
    }
    panic!("{rank} of {below}")
}

proptest! {
    /// Of all that was counted, and of a window.
    #[test]
    fn exponential_quantiles_are_within_the_bound_of_their_scale(
        before in prop::collection::vec(0..100_000_000u64, 0..60),
        times in prop::collection::vec(0..100_000_000u64, 1..100),
        schema in -4..=8i8,
    ) {
        let mut pair = sample::pair("b", "t");
        pair.reply = Distribution::new(Arc::new(Layout::new([], schema)), sample::START);
        before.iter().for_each(|millis| pair.reply.record(*millis));
        let earlier = pair.reply.counts();
        times.iter().for_each(|millis| pair.reply.record(*millis));
        let mut window = pair.clone();
        window.reply = pair.reply.since(&earlier);
        let all = before.iter().chain(&times).copied().collect();
        for (pair, mut times) in [(pair, all), (window, times)] {
            times.sort_unstable();
            let point = exponential_point(pair);
            prop_assert_eq!(point.count, times.len() as u64);
            prop_assert_eq!(point.zero_count, times.iter().filter(|millis| **millis == 0).count() as u64);
            // From the middle of a bucket to either end it is half a step.
            let bound = 2f64.powf(2f64.powi(-point.scale) / 2.0) * (1.0 + 1e-9);
            for (rank, millis) in times.iter().enumerate().filter(|(_, millis)| **millis > 0) {
                let (told, exact) = (told_at(&point, rank as u64), *millis as f64 / 1000.0);
                prop_assert!(told <= exact * bound && exact <= told * bound, "{} s, told {}", exact, told);
            }
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

#[test]
fn exemplars_ascend_by_value() {
    let snapshot = sample::with_pairs([sample::pair("b", "t")]);
    for histograms in [HistogramKind::Explicit, HistogramKind::Exponential] {
        let options = Options { histograms, ..Default::default() };
        let requests = received(&snapshot, &options, MAX_REQUEST_BYTES);
        let exemplars = match find(&requests, "jelou.operator.reply_time") {
            Data::Histogram(histogram) => &histogram.data_points[0].exemplars,
            Data::ExponentialHistogram(histogram) => &histogram.data_points[0].exemplars,
            other => panic!("{other:?}"),
        };
        let told: Vec<_> = exemplars.iter().map(|it| (it.value, text(&it.filtered_attributes))).collect();
        let expected = [(0.2, "6590a2"), (299.5, "6590a3"), (4000.0, "6590a4")];
        let expected =
            expected.map(|(value, id)| (Some(exemplar::Value::AsDouble(value)), format!("conversation_id={id}")));
        assert_eq!(told, expected);
        assert_eq!(exemplars[0].time_unix_nano, (sample::NOW - 30_250).as_nanos());
    }
}

/// Start and temporality of every sum and histogram.
fn counting(requests: &[ExportMetricsServiceRequest]) -> Vec<(&str, u64, i32)> {
    let mut all = Vec::new();
    for metric in metrics(requests) {
        let (starts, temporality): (Vec<u64>, i32) = match metric.data.as_ref().unwrap() {
            Data::Gauge(_) | Data::Summary(_) => continue,
            Data::Sum(it) => {
                (it.data_points.iter().map(|it| it.start_time_unix_nano).collect(), it.aggregation_temporality)
            }
            Data::Histogram(it) => {
                (it.data_points.iter().map(|it| it.start_time_unix_nano).collect(), it.aggregation_temporality)
            }
            Data::ExponentialHistogram(it) => {
                (it.data_points.iter().map(|it| it.start_time_unix_nano).collect(), it.aggregation_temporality)
            }
        };
        all.extend(starts.into_iter().map(|start| (&*metric.name, start, temporality)));
    }
    all
}

/// What a pair's window begins with is told by the window itself, see `domain::delta`.
#[test]
fn deltas_begin_with_their_window_or_with_a_younger_series() {
    let mut young = sample::pair("b", "young");
    young.start = sample::NOW - 1000;
    let snapshot = sample::with_pairs([sample::pair("b", "t"), young]);
    let live = LiveStats::new(true).live();
    let (start, since) = (sample::START.as_nanos(), sample::NOW - 60_000);
    for histograms in [HistogramKind::Explicit, HistogramKind::Exponential] {
        let options = Options { histograms, ..Default::default() };
        let starts = |since: Option<UnixMillis>| {
            let export =
                Export { temporality: Temporality::Delta { since, until: sample::NOW }, ..whole(&snapshot, &live) };
            let requests = sent(&export, &options, MAX_REQUEST_BYTES);
            let all = counting(&requests);
            assert!(all.iter().all(|(_, _, temporality)| *temporality == 1), "{all:?}");
            let unanswered: Vec<u64> =
                all.iter().filter(|it| it.0 == "jelou.conversations.unanswered").map(|it| it.1).collect();
            let replies: Vec<u64> =
                all.iter().filter(|it| it.0 == "jelou.operator.reply_time").map(|it| it.1).collect();
            let own = all.iter().find(|it| it.0 == "jelou.exporter.polls").map(|it| it.1).unwrap();
            (unanswered, replies, own)
        };
        let younger = (sample::NOW - 1000).as_nanos();
        assert_eq!(starts(None), (vec![start, younger], vec![start, start], start));
        assert_eq!(starts(Some(since)), (vec![start, younger], vec![start, start], since.as_nanos()));
    }
}

#[test]
fn a_window_ends_where_it_says_and_a_gauge_is_of_the_moment() {
    // The clock was ahead when this pair began, and for the last export.
    let mut pair = sample::pair("b", "t");
    pair.start = sample::NOW + 3_600_000;
    let (snapshot, live) = (sample::with_pairs([pair]), LiveStats::new(true).live());
    let (since, until) = (Some(sample::NOW + 59_999), sample::NOW + 60_000);
    let export = Export { temporality: Temporality::Delta { since, until }, ..whole(&snapshot, &live) };
    let requests = sent(&export, &Options::default(), MAX_REQUEST_BYTES);
    let (mut gauges, mut sums) = (0, 0);
    for metric in metrics(&requests) {
        match metric.data.as_ref().unwrap() {
            Data::Gauge(gauge) => {
                assert!(gauge.data_points.iter().all(|it| it.time_unix_nano == sample::NOW.as_nanos()));
                gauges += 1;
            }
            Data::Sum(sum) => {
                for it in &sum.data_points {
                    assert_eq!(it.time_unix_nano, until.as_nanos(), "{}", metric.name);
                    assert!(it.start_time_unix_nano <= it.time_unix_nano, "{}", metric.name);
                }
                sums += 1;
            }
            _ => {}
        }
    }
    assert!(gauges > 5 && sums > 5);
}

#[test]
fn start_times_are_never_after_the_points_that_bear_them() {
    // The clock was ahead when this pair began, and was put right.
    let mut pair = sample::pair("b", "t");
    pair.start = sample::NOW + 3_600_000;
    let (snapshot, live) = (sample::with_pairs([pair]), LiveStats::new(true).live());
    let starts = |at: UnixMillis| {
        let requests = sent(&Export { at, ..whole(&snapshot, &live) }, &Options::default(), MAX_REQUEST_BYTES);
        let all = counting(&requests);
        assert!(all.iter().all(|(_, start, _)| *start <= at.as_nanos()), "{all:?}");
        let of = |name: &str| all.iter().find(|it| it.0 == name).map(|it| it.1).unwrap();
        (of("jelou.conversations.unanswered"), of("jelou.operator.reply_time"))
    };
    // One that moves would be a reset.
    assert_eq!(starts(sample::NOW), (0, sample::START.as_nanos()));
    let later = sample::NOW + 3_600_001;
    assert_eq!(starts(later), ((sample::NOW + 3_600_000).as_nanos(), sample::START.as_nanos()));
}

#[test]
fn a_series_that_has_left_is_told_so_beside_the_others_of_its_family() {
    let snapshot = sample::with_pairs([sample::pair("b", "t")]);
    let live = LiveStats::new(true).live();
    let labels = |pairs: &[(&'static str, &str)]| pairs.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
    let family = |name: &str| FAMILIES.iter().find(|family| family.otlp_name == name).unwrap();
    let gone =
        ["jelou.operator.reply_time", "jelou.conversations.unanswered", "jelou.conversations.active"].map(|name| {
            Gone {
                family: family(name),
                labels: labels(&[("account", "acme"), ("bot", "b"), ("team", "gone")]),
                bounds: vec![250],
            }
        });
    for (histograms, encoding) in [
        (HistogramKind::Explicit, Encoding::Protobuf),
        (HistogramKind::Exponential, Encoding::Protobuf),
        (HistogramKind::Explicit, Encoding::Json),
        (HistogramKind::Exponential, Encoding::Any),
    ] {
        let options = Options { histograms, encoding, ..Default::default() };
        let requests = sent(&Export { gone: &gone, ..whole(&snapshot, &live) }, &options, MAX_REQUEST_BYTES);
        let through_json: Vec<_> = requests.iter().map(|request| json::tests::decode(&json::body(request))).collect();
        for requests in [&requests, &through_json] {
            for it in &gone {
                let (flags, has_value, attributes) = match find(requests, it.family.otlp_name) {
                    Data::Gauge(gauge) => {
                        let point = &gauge.data_points[1];
                        (point.flags, point.value.is_some(), &point.attributes)
                    }
                    Data::Sum(sum) => {
                        let point = &sum.data_points[1];
                        (point.flags, point.value.is_some(), &point.attributes)
                    }
                    Data::Histogram(histogram) => {
                        let point = &histogram.data_points[1];
                        assert_eq!((&*point.explicit_bounds, &*point.bucket_counts), (&[0.25][..], &[0, 0][..]));
                        (point.flags, point.sum.is_some() || point.count > 0, &point.attributes)
                    }
                    Data::ExponentialHistogram(histogram) => {
                        let point = &histogram.data_points[1];
                        (point.flags, point.sum.is_some() || point.count > 0, &point.attributes)
                    }
                    other => panic!("{other:?}"),
                };
                assert_eq!((flags, has_value), (1, false), "{}", it.family.otlp_name);
                assert_eq!(text(attributes), "account=acme bot=b team=gone");
            }
        }
    }
}

#[test]
fn what_may_be_sent_by_either_encoding_fits_both() {
    // Characters that take six in JSON, and bounds without counts, which take more in protobuf.
    let layout = Arc::new(Layout::new((1..400).map(|second| second * 1000), 3));
    let pair = |n: usize| {
        let mut pair = sample::pair(&"\u{1}".repeat(n % 3 * 200), &n.to_string());
        pair.reply = Distribution::new(Arc::clone(&layout), sample::START);
        pair
    };
    let snapshot = sample::with_pairs((0..100).map(pair));
    let live = LiveStats::new(true).live();
    let options = Options { encoding: Encoding::Any, ..Default::default() };
    let requests = sent(&whole(&snapshot, &live), &options, 100_000);
    assert!(requests.iter().all(|request| json::body(request).len() <= 100_000));
    assert!(requests.len() > 2);
}

/// A message as text, a line for each metric and point: what is written in JSON, of what was read in protobuf.
fn told(requests: &[ExportMetricsServiceRequest]) -> String {
    let bodies: Vec<String> = requests.iter().map(|it| String::from_utf8(json::body(it)).unwrap()).collect();
    let text = bodies.join("\n").replace("{\"name\":\"jelou.", "\n{\"name\":\"jelou.");
    let text = text
        .replace("\"dataPoints\":[{", "\"dataPoints\":[\n  {")
        .replace("},{\"attributes\"", "},\n  {\"attributes\"");
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn golden_files() {
    let mut earlier = sample::pair("Ventas", "Sur");
    earlier.reply.record_conversation(45_000, &"6590a0".into(), sample::START, sample::NOW - 90_000);
    let mut now = earlier.clone();
    now.reply.record_conversation(7_000, &"6590a9".into(), sample::START + 5, sample::NOW - 20_000);
    now.met += 1;
    let (earlier, now) = (sample::with_pairs([earlier]), sample::with_pairs([now]));
    let live = LiveStats::new(true).live();
    let until = sample::NOW - 60_000;
    let window = crate::domain::delta::Told::default().with(&earlier, &live, until).0.window(&now, &live, sample::NOW);
    let stale = Arc::new(now.clone()).at(sample::NOW + 60_000);
    let mut roster = crate::domain::gone::Roster::default();
    roster.told(&now, &live);
    let gone = roster.gone(&stale, &live);
    let resource = vec![("service.instance.id".to_owned(), "7".to_owned())];
    for (name, histograms, export) in [
        ("explicit", HistogramKind::Explicit, whole(&now, &live)),
        ("exponential", HistogramKind::Exponential, whole(&now, &live)),
        ("gone", HistogramKind::Explicit, Export { gone: &gone, ..whole(&stale, &live) }),
        (
            "delta_explicit",
            HistogramKind::Explicit,
            Export {
                temporality: Temporality::Delta { since: window.since, until: window.until },
                ..whole(&window.snapshot, &window.live)
            },
        ),
        (
            "delta_exponential",
            HistogramKind::Exponential,
            Export {
                temporality: Temporality::Delta { since: window.since, until: window.until },
                ..whole(&window.snapshot, &window.live)
            },
        ),
    ] {
        let options = Options { histograms, resource: resource.clone(), ..Default::default() };
        insta::assert_snapshot!(name, told(&sent(&export, &options, MAX_REQUEST_BYTES)));
    }
}
