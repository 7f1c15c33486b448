//! A reader of what is written, by the rules of ProtoJSON: it knows no field that it does not take.

use opentelemetry_proto::tonic::metrics::v1::{ExponentialHistogram, Gauge, Histogram, Sum};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::{Map, Value};

use super::*;
use crate::live::LiveStats;
use crate::render::otlp::tests::whole;
use crate::render::otlp::{Encoding, HistogramKind, MAX_REQUEST_BYTES, Options, requests, split};
use crate::render::sample;

/// The fields of an object; every one must be taken.
struct Object(Map<String, Value>);

impl Object {
    fn read<T>(value: Value, inside: impl FnOnce(&mut Self) -> T) -> T {
        let Value::Object(fields) = value else { panic!("no object: {value}") };
        let mut object = Self(fields);
        let read = inside(&mut object);
        assert!(object.0.is_empty(), "unknown: {:?}", object.0);
        read
    }

    fn list<T>(&mut self, name: &str, one: impl Fn(Value) -> T) -> Vec<T> {
        match self.0.remove(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => items.into_iter().map(one).collect(),
            Some(other) => panic!("{name}: {other}"),
        }
    }

    fn objects<T>(&mut self, name: &str, one: impl Fn(&mut Self) -> T) -> Vec<T> {
        self.list(name, |value| Self::read(value, &one))
    }

    fn object<T>(&mut self, name: &str, inside: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.0.remove(name).map(|value| Self::read(value, inside))
    }

    fn text(&mut self, name: &str) -> String {
        self.0.remove(name).map_or_else(String::new, |value| value.as_str().expect(name).to_owned())
    }

    fn large(&mut self, name: &str) -> u64 {
        self.0.remove(name).map_or(0, large)
    }

    fn small(&mut self, name: &str) -> i32 {
        self.0.remove(name).map_or(0, |value| value.as_i64().expect(name).try_into().expect(name))
    }

    fn double(&mut self, name: &str) -> Option<f64> {
        self.0.remove(name).map(number)
    }

    fn attributes(&mut self, name: &str) -> Vec<KeyValue> {
        self.objects(name, |fields| {
            let value = fields.object("value", |fields| AnyValue {
                value: Some(AnyValueKind::StringValue(fields.text("stringValue"))),
            });
            KeyValue { key: fields.text("key"), value, ..Default::default() }
        })
    }
}

fn large(value: Value) -> u64 {
    value.as_str().expect("64 bits are a string").parse().unwrap()
}

fn number(value: Value) -> f64 {
    match value.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        _ => value.as_f64().expect("a number"),
    }
}

/// The message in a body.
pub(crate) fn decode(body: &[u8]) -> ExportMetricsServiceRequest {
    Object::read(serde_json::from_slice(body).unwrap(), |fields| ExportMetricsServiceRequest {
        resource_metrics: fields.objects("resourceMetrics", |fields| ResourceMetrics {
            resource: fields.object("resource", |fields| Resource {
                attributes: fields.attributes("attributes"),
                ..Default::default()
            }),
            scope_metrics: fields.objects("scopeMetrics", |fields| ScopeMetrics {
                scope: fields
                    .object("scope", |fields| InstrumentationScope { name: fields.text("name"), ..Default::default() }),
                metrics: fields.objects("metrics", read_metric),
                ..Default::default()
            }),
            ..Default::default()
        }),
    })
}

fn read_metric(fields: &mut Object) -> Metric {
    let gauge =
        fields.object("gauge", |fields| Data::Gauge(Gauge { data_points: fields.objects("dataPoints", read_number) }));
    let sum = fields.object("sum", |fields| {
        Data::Sum(Sum {
            data_points: fields.objects("dataPoints", read_number),
            aggregation_temporality: fields.small("aggregationTemporality"),
            is_monotonic: fields.0.remove("isMonotonic") == Some(Value::Bool(true)),
        })
    });
    let histogram = fields.object("histogram", |fields| {
        Data::Histogram(Histogram {
            data_points: fields.objects("dataPoints", read_explicit),
            aggregation_temporality: fields.small("aggregationTemporality"),
        })
    });
    let exponential = fields.object("exponentialHistogram", |fields| {
        Data::ExponentialHistogram(ExponentialHistogram {
            data_points: fields.objects("dataPoints", read_exponential),
            aggregation_temporality: fields.small("aggregationTemporality"),
        })
    });
    Metric {
        name: fields.text("name"),
        description: fields.text("description"),
        unit: fields.text("unit"),
        metadata: Vec::new(),
        data: gauge.or(sum).or(histogram).or(exponential),
    }
}

fn read_number(fields: &mut Object) -> NumberDataPoint {
    let int = fields.0.remove("asInt").map(|value| value.as_str().expect("a string").parse().unwrap());
    let value = int.map(number_data_point::Value::AsInt);
    NumberDataPoint {
        attributes: fields.attributes("attributes"),
        start_time_unix_nano: fields.large("startTimeUnixNano"),
        time_unix_nano: fields.large("timeUnixNano"),
        value: value.or(fields.double("asDouble").map(number_data_point::Value::AsDouble)),
        exemplars: fields.objects("exemplars", read_exemplar),
        flags: fields.small("flags") as u32,
    }
}

