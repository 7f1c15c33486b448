//! The whole way from sources to [`Config`].

mod certificates;
mod precedence;
mod refusals;

use super::*;

/// Sources to be filled in by a test. The file `c.yml`, the secret's file `s` and those of `files` can be read, nothing else.
pub(super) struct Case {
    flags: BTreeMap<&'static str, String>,
    env: BTreeMap<String, String>,
    file: Option<&'static str>,
    secret: &'static str,
    files: BTreeMap<&'static str, String>,
    profile: Profile,
}

/// Nothing but credentials.
pub(super) fn case() -> Case {
    bare().env("JELOU_EXPORTER_API_CLIENT_ID", "me").env("JELOU_EXPORTER_API_CLIENT_SECRET", "hunter2")
}

/// Nothing.
pub(super) fn bare() -> Case {
    Case {
        flags: BTreeMap::new(),
        env: BTreeMap::new(),
        file: None,
        secret: "hunter2\n",
        files: BTreeMap::new(),
        profile: Profile::RUN,
    }
}

impl Case {
    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(super) fn flag(mut self, key: &'static str, value: &str) -> Self {
        self.flags.insert(key, value.to_owned());
        self
    }

    pub(super) fn file(self, text: &'static str) -> Self {
        Self { file: Some(text), ..self }
    }

    pub(super) fn secret_file(self, secret: &'static str) -> Self {
        Self { secret, ..self }
    }

    pub(super) fn holds(mut self, file: &'static str, text: &str) -> Self {
        self.files.insert(file, text.to_owned());
        self
    }

    pub(super) fn profile(self, profile: Profile) -> Self {
        Self { profile, ..self }
    }

    pub(super) fn read(&self) -> Result<Config, Problems> {
        let read_file = |path: &Path| match (path.to_str(), self.file) {
            (Some("c.yml"), Some(text)) => Ok(text.to_owned()),
            (Some("s"), _) => Ok(self.secret.to_owned()),
            (name, _) => name.and_then(|name| self.files.get(name).cloned()).ok_or(io::ErrorKind::NotFound.into()),
        };
        let file = self.file.map(|_| PathBuf::from("c.yml"));
        let flags = self.flags.clone();
        Config::read(Sources { flags, env: &self.env, file, read_file: &read_file, profile: self.profile })
    }

    pub(super) fn config(&self) -> Config {
        self.read().unwrap_or_else(|problems| panic!("{problems}"))
    }

