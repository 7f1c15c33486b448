//! What cannot be used, and what is said about it.

use proptest::prelude::*;

use super::*;

#[test]
fn each_bad_value_is_refused_with_its_key_and_a_way_out() {
    for (key, value, said) in [
        ("api.url", "", "an absolute URL like https://host:port is wanted"),
        (
            "api.url",
            "api.jelou.ai",
            "an absolute URL like https://host:port is wanted; this one begins without https://",
        ),
        ("api.url", "ftp://x", "an absolute URL like https://host:port is wanted"),
        ("api.url", "https://x?y", "a base URL has neither query nor fragment"),
        ("api.url", "https://x#y", "a base URL has neither query nor fragment"),
        ("api.url", "https://u:p@x", "credentials do not belong in the URL"),
        ("api.dialect", "soap", "one of metrics-post, external-get is wanted"),
        ("api.path", "x", "it must begin with a slash"),
        ("api.path", "/x?y", "a plain path is wanted"),
        ("api.auth", "digest", "one of basic, raw is wanted"),
        ("api.timezone", "America/Guayaqil", "no time zone of this name is known; did you mean \"America/Guayaquil\"?"),
        ("api.timezone", "Guayaquil", "no time zone of this name is known; did you mean \"America/Guayaquil\"?"),
        ("api.timezone", "Europe/Viena", "no time zone of this name is known; did you mean \"Europe/Vienna\"?"),
        ("api.timezone", "America/Quito", "no time zone of this name is known; did you mean \"America/Guayaquil\"?"),
        ("api.timezone", "Ecuador", "no time zone of this name is known; did you mean \"America/Guayaquil\"?"),
        (
            "api.timezone",
            "america/mexico city",
            "no time zone of this name is known; did you mean \"America/Mexico_City\"?",
        ),
        ("api.timezone", "Buenos Aires", "no time zone of this name is known; did you mean \"America/"),
        ("api.timezone", "Mars/Olympus", "no time zone of this name is known; names are those of the IANA, like"),
        ("api.timezone", "GMT-5", "the name of a zone is wanted, like America/Guayaquil, not an offset"),
        ("api.timezone", "-05:00", "the name of a zone is wanted, like America/Guayaquil, not an offset"),
        ("api.timezone", "", "it is empty"),
        ("api.page_size", "0", "a whole number from 1 to 1000 is wanted"),
        ("api.page_size", "1001", "a whole number from 1 to 1000 is wanted"),
        ("api.page_size", "5.5", "a whole number from 1 to 1000 is wanted"),
        ("api.timeout", "0s", "it must be longer than 0"),
        ("api.timeout", "30", "the unit is missing; write a duration like 250ms, 30s, 5m, 24h, 7d or 1h30m"),
        ("api.requests_per_second", "0", "a number above 0 is wanted"),
        ("api.requests_per_second", "-1", "a number above 0 is wanted"),
        ("api.requests_per_second", "inf", "a number above 0 is wanted"),
        ("api.requests_per_second", "NaN", "a number above 0 is wanted"),
        ("api.requests_per_second", "1e-300", "it must be at least 0.0002"),
        ("api.account", " ", "it is empty"),
        ("poll.interval", "0s", "it must be longer than 0"),
        ("poll.overlap", "999ms", "it must be at least 1s"),
        ("poll.overlap", "7d", "it must be shorter than poll.horizon (7d)"),
        ("poll.sweep_interval", "0s", "it must be longer than 0"),
        ("poll.initial_lookback", "7d1s", "it must be at most poll.horizon (7d)"),
        ("poll.count_initial", "yes", "true or false is wanted"),
        ("state.path", "/var/lib/", "the path of a file is wanted, not of a folder"),
        ("web.listen_address", "10110", "host:port is wanted"),
        ("web.listen_address", "x:99999", "host:port is wanted"),
        ("web.listen_address", "x:1,x:1", "\"x:1\" is given twice"),
        ("web.systemd_socket", "yes", "true or false is wanted"),
        ("web.open_probes", "all", "true or false is wanted"),
        ("web.telemetry_path", "metrics", "it must begin with a slash"),
        ("web.telemetry_path", "", "it must begin with a slash"),
        ("web.telemetry_path", "/", "something else is served there; /metrics is usual"),
        ("web.telemetry_path", "/-/healthy", "something else is served there"),
        ("web.telemetry_path", "/-/ready", "something else is served there"),
        ("web.telemetry_path", "/-/reload", "something else is served there"),
        (
            "otlp.endpoint",
            "collector:4317",
            "an absolute URL like https://host:port is wanted; this one begins without",
        ),
        ("otlp.protocol", "json", "one of http/protobuf, grpc, http/json is wanted"),
        ("otlp.interval", "0s", "it must be longer than 0"),
        ("otlp.timeout", "10", "the unit is missing"),
        ("otlp.temporality", "Delta", "one of cumulative, delta is wanted"),
        ("otlp.histograms", "native", "one of explicit, exponential is wanted"),
        ("metrics.reply_time_buckets", "", "at least one bound is wanted"),
        ("metrics.reply_time_buckets", "5s,5s", "\"5s\": bounds must ascend"),
        ("metrics.duration_buckets", "0s,5s", "every bound must be longer than 0"),
        ("metrics.duration_buckets", "5s,x", "\"x\": a whole number is wanted before each unit"),
        ("metrics.native_histogram_schema", "9", "a whole number from -4 to 8 is wanted"),
        ("metrics.native_histogram_schema", "-5", "a whole number from -4 to 8 is wanted"),
        ("metrics.reply_target", "0s", "it must be longer than 0"),
        ("metrics.reply_target_excluded_origins", "brodcast", "\"brodcast\" is no origin; did you mean broadcast?"),
        ("metrics.reply_target_excluded_origins", "ticket,", "\"\" is no origin; known are organic, ticket"),
        ("metrics.recent_window", "0s", "it must be longer than 0"),
        ("metrics.max_label_sets", "1", "a whole number from 2 to 1000000 is wanted"),
        ("metrics.stale_after", "0s", "it must be longer than 0"),
        ("metrics.forget_pairs_after", "0s", "it must be longer than 0"),
        ("log.level", "loud", "one of error, warn, info, debug, trace is wanted"),
        ("log.format", "xml", "one of logfmt, json is wanted"),
    ] {
        let setting = settings::setting(key).unwrap();
        let problems = case().env(&setting.env(), value).problems();
        let wanted = format!("{key} = {} ({}): {said}", given::shown(setting, value), setting.env());
        assert!(problems.len() == 1 && problems[0].starts_with(&wanted), "wanted {wanted}\ngot {problems:#?}");
    }
}

