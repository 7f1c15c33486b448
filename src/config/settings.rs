//! The one table of settings. Flags, environment names, file keys, `--help` and the README's table are derived from it.

use super::nearest::did_you_mean;

/// What every environment name begins with.
pub const ENV_PREFIX: &str = "JELOU_EXPORTER_";

/// What a setting holds: how `--help` names its value and how the file may write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Free text.
    Text,
    /// An absolute URL; what may be a credential inside is not printed.
    Url,
    /// The path of a file.
    File,
    /// A path of a URL.
    Path,
    /// `host:port`, several with commas between.
    Addresses,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A number with a unit.
    Duration,
    /// Durations, with commas between.
    Durations,
    /// Words, with commas between.
    Words,
    /// A whole number.
    Whole,
    /// A number, fractions allowed.
    Number,
    /// `true` or `false`; its flag may stand alone.
    Switch,
}

impl Kind {
    /// How `--help` names the value.
    pub fn value_name(self) -> String {
        match self {
            Self::Text => "TEXT".to_owned(),
            Self::Url => "URL".to_owned(),
            Self::File => "FILE".to_owned(),
            Self::Path => "PATH".to_owned(),
            Self::Addresses => "HOST:PORT,...".to_owned(),
            Self::Choice(words) => words.join("|"),
            Self::Duration => "DURATION".to_owned(),
            Self::Durations => "DURATION,...".to_owned(),
            Self::Words => "WORD,...".to_owned(),
            Self::Whole | Self::Number => "NUMBER".to_owned(),
            Self::Switch => "true|false".to_owned(),
        }
    }

    /// Whether the file may give a YAML list.
    pub const fn is_list(self) -> bool {
        matches!(self, Self::Durations | Self::Words | Self::Addresses)
    }

    /// Whether a number or `true` in the file, unless it is plain digits, may be text that YAML has taken for something else.
    pub const fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text | Self::Url | Self::File | Self::Path | Self::Addresses | Self::Choice(_) | Self::Words
        )
    }
}

/// What holds when nobody says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This value, written as a user would write it.
    Value(&'static str),
    /// No value; the word tells what that means.
    Nothing(&'static str),
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// `section.name`, as in the file.
    pub key: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What holds by default.
    pub fallback: Fallback,
    /// What it means, in one line.
    pub meaning: &'static str,
    /// Whether its value is a credential: it then has no flag and is never printed.
    pub secret: bool,
}

impl Setting {
    const fn new(key: &'static str, kind: Kind, fallback: Fallback, meaning: &'static str) -> Self {
        Self { key, kind, fallback, meaning, secret: false }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The part of the key before the dot.
    pub fn section(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(section, _)| section)
    }

    /// The flag without its leading dashes. A credential has none: every user of a machine can read its command lines.
    pub fn flag(&self) -> Option<String> {
        (!self.secret).then(|| self.key.replace('_', "-"))
    }

    /// Whether it holds from the start of the process to its end.
    pub fn needs_restart(&self) -> bool {
        matches!(self.section(), "state" | "web" | "otlp") || self.key == "api.account"
    }

    /// Whether it may change while the process runs, but is looked at only when one starts.
    pub fn acts_at_start(&self) -> bool {
        matches!(self.key, "poll.initial_lookback" | "metrics.forget_pairs_after")
    }

    /// The name of the environment variable.
    pub fn env(&self) -> String {
        format!("{ENV_PREFIX}{}", self.key.replace('.', "_").to_uppercase())
    }

    /// The default as the documentation shows it.
    pub const fn default_text(&self) -> &'static str {
        match self.fallback {
            Fallback::Value(text) | Fallback::Nothing(text) => text,
        }
    }
}

/// The setting with this key.
pub fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

/// Where to look when nothing is like what was written.
const ALL_ARE_LISTED: &str = "--help lists all settings";

/// What to do about an unknown key: the known ones that were probably meant. A word without a dot may be a section.
pub(super) fn instead_of(key: &str) -> String {
    let sections = SETTINGS.iter().map(Setting::section).filter(|_| !key.contains('.'));
    let known = SETTINGS.iter().map(|setting| setting.key).chain(sections);
    did_you_mean(key, known, str::to_owned).unwrap_or_else(|| ALL_ARE_LISTED.to_owned())
}