    pub(super) fn problems(&self) -> Vec<String> {
        match self.read() {
            Ok(_) => panic!("this should have been refused"),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }
}

#[test]
fn defaults_are_those_of_the_table() {
    let Config { api, poll, state, web, otlp, metrics, log, warnings, notes, texts: _ } = case().config();
    let sections =
        format!("{api:?}\n{poll:?}\n{state:?}\n{web:?}\n{otlp:?}\n{metrics:?}\n{log:?}\n{warnings:?} {notes:?}");
    insta::assert_snapshot!(sections, @r#"
    ApiSettings { url: "https://api.jelou.ai", dialect: MetricsPost, path: None, client_id: Some("me"), client_secret: Some(<secret>), client_secret_file: None, ca_file: None, client_certificate_file: None, client_key_file: None, auth: Basic, timezone: TimeZone(TZif("America/Guayaquil")), timezone_name: "America/Guayaquil", page_size: 50, timeout: 30s, requests_per_second: 2.0, account: "default" }
    PollSettings { interval: 60s, overlap: 600s, horizon: 604800s, sweep_interval: 21600s, initial_lookback: 86400s, count_initial: false }
    StateSettings { path: Some("jelou-exporter.db") }
    WebSettings { listen_addresses: ["0.0.0.0:10110"], systemd_socket: false, config_file: None, open_probes: false, telemetry_path: "/metrics", openmetrics_created: false, enable_reload: false }
    OtlpSettings { endpoint: None, traces: None, protocol: HttpProtobuf, interval: 60s, timeout: 10s, export_timeout: None, temporality: Cumulative, histograms: Explicit, compression: None, tls: TlsFiles { authorities: None, identity: None }, headers: [], resource: {"service.name": "jelou-exporter"} }
    MetricsSettings { reply_bounds: [5000, 10000, 15000, 30000, 60000, 120000, 180000, 300000, 600000, 900000, 1800000, 3600000, 7200000, 14400000, 28800000], duration_bounds: [60000, 120000, 300000, 600000, 900000, 1800000, 3600000, 7200000, 14400000, 28800000, 43200000, 86400000], schema: 3, reply_target: 300s, excluded_origins: [Broadcast, InducedByOperator], recent_window: 3600s, max_label_sets: 2000, stale_after: 900s, forget_pairs_after: 2592000s }
    LogSettings { level: Level(Info), format: Logfmt }
    [] []
    "#);
}

#[test]
fn the_reply_target_becomes_a_bound() {
    let config = case().flag("metrics.reply_time_buckets", "1m,10m").flag("metrics.reply_target", "150s").config();
    assert_eq!(config.metrics.reply_bounds, [60_000, 150_000, 600_000]);
    let config = case().flag("metrics.reply_time_buckets", "1m").flag("metrics.reply_target", "60s").config();
    assert_eq!(config.metrics.reply_bounds, [60_000]);
}

#[test]
fn an_empty_text_means_none_where_there_can_be_none() {
    let config = case()
        .file("state: {path: /x}\notlp: {endpoint: http://c}\napi: {path: /y, client_secret_file: s}")
        .env("JELOU_EXPORTER_STATE_PATH", "")
        .env("JELOU_EXPORTER_OTLP_ENDPOINT", "")
        .env("JELOU_EXPORTER_API_PATH", "")
        .env("JELOU_EXPORTER_API_CLIENT_SECRET_FILE", "")
        .env("JELOU_EXPORTER_METRICS_REPLY_TARGET_EXCLUDED_ORIGINS", "")
        .config();
    assert_eq!((config.state.path, config.otlp.endpoint, config.api.path), (None, None, None));
    assert_eq!((config.api.client_secret_file, config.metrics.excluded_origins), (None, vec![]));
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let env = BTreeMap::from([("JELOU_EXPORTER_CONFIG_FILE".to_owned(), "/etc/c.yml".to_owned())]);
    let read_file = |path: &Path| Ok(format!("api: {{account: '{}'}}", path.display()));
    let (flags, profile) = (BTreeMap::new(), Profile::DEMO);
    assert!(Config::read(Sources { flags, env: &env, file: None, read_file: &read_file, profile }).is_ok());
    let profile = Profile { needs_credentials: false, ..Profile::RUN };
    let config =
        Config::read(Sources { flags: BTreeMap::new(), env: &env, file: None, read_file: &read_file, profile });
    assert_eq!(config.unwrap().api.account, "/etc/c.yml");
}

#[test]
fn zones_and_addresses_are_put_in_their_proper_form() {
    let config = case()
        .flag("api.timezone", "america/bogota")
        .flag("api.url", "HTTPS://Proxy.example/jelou/")
        .flag("web.listen_address", ":0")
        .config();
    assert_eq!(config.api.timezone_name, "America/Bogota");
    assert_eq!(config.api.url, "https://proxy.example/jelou");
    assert_eq!(config.web.listen_addresses, ["0.0.0.0:0"]);
}

#[test]
fn a_demo_needs_nothing_and_cannot_be_disturbed() {
    let config = bare().profile(Profile::DEMO).config();
    assert_eq!(config.web.listen_addresses, ["127.0.0.1:10110"]);
    assert_eq!((config.poll.interval.as_secs(), config.poll.count_initial, config.state.path), (2, true, None));

    let disturbed = case()
        .file("api: {url: nonsense, client_secret_file: /no}\npoll: {interval: 3s}")
        .env("JELOU_EXPORTER_API_URL", "https://api.jelou.ai")
        .env("JELOU_EXPORTER_API_PAGE_SIZE", "nonsense")
        .env("JELOU_EXPORTER_API_NONSENSE", "nonsense")
        .env("JELOU_EXPORTER_STATE_PATH", "real.db")
        .env("JELOU_EXPORTER_WEB_LISTEN_ADDRESS", "0.0.0.0:80")
        .flag("api.account", "real")
        .profile(Profile::DEMO)
        .config();
    assert_eq!((disturbed.api.url.as_str(), disturbed.api.account.as_str()), ("http://127.0.0.1:0", "demo"));
    assert_eq!(disturbed.api.client_id.as_deref(), Some("demo"));
    assert_eq!((disturbed.state.path, disturbed.api.client_secret_file), (None, None));
    assert_eq!(disturbed.poll.interval.as_secs(), 3);
    assert_eq!(disturbed.web.listen_addresses, ["0.0.0.0:80"]);
    assert_eq!(disturbed.warnings, ["--api.account is ignored: the command decides api.account"]);
}

#[test]
fn a_demo_pushes_only_where_a_flag_says() {
    let beset = || {
        case()
            .file("otlp: {endpoint: https://of-the-file}")
            .env("JELOU_EXPORTER_OTLP_ENDPOINT", "https://of-the-exporter")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", "https://real")
            .env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "nonsense")
            .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces")
            .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2")
            .env("OTEL_EXPORTER_OTLP_CLIENT_KEY", "")
            .env("OTEL_EXPORTER_OTLP_TIMEOUT", "7000")
            .profile(Profile::DEMO)
    };
    let config = beset().config();
    assert_eq!((&config.otlp.endpoint, &config.otlp.traces, config.otlp.headers.len()), (&None, &None, 0));
    assert_eq!(config.otlp.timeout.as_secs(), 7, "what sends nothing anywhere is heard");
    let told = "the command pushes only where the flag --otlp.endpoint says; ignored: OTEL_EXPORTER_OTLP_ENDPOINT, \
                OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, \
                otlp.endpoint (JELOU_EXPORTER_OTLP_ENDPOINT), otlp.endpoint (c.yml)";
    assert_eq!(config.warnings, [told]);
    let config = beset().flag("otlp.endpoint", "http://here").flag("otlp.traces", "true").config();
    assert_eq!(config.otlp.endpoint.unwrap().url, "http://here");
    assert_eq!(config.otlp.traces.unwrap().url, "http://here/v1/traces");
    assert!(config.otlp.headers.is_empty(), "they are somebody else's");
    assert_eq!(bare().profile(Profile::DEMO).config().warnings, [""; 0]);
}

#[test]
fn values_that_are_no_text_are_named() {
    let names = ["JELOU_EXPORTER_API_CLIENT_SECRET", "OTEL_EXPORTER_OTLP_HEADERS"].map(str::to_owned);
    let read = |profile| {
        let (env, read_file) = (BTreeMap::new(), |_: &Path| Err(io::ErrorKind::NotFound.into()));
        let flags = BTreeMap::from([("api.client_id", "me".to_owned())]);
        let sources = Sources { flags, env: &env, file: None, read_file: &read_file, profile };
        Config::read_apart_from(sources, &names)
    };
    let told: Vec<_> = read(Profile::RUN).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "api.client_secret (JELOU_EXPORTER_API_CLIENT_SECRET): the value is not UTF-8",
            "OTEL_EXPORTER_OTLP_HEADERS: the value is not UTF-8",
        ]
    );
    let told: Vec<_> = read(Profile::DEMO).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["OTEL_EXPORTER_OTLP_HEADERS: the value is not UTF-8"], "what the command ignores is no problem");
}