#[test]
fn what_is_wrong_with_the_web_configuration_is_said_among_the_rest() {
    let web = "tls_server_config: {cert_file: /no, min_version: TLS10}\nbasic_auth_users: {ada: hunter2}\nrates: 5\n";
    let problems =
        case().flag("web.config_file", "etc/w.yml").holds("etc/w.yml", web).flag("log.level", "loud").problems();
    insta::assert_snapshot!(problems.join("\n"), @r#"
    rates (etc/w.yml): unknown key; known are tls_server_config, http_server_config, basic_auth_users, rate_limit
    tls_server_config.key_file (etc/w.yml): this or tls_server_config.key is wanted
    tls_server_config.cert_file = "/no" (etc/w.yml): the file cannot be read: entity not found
    tls_server_config.min_version = "TLS10" (etc/w.yml): TLS 1.0 and 1.1 are broken and not spoken here; write TLS12, or leave the key out
    basic_auth_users.ada (etc/w.yml): a bcrypt hash of the password is wanted; make one with `htpasswd -nBC 10 "" | tr -d ':\n'` (this is none: Invalid hash: the hash format is malformed; expected 60 ASCII bytes)
    log.level = "loud" (--log.level): one of error, warn, info, debug, trace is wanted
    "#);
    let missing = case().flag("web.config_file", "no.yml").problems();
    assert_eq!(missing, ["web.config_file (no.yml): the file cannot be read: entity not found"]);
    // A file beside it is found by its name alone.
    let near = case().flag("web.config_file", "etc/w.yml").holds("etc/w.yml", "tls_server_config: {cert_file: c}\n");
    assert!(
        near.holds("etc/c", "x")
            .problems()
            .iter()
            .any(|problem| problem.contains("\"etc/c\" (etc/w.yml): no certificate in PEM"))
    );
    let warned = case().flag("web.systemd_socket", "true").flag("web.listen_address", ":1").config();
    assert_eq!(warned.warnings, ["web.listen_address is ignored: web.systemd_socket is on"]);
}

#[test]
fn credentials_are_wanted_exactly_once() {
    let id = || bare().env("JELOU_EXPORTER_API_CLIENT_ID", "me");
    assert_eq!(
        bare().problems(),
        [
            "api.client_id: it is missing: set JELOU_EXPORTER_API_CLIENT_ID (demo needs none)",
            "api.client_secret: it is missing: set JELOU_EXPORTER_API_CLIENT_SECRET or api.client_secret_file",
        ]
    );
    assert_eq!(
        case().flag("api.client_secret_file", "s").problems(),
        ["api.client_secret_file = \"s\" (--api.client-secret-file): \
          api.client_secret is given too; keep one and set the other to \"\""]
    );
    assert_eq!(
        id().flag("api.client_secret_file", "/no").problems(),
        ["api.client_secret_file = \"/no\" (--api.client-secret-file): the file cannot be read: entity not found"]
    );
    assert_eq!(
        id().flag("api.client_secret_file", "s").secret_file("\n").problems(),
        ["api.client_secret_file = \"s\" (--api.client-secret-file): what the file holds cannot be used: it is empty"]
    );
    let config = id().flag("api.client_secret_file", "s").config();
    assert_eq!(config.api.client_secret_file, Some("s".into()));
    assert_eq!(config.api.client_secret, None);
}

#[test]
fn a_credential_that_yaml_takes_for_something_else_is_one_problem() {
    let in_file = |text| bare().file(text).problems();
    let both = in_file("api: {client_id: 1.234567e+06, client_secret: 0x10}");
    assert_eq!(
        both,
        [
            "api.client_id = \"1.234567e+06\" (c.yml): YAML takes this for a number or a truth value; put it in quotes",
            "api.client_secret = <secret> (c.yml): YAML takes this for a number or a truth value; put it in quotes",
        ]
    );
    assert_eq!(in_file("api: {client_id: 5, client_secret_file: [s]}").len(), 1);
    assert_eq!(in_file("api: {client_id: 5, client_secret: [s]}").len(), 1);
    let config = bare().file("api: {client_id: 0123, client_secret: 456}").config();
    assert_eq!(config.api.client_id.as_deref(), Some("0123"));
    assert_eq!(config.api.client_secret.unwrap().expose(), "456");
}

#[test]
fn credentials_that_cannot_be_sent_are_refused() {
    assert_eq!(
        case().env("JELOU_EXPORTER_API_CLIENT_ID", "me:hunter2").problems(),
        [
            "api.client_id (JELOU_EXPORTER_API_CLIENT_ID): it holds a colon; the part after it belongs in api.client_secret"
        ]
    );
    let secret = "JELOU_EXPORTER_API_CLIENT_SECRET";
    assert_eq!(
        case().env(secret, "a\nb").problems(),
        ["api.client_secret = <secret> (JELOU_EXPORTER_API_CLIENT_SECRET): a secret of one line is wanted"]
    );
    assert!(case().env(secret, "é").read().is_ok());
    assert_eq!(
        case().env(secret, "é").flag("api.auth", "raw").problems(),
        ["api.client_secret = <secret> (JELOU_EXPORTER_API_CLIENT_SECRET): only ASCII can be sent with api.auth raw"]
    );
    assert_eq!(case().env(secret, "x \r\n").config().api.client_secret.unwrap().expose(), "x ");
}

#[test]
fn all_problems_come_out_at_once() {
    let problems = bare()
        .file("api: {ulr: x, page_size: many}\npoll: {interval: 60, overlap: 8d}\nweb: [x]")
        .env("JELOU_EXPORTER_METRICS_MAX_LABELS", "5")
        .env("JELOU_EXPORTER_LOG_LEVEL", "loud")
        .flag("otlp.timeout", "0s")
        .read()
        .unwrap_err();
    insta::assert_snapshot!(problems, @r#"
    the configuration cannot be used (10 problems):
      api.ulr (c.yml): unknown key; did you mean api.url?
      web (c.yml): this is a section: its settings stand below it
      JELOU_EXPORTER_METRICS_MAX_LABELS: unknown environment variable; did you mean JELOU_EXPORTER_METRICS_MAX_LABEL_SETS?
      api.client_id: it is missing: set JELOU_EXPORTER_API_CLIENT_ID (demo needs none)
      api.client_secret: it is missing: set JELOU_EXPORTER_API_CLIENT_SECRET or api.client_secret_file
      api.page_size = "many" (c.yml): a whole number from 1 to 1000 is wanted
      poll.interval = "60" (c.yml): the unit is missing; write a duration like 250ms, 30s, 5m, 24h, 7d or 1h30m
      poll.overlap = "8d" (c.yml): it must be shorter than poll.horizon (7d)
      otlp.timeout = "0s" (--otlp.timeout): it must be longer than 0
      log.level = "loud" (JELOU_EXPORTER_LOG_LEVEL): one of error, warn, info, debug, trace is wanted
    "#);
}

#[test]
fn a_file_that_cannot_be_read_is_not_blamed_for_what_it_may_hold() {
    let problems = bare().file("api: [").flag("api.page_size", "0").problems();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].starts_with("config.file (c.yml): it is not YAML: "));
    assert!(problems[1].starts_with("api.page_size"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_value_makes_it_panic(text in "\\PC*|[0-9smhd, /:.\\[\\]@%=-]{0,20}") {
        for setting in SETTINGS {
            let _ = case().env(&setting.env(), &text).read();
        }
        let names = ["ENDPOINT", "METRICS_ENDPOINT", "TIMEOUT", "HEADERS", "COMPRESSION"].map(|name| format!("OTEL_EXPORTER_OTLP_{name}"));
        let names = names.into_iter().chain(["OTEL_RESOURCE_ATTRIBUTES", "OTEL_METRIC_EXPORT_INTERVAL"].map(str::to_owned));
        // Standard variables never make a configuration unusable.
        prop_assert!(names.fold(case(), |case, name| case.env(&name, &text)).read().is_ok());
    }
}