/// The same, told by the names of environment variables.
pub(super) fn variable_instead_of(key: &str) -> String {
    let write = |key: &str| setting(key).map(Setting::env).unwrap_or_default();
    let known = SETTINGS.iter().map(|setting| setting.key);
    did_you_mean(key, known, write).unwrap_or_else(|| ALL_ARE_LISTED.to_owned())
}

/// The README's table of settings.
pub fn markdown_table() -> String {
    let mut table = "| key | default | meaning |\n|---|---|---|\n".to_owned();
    for setting in SETTINGS {
        let default = match setting.fallback {
            Fallback::Value(_) => format!("`{}`", setting.default_text()),
            Fallback::Nothing(text) => text.to_owned(),
        };
        // Backslashes keep the bar of an alternative from ending the cell.
        let meaning = setting.meaning.replace('|', "\\|");
        table.push_str(&format!("| `{}` | {default} | {meaning} |\n", setting.key));
    }
    table
}

use Fallback::{Nothing, Value};
use Setting as S;

/// Every setting, in the order of the documentation.
#[rustfmt::skip]
pub const SETTINGS: &[Setting] = &[
    S::new("api.url", Kind::Url, Value("https://api.jelou.ai"), "base URL; redirects are not followed"),
    S::new("api.dialect", Kind::Choice(&["metrics-post", "external-get"]), Value("metrics-post"),
        "which form of the API is spoken: `metrics-post` or `external-get`"),
    S::new("api.path", Kind::Path, Nothing("by dialect"), "path of the API, if it is not the usual one"),
    S::new("api.client_id", Kind::Text, Nothing("none"), "credentials, first half"),
    S::new("api.client_secret", Kind::Text, Nothing("none"), "credentials, second half; has no flag").secret(),
    S::new("api.client_secret_file", Kind::File, Nothing("none"),
        "file that holds the second half instead; read again when it changes and whenever a 401 comes"),
    S::new("api.ca_file", Kind::File, Nothing("bundled roots"),
        "file of the authorities (PEM) that the API's certificate must come from, as where a proxy opens TLS; read again when it changes"),
    S::new("api.client_certificate_file", Kind::File, Nothing("none"),
        "file of the certificate (PEM) that the exporter shows the API, with those between it and its root; read again when it changes"),
    S::new("api.client_key_file", Kind::File, Nothing("none"), "file of that certificate's key (PEM)"),
    S::new("api.auth", Kind::Choice(&["basic", "raw"]), Value("basic"), "how credentials are sent: `basic` or `raw`"),
    S::new("api.timezone", Kind::Text, Value("America/Guayaquil"), "IANA name: sent in the `timezone` header, and the zone of dates that name none"),
    S::new("api.page_size", Kind::Whole, Value("50"), "records per page that are asked for, 1 to 1000; the API may send fewer"),
    S::new("api.timeout", Kind::Duration, Value("30s"), "for one request with its whole answer"),
    S::new("api.requests_per_second", Kind::Number, Value("2"), "budget for all requests together; fractions are allowed"),
    S::new("api.account", Kind::Text, Value("default"), "value of the `account` label"),
    S::new("poll.interval", Kind::Duration, Value("60s"), "from the start of one poll to the start of the next; two never overlap"),
    S::new("poll.overlap", Kind::Duration, Value("10m"), "how far back every poll reads, beside the conversations that may still change"),
    S::new("poll.horizon", Kind::Duration, Value("7d"), "how long after its start a conversation is still asked for"),
    S::new("poll.sweep_interval", Kind::Duration, Value("6h"), "how often everything back to the horizon is read again"),
    S::new("poll.initial_lookback", Kind::Duration, Value("24h"),
        "how much history the first start reads; at most `poll.horizon`"),
    S::new("poll.count_initial", Kind::Switch, Value("false"), "count that history instead of beginning at zero"),
    S::new("state.path", Kind::File, Value("jelou-exporter.db"), "file of the checkpoint, in which counting outlives the process; `\"\"` keeps state in memory only"),
    S::new("web.listen_address", Kind::Addresses, Value("0.0.0.0:10110"),
        "`host:port`, several with commas or as a list; port 0 picks one and the log names it"),
    S::new("web.systemd_socket", Kind::Switch, Value("false"),
        "listen on the sockets that systemd has opened (socket activation) instead of `web.listen_address`"),
    S::new("web.config_file", Kind::File, Nothing("none"),
        "file of TLS, client certificates, users and headers, in the form of exporter-toolkit; read again when it changes"),
    S::new("web.open_probes", Kind::Switch, Value("false"),
        "answer `/-/healthy` and `/-/ready` without the password or client certificate that `web.config_file` demands"),
    S::new("web.telemetry_path", Kind::Path, Value("/metrics"), "where the metrics are served"),
    S::new("web.openmetrics_created", Kind::Switch, Value("false"), "`_created` lines in OpenMetrics, which Prometheus stores as series of their own; protobuf and OTLP always carry start times"),
    S::new("web.enable_reload", Kind::Switch, Value("false"),
        "`POST /-/reload` reads the configuration again, as SIGHUP always does"),
    S::new("otlp.endpoint", Kind::Url, Nothing("none (off)"),
        "where to push: base URL for HTTP (`/v1/metrics` is appended), target for gRPC; the standard `OTEL_*` variables work too"),
    S::new("otlp.protocol", Kind::Choice(&["http/protobuf", "grpc", "http/json"]), Value("http/protobuf"),
        "`http/protobuf`, `grpc` or `http/json`"),
    S::new("otlp.interval", Kind::Duration, Value("60s"), "from one push to the next"),
    S::new("otlp.timeout", Kind::Duration, Value("10s"), "for one request of a push"),
    S::new("otlp.temporality", Kind::Choice(&["cumulative", "delta"]), Value("cumulative"),
        "what counters and histograms are pushed as: `cumulative`, or `delta` since the last push"),
    S::new("otlp.traces", Kind::Switch, Value("false"),
        "traces of the exporter's own polls, to `/v1/traces` of the endpoint or to `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`"),
    S::new("otlp.histograms", Kind::Choice(&["explicit", "exponential"]), Value("explicit"),
        "kind of buckets that are pushed: `explicit` or `exponential`"),
    S::new("metrics.reply_time_buckets", Kind::Durations, Value("5s, 10s, 15s, 30s, 1m, 2m, 3m, 5m, 10m, 15m, 30m, 1h, 2h, 4h, 8h"),
        "bounds of the reply times, ascending"),
    S::new("metrics.duration_buckets", Kind::Durations, Value("1m, 2m, 5m, 10m, 15m, 30m, 1h, 2h, 4h, 8h, 12h, 24h"),
        "bounds of the conversation durations, ascending"),
    S::new("metrics.native_histogram_schema", Kind::Whole, Value("3"),
        "fineness of exponential buckets, -4 to 8: 2^schema buckets per doubling"),
    S::new("metrics.reply_target", Kind::Duration, Value("5m"),
        "the promised reply time, which `jelou_operator_reply_decided_total` measures; always a bucket bound"),
    S::new("metrics.reply_target_excluded_origins", Kind::Words, Value("broadcast, induced_by_operator"),
        "origins of conversations that no customer is waiting in"),
    S::new("metrics.recent_window", Kind::Duration, Value("1h"), "window of the `_recent_` percentiles"),
    S::new("metrics.max_label_sets", Kind::Whole, Value("2000"),
        "(bot, team) pairs per account; the rest fold into `bot=\"__overflow__\",team=\"__overflow__\"`"),
    S::new("metrics.stale_after", Kind::Duration, Value("15m"),
        "without a successful poll for so long, the gauges of active, waiting and recent conversations are no longer shown"),
    S::new("metrics.forget_pairs_after", Kind::Duration, Value("30d"),
        "pairs in which nothing was counted for so long leave when the exporter is started next"),
    S::new("log.level", Kind::Choice(&["error", "warn", "info", "debug", "trace"]), Value("info"),
        "the least that is logged: `error`, `warn`, `info`, `debug` or `trace`"),
    S::new("log.format", Kind::Choice(&["logfmt", "json"]), Value("logfmt"), "`logfmt` or `json`, on stderr"),
];

