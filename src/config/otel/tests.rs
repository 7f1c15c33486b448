use super::*;

fn standard(pairs: &[(&str, &str)]) -> Standard {
    read(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

fn texts(layer: &Layer) -> Vec<(&'static str, &str)> {
    layer.iter().map(|(key, given)| (*key, given.text.as_str())).collect()
}

#[test]
fn variables_become_settings() {
    let standard = standard(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/"),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://other/push?x"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "30000"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "BASE2_EXPONENTIAL_BUCKET_HISTOGRAM"),
    ]);
    assert_eq!(
        texts(&standard.of_metrics),
        [
            ("otlp.endpoint", "http://other/push?x"),
            ("otlp.histograms", "exponential"),
            ("otlp.interval", "30000ms"),
            ("otlp.protocol", "http/protobuf"),
        ]
    );
    assert_eq!(
        texts(&standard.of_all),
        [("otlp.endpoint", "http://collector:4318"), ("otlp.protocol", "grpc"), ("otlp.timeout", "1500ms")]
    );
    assert!(standard.warnings.is_empty());
}

#[test]
fn empty_is_not_set() {
    let names = OF_METRICS.iter().chain(&OF_ALL).map(|rule| rule.0);
    let names = names.chain(["OTEL_SDK_DISABLED", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"]).chain(UNHEEDED);
    let standard = standard(&names.map(|name| (name, " ")).collect::<Vec<_>>());
    assert!(standard.of_metrics.is_empty() && standard.of_all.is_empty() && standard.resource.is_empty());
    assert!(standard.warnings.is_empty() && standard.warnings_when_pushing.is_empty());
}

#[test]
fn what_makes_no_sense_is_warned_about() {
    for (name, text, warning) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector", "\"collector\" is ignored: an absolute URL"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://me:pw@c",
            "\"http://<secret>@c\" is ignored: credentials do not belong",
        ),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "ftp://c", "\"ftp://c\" is ignored: an absolute URL"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "\"http/json\" is ignored: http/protobuf or grpc is wanted"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "\"10s\" is ignored: a whole number of milliseconds"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "\"0\" is ignored: a whole number of milliseconds"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "sum", "\"sum\" is ignored: explicit_bucket"),
        ("OTEL_SDK_DISABLED", "yes", "\"yes\" is ignored: true or false is wanted"),
    ] {
        let standard = standard(&[(name, text)]);
        let wanted = format!("{name} = {warning}");
        assert!(standard.warnings.len() == 1 && standard.warnings[0].starts_with(&wanted), "{:?}", standard.warnings);
        assert!(standard.of_metrics.is_empty() && standard.of_all.is_empty() && !standard.disabled);
    }
}

#[test]
fn headers_are_decoded_and_kept_secret() {
    let both = standard(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "general=1"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
            " Authorization = Basic%20aHVudGVyMg== ,,x-team=a%2Cb, hunter2, b=%zz, =c, d=%0a",
        ),
    ]);
    let headers: Vec<_> = both.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("authorization", "Basic aHVudGVyMg=="), ("x-team", "a,b")]);
    assert!(!format!("{:?}", both.headers).contains("aHVudGVyMg"));
    assert_eq!(both.warnings.len(), 4);
    assert_eq!(both.warnings[0], "OTEL_EXPORTER_OTLP_METRICS_HEADERS: entry 3 is ignored: it is not key=value");
    assert_eq!(standard(&[("OTEL_EXPORTER_OTLP_HEADERS", "general=1")]).headers[0].0, "general");
}

#[test]
fn the_service_name_outranks_the_attributes() {
    let named = standard(&[
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a, deployment.environment = caf%C3%A9"),
        ("OTEL_SERVICE_NAME", "b"),
    ]);
    let pairs: Vec<_> = named.resource.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("deployment.environment", "café"), ("service.name", "b")]);
}

#[test]
fn attributes_are_taken_all_or_not_at_all() {
    let broken = standard(&[("OTEL_RESOURCE_ATTRIBUTES", "a=b,c")]);
    assert!(broken.resource.is_empty());
    assert_eq!(broken.warnings, ["OTEL_RESOURCE_ATTRIBUTES is ignored: entry 2 is not key=value, percent-encoded"]);
}

#[test]
fn what_is_not_built_yet_is_said() {
    let standard = standard(&[
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Cumulative"),
        ("OTEL_SDK_DISABLED", "TRUE"),
    ]);
    assert!(standard.disabled);
    assert_eq!(
        standard.warnings_when_pushing,
        ["OTEL_EXPORTER_OTLP_COMPRESSION is ignored: this version does not support it"]
    );
}
