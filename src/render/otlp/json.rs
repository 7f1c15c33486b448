//! OTLP in JSON (OTLP 1.x, "JSON Protobuf Encoding"): ProtoJSON with enums as numbers.
//!
//! As ProtoJSON has it: names in camel case, integers of 64 bits as strings, `"NaN"` and the infinities as strings, fields
//! that hold their default left out. The crate's own serde forms write NaN as `null`, which is another value.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValueKind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, exemplar, number_data_point,
};

use super::points::AnyPoint;

/// The body of an HTTP request.
pub fn body(request: &ExportMetricsServiceRequest) -> Vec<u8> {
    let mut out = Vec::new();
    object(&mut out, |fields| fields.list("resourceMetrics", &request.resource_metrics, resource_metrics));
    out
}

/// Bytes of a point.
pub(super) fn point_len(point: &AnyPoint) -> usize {
    let mut out = Vec::new();
    object(&mut out, |fields| match point {
        AnyPoint::Gauge(point) | AnyPoint::Sum(point) => number(fields, point),
        AnyPoint::Explicit(point) => explicit(fields, point),
        AnyPoint::Exponential(point) => exponential(fields, point),
    });
    out.len()
}

fn resource_metrics(fields: &mut Fields<'_>, resource: &ResourceMetrics) {
    if let Some(resource) = &resource.resource {
        fields.object("resource", |fields| fields.list("attributes", &resource.attributes, key_value));
    }
    fields.list("scopeMetrics", &resource.scope_metrics, scope_metrics);
    fields.text("schemaUrl", &resource.schema_url);
}

fn scope_metrics(fields: &mut Fields<'_>, scope: &ScopeMetrics) {
    if let Some(InstrumentationScope { name, version, attributes, .. }) = &scope.scope {
        fields.object("scope", |fields| {
            fields.text("name", name);
            fields.text("version", version);
            fields.list("attributes", attributes, key_value);
        });
    }
    fields.list("metrics", &scope.metrics, metric);
    fields.text("schemaUrl", &scope.schema_url);
}

fn metric(fields: &mut Fields<'_>, metric: &Metric) {
    fields.text("name", &metric.name);
    fields.text("description", &metric.description);
    fields.text("unit", &metric.unit);
    match &metric.data {
        None | Some(Data::Summary(_)) => {}
        Some(Data::Gauge(gauge)) => {
            fields.object("gauge", |fields| fields.list("dataPoints", &gauge.data_points, number));
        }
        Some(Data::Sum(sum)) => fields.object("sum", |fields| {
            fields.list("dataPoints", &sum.data_points, number);
            fields.small("aggregationTemporality", sum.aggregation_temporality);
            fields.switch("isMonotonic", sum.is_monotonic);
        }),
        Some(Data::Histogram(histogram)) => fields.object("histogram", |fields| {
            fields.list("dataPoints", &histogram.data_points, explicit);
            fields.small("aggregationTemporality", histogram.aggregation_temporality);
        }),
        Some(Data::ExponentialHistogram(histogram)) => fields.object("exponentialHistogram", |fields| {
            fields.list("dataPoints", &histogram.data_points, exponential);
            fields.small("aggregationTemporality", histogram.aggregation_temporality);
        }),
    }
}

fn number(fields: &mut Fields<'_>, point: &NumberDataPoint) {
    fields.list("attributes", &point.attributes, key_value);
    fields.large("startTimeUnixNano", point.start_time_unix_nano);
    fields.large("timeUnixNano", point.time_unix_nano);
    match point.value {
        None => {}
        // Of a oneof also the default says which field is meant.
        Some(number_data_point::Value::AsInt(value)) => fields.raw("asInt", format_args!("\"{value}\"")),
        Some(number_data_point::Value::AsDouble(value)) => fields.double("asDouble", Some(value)),
    }
    fields.list("exemplars", &point.exemplars, exemplar);
    fields.small("flags", point.flags);
}

fn explicit(fields: &mut Fields<'_>, point: &HistogramDataPoint) {
    fields.list("attributes", &point.attributes, key_value);
    fields.large("startTimeUnixNano", point.start_time_unix_nano);
    fields.large("timeUnixNano", point.time_unix_nano);
    fields.large("count", point.count);
    fields.double("sum", point.sum);
    fields.each("bucketCounts", &point.bucket_counts, |out, count| write(out, format_args!("\"{count}\"")));
    fields.each("explicitBounds", &point.explicit_bounds, |out, bound| double(out, *bound));
    fields.list("exemplars", &point.exemplars, exemplar);
    fields.small("flags", point.flags);
    fields.double("min", point.min);
    fields.double("max", point.max);
}