#[cfg(test)]
mod tests {
    use super::super::{AuthScheme, Dialect, HistogramForm, LogFormat, OtlpProtocol, Temporality};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_from_the_key() {
        let id = setting("api.client_id").unwrap();
        assert_eq!((id.flag().as_deref(), id.env().as_str()), (Some("api.client-id"), "JELOU_EXPORTER_API_CLIENT_ID"));
        assert_eq!(id.section(), "api");
        assert_eq!(setting("api.client_secret").unwrap().flag(), None);
        assert!(setting("api.nothing").is_none());
    }

    #[test]
    fn some_settings_need_a_restart_and_some_act_at_the_next_start() {
        let fixed = |key| setting(key).unwrap().needs_restart();
        for key in ["state.path", "web.enable_reload", "otlp.interval", "api.account"] {
            assert!(fixed(key), "{key}");
        }
        for key in ["poll.initial_lookback", "metrics.forget_pairs_after"] {
            assert!(setting(key).unwrap().acts_at_start() && !fixed(key), "{key}");
        }
        assert!(!fixed("api.url") && !fixed("poll.horizon") && !fixed("metrics.reply_target") && !fixed("log.level"));
    }

    #[test]
    fn no_name_is_taken_twice() {
        let names = |of: fn(&Setting) -> String| SETTINGS.iter().map(of).collect::<BTreeSet<_>>().len();
        assert_eq!(names(|setting| setting.key.to_owned()), SETTINGS.len());
        assert_eq!(names(Setting::env), SETTINGS.len());
    }