fn read_exemplar(fields: &mut Object) -> Exemplar {
    Exemplar {
        filtered_attributes: fields.attributes("filteredAttributes"),
        time_unix_nano: fields.large("timeUnixNano"),
        value: fields.double("asDouble").map(exemplar::Value::AsDouble),
        ..Default::default()
    }
}

fn read_explicit(fields: &mut Object) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: fields.attributes("attributes"),
        start_time_unix_nano: fields.large("startTimeUnixNano"),
        time_unix_nano: fields.large("timeUnixNano"),
        count: fields.large("count"),
        sum: fields.double("sum"),
        bucket_counts: fields.list("bucketCounts", large),
        explicit_bounds: fields.list("explicitBounds", number),
        exemplars: fields.objects("exemplars", read_exemplar),
        flags: fields.small("flags") as u32,
        min: fields.double("min"),
        max: fields.double("max"),
    }
}

fn read_exponential(fields: &mut Object) -> ExponentialHistogramDataPoint {
    let mut buckets = |name: &str| {
        fields.object(name, |fields| Buckets {
            offset: fields.small("offset"),
            bucket_counts: fields.list("bucketCounts", large),
        })
    };
    ExponentialHistogramDataPoint {
        positive: buckets("positive"),
        negative: buckets("negative"),
        attributes: fields.attributes("attributes"),
        start_time_unix_nano: fields.large("startTimeUnixNano"),
        time_unix_nano: fields.large("timeUnixNano"),
        count: fields.large("count"),
        sum: fields.double("sum"),
        scale: fields.small("scale"),
        zero_count: fields.large("zeroCount"),
        flags: fields.small("flags") as u32,
        exemplars: fields.objects("exemplars", read_exemplar),
        min: fields.double("min"),
        max: fields.double("max"),
        zero_threshold: fields.double("zeroThreshold").unwrap_or_default(),
    }
}

#[test]
fn what_is_written_is_what_was_meant() {
    let torture = sample::torture();
    let snapshot = sample::with_pairs(torture.iter().map(|value| sample::pair(value, "t")));
    for histograms in [HistogramKind::Explicit, HistogramKind::Exponential] {
        let options = Options { histograms, encoding: Encoding::Json, ..Default::default() };
        for request in requests(&whole(&snapshot, &LiveStats::new(true).live()), &options) {
            // NaN is not equal to itself: the text of both is compared.
            assert_eq!(format!("{:?}", decode(&body(&request))), format!("{request:?}"));
        }
    }
}

#[test]
fn the_mapping_is_that_of_the_specification() {
    let metric = Metric {
        name: "m".to_owned(),
        data: Some(Data::Gauge(Gauge {
            data_points: vec![
                NumberDataPoint {
                    attributes: vec![KeyValue {
                        key: "k".to_owned(),
                        value: Some(AnyValue { value: Some(AnyValueKind::StringValue(String::new())) }),
                        ..Default::default()
                    }],
                    time_unix_nano: u64::MAX,
                    value: Some(number_data_point::Value::AsDouble(f64::NAN)),
                    ..Default::default()
                },
                NumberDataPoint {
                    flags: 1,
                    value: Some(number_data_point::Value::AsInt(0)),
                    exemplars: vec![Exemplar {
                        time_unix_nano: 5,
                        value: Some(exemplar::Value::AsDouble(f64::INFINITY)),
                        ..Default::default()
                    }],
                    ..Default::default()
                },
            ],
        })),
        ..Default::default()
    };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..Default::default() }];
    let resource_metrics = vec![ResourceMetrics { scope_metrics, ..Default::default() }];
    assert_eq!(
        String::from_utf8(body(&ExportMetricsServiceRequest { resource_metrics })).unwrap(),
        concat!(
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","gauge":{"dataPoints":["#,
            r#"{"attributes":[{"key":"k","value":{"stringValue":""}}],"timeUnixNano":"18446744073709551615","asDouble":"NaN"},"#,
            r#"{"asInt":"0","exemplars":[{"timeUnixNano":"5","asDouble":"Infinity"}],"flags":1}]}}]}]}]}"#,
        )
    );
}

#[test]
fn requests_are_split_by_what_is_written() {
    // Every character of these labels takes six in JSON.
    let snapshot = sample::with_pairs((0..300).map(|n| sample::pair(&"\u{1}".repeat(500), &n.to_string())));
    let live = LiveStats::new(true).live();
    for (histograms, most_bytes) in
        [(HistogramKind::Explicit, MAX_REQUEST_BYTES), (HistogramKind::Exponential, 200_000)]
    {
        let options = Options { histograms, encoding: Encoding::Json, ..Default::default() };
        let bodies: Vec<usize> =
            split(&whole(&snapshot, &live), &options, most_bytes).iter().map(|request| body(request).len()).collect();
        assert!(bodies.len() > 1 && bodies.iter().all(|bytes| *bytes <= most_bytes), "{bodies:?}");
        assert!(bodies.iter().max().unwrap() > &(most_bytes * 9 / 10), "{bodies:?}");
    }
}