fn exponential(fields: &mut Fields<'_>, point: &ExponentialHistogramDataPoint) {
    fields.list("attributes", &point.attributes, key_value);
    fields.large("startTimeUnixNano", point.start_time_unix_nano);
    fields.large("timeUnixNano", point.time_unix_nano);
    fields.large("count", point.count);
    fields.double("sum", point.sum);
    fields.small("scale", point.scale);
    fields.large("zeroCount", point.zero_count);
    for (name, buckets) in [("positive", &point.positive), ("negative", &point.negative)] {
        if let Some(Buckets { offset, bucket_counts }) = buckets {
            fields.object(name, |fields| {
                fields.small("offset", *offset);
                fields.each("bucketCounts", bucket_counts, |out, count| write(out, format_args!("\"{count}\"")));
            });
        }
    }
    fields.small("flags", point.flags);
    fields.list("exemplars", &point.exemplars, exemplar);
    fields.double("min", point.min);
    fields.double("max", point.max);
    fields.double("zeroThreshold", Some(point.zero_threshold).filter(|threshold| *threshold != 0.0));
}

fn exemplar(fields: &mut Fields<'_>, exemplar: &Exemplar) {
    fields.list("filteredAttributes", &exemplar.filtered_attributes, key_value);
    fields.large("timeUnixNano", exemplar.time_unix_nano);
    match exemplar.value {
        None => {}
        Some(exemplar::Value::AsInt(value)) => fields.raw("asInt", format_args!("\"{value}\"")),
        Some(exemplar::Value::AsDouble(value)) => fields.double("asDouble", Some(value)),
    }
}

/// An attribute. Ours are all of text.
fn key_value(fields: &mut Fields<'_>, attribute: &KeyValue) {
    fields.text("key", &attribute.key);
    if let Some(AnyValue { value: Some(AnyValueKind::StringValue(text)) }) = &attribute.value {
        fields.object("value", |fields| {
            fields.key("stringValue");
            string(fields.out, text);
        });
    }
}

/// The fields of an object that is being written.
struct Fields<'a> {
    out: &'a mut Vec<u8>,
    any: bool,
}

fn object(out: &mut Vec<u8>, inside: impl FnOnce(&mut Fields<'_>)) {
    out.push(b'{');
    inside(&mut Fields { out, any: false });
    out.push(b'}');
}

impl Fields<'_> {
    fn key(&mut self, name: &str) {
        let comma = if std::mem::replace(&mut self.any, true) { "," } else { "" };
        write(self.out, format_args!("{comma}\"{name}\":"));
    }

    fn raw(&mut self, name: &str, value: std::fmt::Arguments<'_>) {
        self.key(name);
        write(self.out, value);
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.key(name);
            string(self.out, value);
        }
    }

    fn large(&mut self, name: &str, value: u64) {
        if value != 0 {
            self.raw(name, format_args!("\"{value}\""));
        }
    }

    fn small(&mut self, name: &str, value: impl Into<i64>) {
        let value = value.into();
        if value != 0 {
            self.raw(name, format_args!("{value}"));
        }
    }

    fn switch(&mut self, name: &str, value: bool) {
        if value {
            self.raw(name, format_args!("true"));
        }
    }

    fn double(&mut self, name: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.key(name);
            double(self.out, value);
        }
    }

    fn object(&mut self, name: &str, inside: impl FnOnce(&mut Fields<'_>)) {
        self.key(name);
        object(self.out, inside);
    }

    fn list<T>(&mut self, name: &str, items: &[T], inside: impl Fn(&mut Fields<'_>, &T)) {
        self.each(name, items, |out, item| object(out, |fields| inside(fields, item)));
    }

    fn each<T>(&mut self, name: &str, items: &[T], one: impl Fn(&mut Vec<u8>, &T)) {
        if items.is_empty() {
            return;
        }
        self.key(name);
        for (index, item) in items.iter().enumerate() {
            self.out.push(if index == 0 { b'[' } else { b',' });
            one(self.out, item);
        }
        self.out.push(b']');
    }
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    std::io::Write::write_fmt(out, text).expect("writing to memory does not fail");
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text can always be written");
}

fn double(out: &mut Vec<u8>, value: f64) {
    match value {
        value if value.is_nan() => out.extend(b"\"NaN\""),
        f64::INFINITY => out.extend(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend(b"\"-Infinity\""),
        value => serde_json::to_writer(out, &value).expect("numbers can always be written"),
    }
}

#[cfg(test)]
pub(crate) mod tests;