    #[test]
    fn the_nearest_key_is_the_one_that_was_meant() {
        for (written, meant) in [
            ("api.ulr", "api.url"),
            ("api.client-id", "api.client_id"),
            ("api.clientSecret", "api.client_secret"),
            ("apí.timeout", "api.timeout"),
            ("poll.intervall", "poll.interval"),
            ("web.listen", "web.listen_address"),
            ("metrics.reply_buckets", "metrics.reply_time_buckets"),
            ("metrics.target", "metrics.reply_target"),
            ("logs.level", "log.level"),
            ("state.file", "state.path"),
            ("api.secret", "api.client_secret"),
            ("api.client", "api.client_id"),
            ("metrics.reply_target_origins", "metrics.reply_target_excluded_origins"),
            ("web.interval", "poll.interval or otlp.interval"),
            ("otel.endpoint", "otlp.endpoint"),
            ("api.key", "api.client_key_file"),
        ] {
            assert_eq!(instead_of(written), format!("did you mean {meant}?"), "{written}");
        }
    }

    #[test]
    fn what_is_like_no_key_is_given_no_guess() {
        for written in ["foo", "port", "xyzzy.q", "wibble.a", "api.token", "log.file", "web.port", "otel"] {
            assert_eq!(instead_of(written), ALL_ARE_LISTED, "{written}");
            assert_eq!(variable_instead_of(written), ALL_ARE_LISTED, "{written}");
        }
        let both = "did you mean JELOU_EXPORTER_POLL_INTERVAL or JELOU_EXPORTER_OTLP_INTERVAL?";
        assert_eq!(variable_instead_of("web.interval"), both);
    }

    #[test]
    fn a_mistyped_section_is_understood() {
        for (written, meant) in [
            ("apis", "api"),
            ("polls", "poll"),
            ("polling", "poll"),
            ("logging", "log"),
            ("logs", "log"),
            ("metric", "metrics"),
            ("metrcis", "metrics"),
            ("states", "state"),
            ("url", "api.url"),
            ("listen_address", "web.listen_address"),
            ("timezone", "api.timezone"),
        ] {
            assert_eq!(instead_of(written), format!("did you mean {meant}?"), "{written}");
        }
    }

    #[test]
    fn words_are_those_that_are_understood() {
        let words = |key: &str| match setting(key).unwrap().kind {
            Kind::Choice(words) => words.to_vec(),
            kind => panic!("{key} is {kind:?}"),
        };
        let dialects: Vec<_> = Dialect::ALL.iter().map(|dialect| dialect.as_str()).collect();
        let schemes: Vec<_> = AuthScheme::ALL.iter().map(|scheme| scheme.as_str()).collect();
        assert_eq!((words("api.dialect"), words("api.auth")), (dialects, schemes));
        assert_eq!(words("otlp.protocol"), OtlpProtocol::ALL.map(OtlpProtocol::as_str));
        assert!(words("otlp.temporality").into_iter().all(|word| Temporality::named(word).is_some()));
        assert!(words("otlp.histograms").into_iter().all(|word| HistogramForm::named(word).is_some()));
        assert!(words("log.format").into_iter().all(|word| LogFormat::named(word).is_some()));
    }

    #[test]
    fn the_table_has_a_row_for_every_setting() {
        let table = markdown_table();
        assert_eq!(table.lines().count(), SETTINGS.len() + 2);
        assert!(table.contains("| `api.url` | `https://api.jelou.ai` | base URL; redirects are not followed |\n"));
        assert!(table.contains("| `api.path` | by dialect | path of the API, if it is not the usual one |\n"));
        assert!(table.lines().all(|line| line.matches('|').count() == 4), "{table}");
    }
}