#[test]
fn a_client_id_that_is_refused_is_not_shown() {
    for (id, what) in [
        ("myid\nhunter2", "control characters are not allowed"),
        ("myid:hunter2", "it holds a colon; the part after it belongs in api.client_secret"),
        ("hunter2é", "only ASCII can be sent"),
    ] {
        let told = case().env("JELOU_EXPORTER_API_CLIENT_ID", id).problems();
        assert_eq!(told, [format!("api.client_id (JELOU_EXPORTER_API_CLIENT_ID): {what}")]);
    }
}

#[test]
fn other_commands_change_what_they_must() {
    let once =
        case().env("JELOU_EXPORTER_STATE_PATH", "real.db").file("poll: {count_initial: false}").profile(Profile::ONCE);
    assert_eq!((once.config().state.path, once.config().poll.count_initial), (None, true));
    assert!(bare().profile(Profile::ONCE).read().is_err());
    assert!(bare().profile(Profile::SIMULATE).read().is_ok());
}

#[test]
fn endpoints_are_completed_unless_exact() {
    for (case, url, exact) in [
        (case().flag("otlp.endpoint", "http://c:4318/"), "http://c:4318/v1/metrics", false),
        (case().flag("otlp.endpoint", "http://c/api/v1/otlp"), "http://c/api/v1/otlp/v1/metrics", false),
        (case().env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), "http://c:4318/v1/metrics", false),
        (case().env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c/push"), "http://c/push", true),
        (case().env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c"), "http://c/", true),
    ] {
        let endpoint = case.config().otlp.endpoint.unwrap();
        assert_eq!((endpoint.http_url().as_str(), endpoint.exact), (url, exact));
    }
    let config = case().flag("otlp.endpoint", "http://c/v1/metrics").config();
    assert!(config.warnings[0].contains("the push goes to http://c/v1/metrics/v1/metrics"), "{:?}", config.warnings);
}

#[test]
fn a_grpc_target_without_a_scheme_gets_one() {
    let grpc = || case().flag("otlp.protocol", "grpc").flag("otlp.endpoint", "collector:4317");
    let url = |case: Case| case.config().otlp.endpoint.unwrap().url;
    assert_eq!(url(grpc()), "https://collector:4317");
    assert!(grpc().config().warnings[0].contains("the push goes to https://collector:4317; write http:// for no TLS"));
    assert_eq!(url(grpc().env("OTEL_EXPORTER_OTLP_INSECURE", "true")), "http://collector:4317");
    assert!(grpc().env("OTEL_EXPORTER_OTLP_INSECURE", "true").config().warnings.is_empty());
    assert_eq!(url(grpc().env("OTEL_EXPORTER_OTLP_METRICS_INSECURE", "false")), "https://collector:4317");
    // A scheme outranks it.
    let case = grpc().flag("otlp.endpoint", "https://c:1/").env("OTEL_EXPORTER_OTLP_INSECURE", "true");
    assert_eq!(url(case), "https://c:1");
    assert_eq!(url(grpc().flag("otlp.endpoint", "[::1]:4317")), "https://[::1]:4317");
    for (bad, why) in [
        ("collector:port", "host:port or an absolute URL"),
        ("collector:4317/x", "host:port or an absolute URL"),
        ("me:pw@c:1", "credentials do not belong in the URL"),
    ] {
        let problems = grpc().flag("otlp.endpoint", bad).problems();
        assert!(problems.len() == 1 && problems[0].contains(why), "{problems:?}");
        assert!(!problems[0].contains("pw"), "{problems:?}");
    }
}

#[test]
fn a_disabled_sdk_pushes_nothing() {
    let config = case().flag("otlp.endpoint", "http://c").env("OTEL_SDK_DISABLED", "true").config();
    assert_eq!(config.otlp.endpoint, None);
    assert_eq!(config.warnings, ["OTEL_SDK_DISABLED is true: nothing is pushed, although otlp.endpoint is set"]);
}

#[test]
fn the_resource_always_has_a_service_name() {
    assert_eq!(case().config().otlp.resource["service.name"], "jelou-exporter");
    let config = case().env("OTEL_SERVICE_NAME", "other").config();
    assert_eq!(config.otlp.resource["service.name"], "other");
    assert!(!config.otlp.resource.contains_key("service.instance.id"));
}

#[test]
fn warnings_do_not_stop_anything() {
    let config = case()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c")
        .env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "c:4317")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")
        .flag("metrics.stale_after", "60s")
        .config();
    assert_eq!(config.otlp.endpoint.unwrap().url, "http://c");
    assert_eq!(config.warnings.len(), 3, "{:?}", config.warnings);
}

