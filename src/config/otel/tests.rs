use super::*;

fn standard(pairs: &[(&str, &str)]) -> Standard {
    read(&environment(pairs), None, None, &[])
}

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
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
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "HTTP/JSON"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "30000"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "BASE2_EXPONENTIAL_BUCKET_HISTOGRAM"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"),
    ]);
    assert_eq!(
        texts(&standard.of_metrics),
        [
            ("otlp.endpoint", "http://other/push?x"),
            ("otlp.histograms", "exponential"),
            ("otlp.interval", "30000ms"),
            ("otlp.protocol", "http/json"),
            ("otlp.temporality", "delta"),
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
    let signals = ["ENDPOINT", "PROTOCOL", "TIMEOUT", "HEADERS", "COMPRESSION", "INSECURE", "CERTIFICATE"];
    let signals = signals.into_iter().chain(["CLIENT_CERTIFICATE", "CLIENT_KEY"]);
    let mut names: Vec<String> = signals.flat_map(|what| [of_metrics(what), of_all(what)]).collect();
    names.extend(OF_METRICS.iter().map(|rule| rule.0.to_owned()));
    names.extend(
        ["SDK_DISABLED", "RESOURCE_ATTRIBUTES", "SERVICE_NAME", "METRIC_EXPORT_TIMEOUT", "METRICS_EXPORTER"]
            .map(|what| format!("OTEL_{what}")),
    );
    let empty = standard(&names.iter().map(|name| (&**name, " ")).collect::<Vec<_>>());
    assert!(empty.of_metrics.is_empty() && empty.of_all.is_empty() && empty.resource.is_empty());
    assert_eq!((empty.disabled, empty.insecure, empty.export_timeout), (None, None, None));
    assert_eq!((empty.certificate, empty.client_certificate, empty.client_key), (None, None, None));
    assert_eq!((empty.compression, empty.warnings.len()), (OtlpCompression::None, 0));
}

#[test]
fn metrics_go_before_every_signal() {
    let both = standard(&[
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_INSECURE", "TRUE"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
        ("OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", "metrics-ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "client.pem"),
        ("OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", "key.pem"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "2500"),
    ]);
    assert_eq!((both.compression, both.insecure), (OtlpCompression::None, Some(true)));
    assert_eq!(both.export_timeout, Some(Duration::from_millis(2500)));
    let files = [both.certificate, both.client_certificate, both.client_key].map(|file| {
        let NamedFile { variable, path } = file.unwrap();
        format!("{variable} {}", path.display())
    });
    assert_eq!(
        files,
        [
            "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE metrics-ca.pem",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE client.pem",
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY key.pem",
        ]
    );
    // One that makes no sense does not hide the general one.
    let both =
        standard(&[("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"), ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "zip")]);
    assert_eq!((both.compression, both.warnings.len()), (OtlpCompression::Gzip, 1));
}

#[test]
fn no_limit_is_longer_than_anything_takes() {
    let none = standard(&[("OTEL_EXPORTER_OTLP_TIMEOUT", "0"), ("OTEL_METRIC_EXPORT_TIMEOUT", "0")]);
    assert_eq!(texts(&none.of_all), [("otlp.timeout", "24h")]);
    assert_eq!((none.export_timeout, none.warnings.len()), (None, 0));
}

#[test]
fn a_target_without_a_scheme_is_for_grpc_alone() {
    let env = environment(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")]);
    for (over, own, under, taken) in [
        (None, None, None, false),
        (Some("grpc"), Some("http/json"), None, true),
        (None, Some("grpc"), Some("http/json"), true),
        (None, None, Some("grpc"), true),
        (Some("http/protobuf"), Some("grpc"), Some("grpc"), false),
    ] {
        let mut env = env.clone();
        env.extend(own.map(|own| ("OTEL_EXPORTER_OTLP_PROTOCOL".to_owned(), own.to_owned())));
        let standard = read(&env, over, under, &[]);
        assert_eq!(standard.of_all.contains_key("otlp.endpoint"), taken, "{over:?} {own:?} {under:?}");
        assert_eq!(standard.warnings.is_empty(), taken);
    }
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
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "json", "\"json\" is ignored: http/protobuf, grpc or http/json is wanted"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "\"zstd\" is ignored: gzip or none is wanted"),
        ("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "yes", "\"yes\" is ignored: true or false is wanted"),
        ("OTEL_METRIC_EXPORT_TIMEOUT", "-1", "\"-1\" is ignored: a whole number of milliseconds"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            "high",
            "\"high\" is ignored: cumulative, delta or lowmemory",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "\"10s\" is ignored: a whole number of milliseconds"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "\"0\" is ignored: a whole number of milliseconds"),
        ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "sum", "\"sum\" is ignored: explicit_bucket"),
        ("OTEL_SDK_DISABLED", "yes", "\"yes\" is ignored: true or false is wanted"),
    ] {
        let standard = standard(&[(name, text)]);
        let wanted = format!("{name} = {warning}");
        assert!(standard.warnings.len() == 1 && standard.warnings[0].starts_with(&wanted), "{:?}", standard.warnings);
        assert!(standard.of_metrics.is_empty() && standard.of_all.is_empty() && standard.disabled.is_none());
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
fn pushing_can_be_switched_off() {
    for (name, text, off) in [
        ("OTEL_SDK_DISABLED", "TRUE", true),
        ("OTEL_SDK_DISABLED", "false", false),
        ("OTEL_METRICS_EXPORTER", "none", true),
        ("OTEL_METRICS_EXPORTER", "prometheus, OTLP", false),
    ] {
        assert_eq!(standard(&[(name, text)]).disabled.is_some(), off, "{name}={text}");
    }
}
