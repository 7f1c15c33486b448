use hyper::header::HeaderValue;

use super::*;

fn headers(name: hyper::header::HeaderName, value: Option<&str>) -> HeaderMap {
    value.map(|value| (name, HeaderValue::from_str(value).unwrap())).into_iter().collect()
}

fn format_of(accept: &str) -> Format {
    format(&headers(ACCEPT, Some(accept))).format
}

fn coding_of(accept: &str) -> Option<Coding> {
    coding(&headers(ACCEPT_ENCODING, Some(accept)))
}

/// What scrapers send, and what they are to get.
#[test]
fn real_scrapers_get_what_they_want_most() {
    const PROMETHEUS_2_NATIVE: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_2_5: &str = "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_3_NATIVE: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    const PROMETHEUS_3_NEXT: &str = "application/openmetrics-text;version=2.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4";
    const PROMETHEUS_3_TEXT: &str =
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.7,text/plain;version=0.0.4;q=0.6,*/*;q=0.5";
    const VICTORIA_METRICS: &str = "text/plain;version=0.0.4;q=1,*/*;q=0.1";
    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    const JAVA: &str = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";
    for (accept, wanted) in [
        (PROMETHEUS_2_NATIVE, Format::Protobuf),
        (PROMETHEUS_2, Format::OpenMetrics),
        (PROMETHEUS_2_5, Format::Text),
        (PROMETHEUS_3_NATIVE, Format::Protobuf),
        (PROMETHEUS_3, Format::OpenMetrics),
        (PROMETHEUS_3_NEXT, Format::OpenMetrics),
        (PROMETHEUS_3_TEXT, Format::Text),
        (VICTORIA_METRICS, Format::Text),
        (BROWSER, Format::Text),
        (JAVA, Format::Text),
        ("*/*", Format::Text),
    ] {
        assert_eq!(format_of(accept), wanted, "{accept}");
    }
    let content_type = |accept| format(&headers(ACCEPT, Some(accept))).content_type();
    assert_eq!(
        content_type(PROMETHEUS_3),
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
    );
    assert_eq!(
        content_type(PROMETHEUS_3_NATIVE),
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    );
    assert_eq!(content_type(PROMETHEUS_2), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(content_type("text/plain;escaping=dots"), "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(content_type("text/plain;escaping=Values"), "text/plain; version=0.0.4; charset=utf-8; escaping=values");
}

#[test]
fn weights_versions_and_wildcards_decide() {
    for (accept, wanted) in [
        ("application/openmetrics-text", Format::OpenMetrics),
        ("Application/OpenMetrics-Text; Version=\"1.0.0\"; Charset=UTF-8", Format::OpenMetrics),
        ("application/openmetrics-text;version=2.0.0", Format::Text),
        ("application/openmetrics-text;version=1.0.0;charset=latin-1", Format::Text),
        ("application/vnd.google.protobuf", Format::Protobuf),
        ("application/vnd.google.protobuf;proto=other;encoding=delimited", Format::Text),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", Format::Text),
        // At equal weight: what was named, then what was named first.
        ("*/*,application/openmetrics-text", Format::OpenMetrics),
        ("application/openmetrics-text,text/plain", Format::OpenMetrics),
        ("text/plain,application/openmetrics-text", Format::Text),
        ("application/*", Format::OpenMetrics),
        ("application/*,text/*", Format::OpenMetrics),
        ("text/*,application/*", Format::Text),
        // The most precise range decides about a format, though another is kinder.
        ("text/plain;version=0.0.4;q=0.1,text/plain;q=0.9,application/openmetrics-text;q=0.5", Format::OpenMetrics),
        ("text/*;q=0.3,text/plain;q=0,*/*;q=0.2", Format::OpenMetrics),
        ("text/plain;q=0,*/*", Format::OpenMetrics),
        ("text/plain;q=0,application/openmetrics-text;q=0,*/*", Format::Protobuf),
        ("application/openmetrics-text;q=0", Format::Text),
        // Nothing of ours, or nothing that can be understood.
        ("image/png", Format::Text),
        ("*/*;q=0", Format::Text),
        ("", Format::Text),
        (";;;,,,", Format::Text),
        ("application/openmetrics-text;q=oops", Format::Text),
        ("application/openmetrics-text;version=\"1.0.0", Format::Text),
        // Parameters that nothing is known of do not matter.
        ("application/openmetrics-text;version=1.0.0;x=y", Format::OpenMetrics),
    ] {
        assert_eq!(format_of(accept), wanted, "{accept}");
    }
    assert_eq!(format(&HeaderMap::new()).format, Format::Text);
}

#[test]
fn several_lines_are_one_list() {
    let mut headers = headers(ACCEPT, Some("text/plain;q=0.5"));
    headers.append(ACCEPT, HeaderValue::from_static("application/openmetrics-text"));
    assert_eq!(format(&headers).format, Format::OpenMetrics);
}

#[test]
fn codings_are_chosen_by_weight_and_identity_unless_refused() {
    for (accept, wanted) in [
        ("gzip", Some(Coding::Gzip)),
        ("x-gzip", Some(Coding::Gzip)),
        ("GZIP;q=0.5", Some(Coding::Gzip)),
        ("zstd,gzip", Some(Coding::Zstd)),
        ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
        ("gzip;q=1.0, zstd;q=0.5", Some(Coding::Gzip)),
        ("deflate, br", Some(Coding::Identity)),
        ("", Some(Coding::Identity)),
        ("identity", Some(Coding::Identity)),
        ("gzip;q=0.5, identity", Some(Coding::Identity)),
        ("gzip, identity;q=0.5", Some(Coding::Gzip)),
        ("gzip;q=0", Some(Coding::Identity)),
        ("gzip;q=0, *", Some(Coding::Zstd)),
        ("*", Some(Coding::Zstd)),
        ("*;q=0", None),
        ("*;q=0, gzip", Some(Coding::Gzip)),
        ("*;q=0, identity;q=0.1", Some(Coding::Identity)),
        ("identity;q=0", None),
        ("identity;q=0, br", None),
        ("identity;q=0, *", Some(Coding::Zstd)),
        ("identity;q=0, gzip;q=0.1", Some(Coding::Gzip)),
        ("gzip;q=nonsense", Some(Coding::Identity)),
    ] {
        assert_eq!(coding_of(accept), wanted, "{accept}");
    }
    assert_eq!(coding(&HeaderMap::new()), Some(Coding::Identity));
}