#[test]
fn an_interval_beyond_the_overlap_is_warned_of() {
    for (interval, warned) in [("10m", false), ("11m", true)] {
        let warnings = case().flag("poll.interval", interval).flag("poll.overlap", "10m").config().warnings;
        assert_eq!(warnings.iter().any(|warning| warning.contains("poll.overlap")), warned, "{warnings:?}");
    }
}

#[test]
fn credentials_that_can_be_read_on_their_way_are_warned_of() {
    for (url, overheard) in [
        ("https://api.jelou.ai", false),
        ("http://api.jelou.ai", true),
        ("http://10.0.0.1:8080", true),
        ("http://localhost:8080", false),
        ("http://127.0.0.2", false),
        ("http://[::1]:8080", false),
        ("http://[2001:db8::1]", true),
    ] {
        let warnings = case().flag("api.url", url).config().warnings;
        let told = warnings.iter().any(|warning| warning.contains("the credentials travel unencrypted"));
        assert_eq!(told, overheard, "{url}: {warnings:?}");
    }
}

#[test]
fn no_secret_is_ever_printed() {
    let good = case()
        .env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c/push?key=hunter2")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=hunter2");
    assert_eq!(good.config().api.client_secret.as_ref().map(Secret::expose), Some("hunter2"));
    assert_eq!(good.config().otlp.headers[0].1.expose(), "hunter2");
    let mut printed = format!("{:?}{:#?}", good.config(), good.config());

    let bad = bare()
        .file("api: {client_secret: [hunter2], client_secrt: hunter2}\nclient_secret: hunter2\nhunter: {hunter2: [")
        .env("JELOU_EXPORTER_API_CLIENT_SECRET", "hunter2\nhunter2")
        .env("JELOU_EXPORTER_API_CLIENT_ID", "me:hunter2")
        .env("JELOU_EXPORTER_API_SECRET", "hunter2")
        .env("JELOU_EXPORTER_API_URL", "https://me:hunter2@host")
        .env("JELOU_EXPORTER_OTLP_ENDPOINT", "http://host/?key=hunter2")
        .env("OTEL_EXPORTER_OTLP_HEADERS", "hunter2");
    printed.push_str(&bad.problems().join("\n"));
    let bad =
        Case { file: Some("api: {client_secret: [hunter2], client_secrt: hunter2}\nclient_secret: hunter2"), ..bad };
    printed.push_str(&bad.problems().join("\n"));
    let bad = bad.env("JELOU_EXPORTER_API_CLIENT_SECRET", "").env("JELOU_EXPORTER_API_CLIENT_SECRET_FILE", "s");
    printed.push_str(&bad.secret_file("hunter2\nhunter2").problems().join("\n"));
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("client_secret: Some(<secret>)"), "{printed}");
}

