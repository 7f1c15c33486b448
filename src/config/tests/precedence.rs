//! Who is heard when several speak.

use std::fmt::Write;

use super::*;

/// Every setting with two values other than its default.
const VALUES: &[(&str, &str, &str)] = &[
    ("api.url", "http://a", "http://b"),
    ("api.dialect", "external-get", "metrics-post"),
    ("api.path", "/a", "/b"),
    ("api.client_id", "a", "b"),
    ("api.client_secret", "a", "b"),
    ("api.client_secret_file", "a", "b"),
    ("api.ca_file", "a", "b"),
    ("api.client_certificate_file", "a", "b"),
    ("api.client_key_file", "a", "b"),
    ("api.auth", "raw", "basic"),
    ("api.timezone", "UTC", "Europe/Vienna"),
    ("api.page_size", "7", "8"),
    ("api.timeout", "7s", "8s"),
    ("api.requests_per_second", "0.5", "1.5"),
    ("api.account", "a", "b"),
    ("poll.interval", "7s", "8s"),
    ("poll.overlap", "7s", "8s"),
    ("poll.horizon", "8d", "9d"),
    ("poll.sweep_interval", "7s", "8s"),
    ("poll.initial_lookback", "7s", "0s"),
    ("poll.count_initial", "true", "false"),
    ("state.path", "a", "b"),
    ("web.listen_address", "a:1", "b:2"),
    ("web.systemd_socket", "true", "false"),
    ("web.config_file", "w", "v"),
    ("web.open_probes", "true", "false"),
    ("web.telemetry_path", "/a", "/b"),
    ("web.openmetrics_created", "true", "false"),
    ("web.enable_reload", "true", "false"),
    ("otlp.endpoint", "http://a", "http://b"),
    ("otlp.protocol", "grpc", "http/protobuf"),
    ("otlp.interval", "7s", "8s"),
    ("otlp.timeout", "7s", "8s"),
    ("otlp.temporality", "delta", "cumulative"),
    ("otlp.histograms", "exponential", "explicit"),
    ("otlp.traces", "true", "false"),
    ("metrics.reply_time_buckets", "7s, 8s", "9s"),
    ("metrics.duration_buckets", "7s, 8s", "9s"),
    ("metrics.native_histogram_schema", "-4", "8"),
    ("metrics.reply_target", "7s", "8s"),
    ("metrics.reply_target_excluded_origins", "ticket, none", "broadcast"),
    ("metrics.recent_window", "7s", "8s"),
    ("metrics.max_label_sets", "7", "8"),
    ("metrics.stale_after", "70s", "80s"),
    ("metrics.forget_pairs_after", "8d", "9d"),
    ("log.level", "debug", "warn"),
    ("log.format", "json", "logfmt"),
];

/// How the settings come out, as text that two cases can be compared by. Credentials are optional here.
fn seen(case: Case) -> String {
    // Whether traces are wanted is seen only where there is somewhere to send them.
    let case = case.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces").holds("w", "").holds("v", "");
    let mut config = case.profile(Profile { needs_credentials: false, ..Profile::RUN }).config();
    config.warnings.clear();
    config.api.timezone = jiff::tz::TimeZone::UTC;
    let secret = config.api.client_secret.as_ref().map(|secret| secret.expose().to_owned());
    let mut text = format!("{config:#?}");
    write!(text, "{secret:?}").unwrap();
    text
}

fn yaml(key: &str, value: &str) -> &'static str {
    let (section, name) = key.split_once('.').unwrap();
    let quote = if settings::setting(key).unwrap().kind.is_text() { "'" } else { "" };
    format!("{section}:\n  {name}: {quote}{value}{quote}\n").leak()
}

#[test]
fn every_setting_is_heard_from_every_place() {
    assert_eq!(VALUES.len(), SETTINGS.len());
    let default = seen(bare());
    for (key, first, _) in VALUES {
        let setting = settings::setting(key).unwrap();
        let by_env = seen(bare().env(&setting.env(), first));
        assert_ne!(by_env, default, "{key}");
        assert_eq!(seen(bare().file(yaml(key, first))), by_env, "{key}");
        if !setting.secret {
            assert_eq!(seen(bare().flag(setting.key, first)), by_env, "{key}");
        }
        if setting.kind.is_list() {
            let (section, name) = key.split_once('.').unwrap();
            let list = format!("{section}: {{{name}: [{first}]}}").leak();
            assert_eq!(seen(bare().file(list)), by_env, "{key}");
        }
    }
}

#[test]
fn flags_outrank_the_environment_and_that_the_file() {
    for (key, first, second) in VALUES {
        let setting = settings::setting(key).unwrap();
        let (env, wanted) = (setting.env(), seen(bare().env(&setting.env(), first)));
        assert_eq!(seen(bare().env(&env, first).file(yaml(key, second))), wanted, "{key}");
        if !setting.secret {
            assert_eq!(
                seen(bare().flag(setting.key, first).env(&env, second).file(yaml(key, second))),
                wanted,
                "{key}"
            );
        }
    }
}

#[test]
fn standard_variables_stand_between_environment_and_file() {
    let url = |case: &Case| case.config().otlp.endpoint.unwrap().url;
    let case = case().file("otlp: {endpoint: 'http://file', timeout: 1s}");
    assert_eq!(url(&case), "http://file");
    let case = case.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general").env("OTEL_EXPORTER_OTLP_TIMEOUT", "2000");
    assert_eq!(url(&case), "http://general");
    assert_eq!(case.config().otlp.timeout.as_secs(), 2);
    let case = case.env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics/");
    assert_eq!(url(&case), "http://metrics/");
    let case = case.env("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "3000");
    assert_eq!(case.config().otlp.timeout.as_secs(), 3);
    let case = case.env("JELOU_EXPORTER_OTLP_ENDPOINT", "http://own");
    assert_eq!(url(&case), "http://own");
    assert!(!case.config().otlp.endpoint.unwrap().exact);
    assert_eq!(url(&case.flag("otlp.endpoint", "http://flag")), "http://flag");
}

#[test]
fn an_empty_standard_variable_says_nothing() {
    let case = case().file("otlp: {endpoint: 'http://file'}").env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "");
    assert_eq!(case.config().otlp.endpoint.unwrap().url, "http://file");
}