#[test]
fn traces_go_beside_the_metrics_or_where_the_standard_variable_says() {
    let traces = |case: Case| case.flag("otlp.traces", "true").config().otlp.traces.map(|endpoint| endpoint.url);
    let at = |url: &str| Some(url.to_owned());
    assert_eq!(traces(case().flag("otlp.endpoint", "http://a:4318")), at("http://a:4318/v1/traces"));
    let grpc = || case().flag("otlp.endpoint", "http://a:4317").flag("otlp.protocol", "grpc");
    assert_eq!(traces(grpc()), at("http://a:4317"));
    let metrics = |url| case().env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", url);
    assert_eq!(traces(metrics("http://a/x/v1/metrics")), at("http://a/x/v1/traces"));
    let own = |case: Case| case.env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t/spans");
    assert_eq!(traces(own(metrics("http://a/metrics"))), at("http://t/spans"));
    assert_eq!(traces(own(case())), at("http://t/spans"));
    assert_eq!(traces(own(case()).env("OTEL_SDK_DISABLED", "true")), None);
    assert_eq!(case().flag("otlp.endpoint", "http://a").config().otlp.traces, None);
    for nowhere in [case(), metrics("http://a/metrics")] {
        let config = nowhere.flag("otlp.traces", "true").config();
        assert_eq!(config.otlp.traces, None);
        let [warning] = &config.warnings[..] else { panic!("{:?}", config.warnings) };
        assert!(warning.starts_with("otlp.traces") && warning.contains("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"));
    }
}
