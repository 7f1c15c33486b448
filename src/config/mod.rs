//! Settings: read from file, environment and flags, checked all at once, handed on as one small struct per concern.
//!
//! ```text
//! flags, environment, OTEL_*, file ─► a text per setting and who gave it ─► Config, or every Problem at once
//!                                     (settings, given, reader)             (api, poll, state, web, otlp, metrics, log)
//! ```
//!
//! [`SETTINGS`] is the one table of settings: flags, environment names, file keys, `--help` and the README follow from it.

mod api_reading;
mod environment;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub(crate) mod given;
pub(crate) mod nearest;
mod otel;
mod place;
mod reader;
mod texts;
pub(crate) mod values;
pub(crate) mod yaml;

pub mod api;
pub mod duration;
pub mod log;
pub mod metrics;
pub mod otlp;
pub mod poll;
pub mod problem;
pub mod profile;
pub mod secret;
pub mod settings;
pub mod state;
pub mod web;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use given::{Given, Layer, Source};
use otel::Standard;
use reader::Reader;

pub use api::{ApiSettings, AuthScheme, Dialect};
pub(crate) use api_reading::usable_secret;
pub use log::{LogFormat, LogSettings};
pub use metrics::MetricsSettings;
pub use otlp::{HistogramForm, OtlpCompression, OtlpEndpoint, OtlpProtocol, OtlpSettings, Temporality};
pub use poll::PollSettings;
pub use problem::{Problem, Problems};
pub use profile::Profile;
pub use secret::Secret;
pub use settings::{SETTINGS, Setting, markdown_table};
pub use state::StateSettings;
use texts::Texts;
pub use web::WebSettings;

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the upstream is reached.
    pub api: ApiSettings,
    /// How often the upstream is asked, and how far back.
    pub poll: PollSettings,
    /// Where the state is kept.
    pub state: StateSettings,
    /// Where the metrics are served.
    pub web: WebSettings,
    /// Where and how the metrics are pushed.
    pub otlp: OtlpSettings,
    /// What the numbers are sorted by.
    pub metrics: MetricsSettings,
    /// What is logged.
    pub log: LogSettings,
    /// What was given and has no effect, to be logged.
    pub warnings: Vec<String>,
    /// What was found and is neither wrong nor without effect, for who asks whether all is well.
    pub notes: Vec<String>,
    texts: Texts,
}

/// Where settings come from.
pub struct Sources<'a> {
    /// Values of flags by the key of their setting.
    pub flags: BTreeMap<&'static str, String>,
    /// The environment.
    pub env: &'a BTreeMap<String, String>,
    /// The file that `--config.file` names.
    pub file: Option<PathBuf>,
    /// Reads a file: that one, and the one with the secret.
    pub read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// What the command changes.
    pub profile: Profile,
}

impl Config {
    /// Reads and checks every setting.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them.
    pub fn read(sources: Sources<'_>) -> Result<Self, Problems> {
        Self::read_apart_from(sources, &[])
    }

    /// The same where these variables of the environment have values that are no text.
    pub(crate) fn read_apart_from(sources: Sources<'_>, unreadable: &[String]) -> Result<Self, Problems> {
        let looks_at_place = sources.profile.looks_at_place;
        let Settled { mut from, standard, needs_credentials } = settle(sources, unreadable);
        let api = api_reading::read(&mut from, needs_credentials);
        let poll = poll::read(&mut from);
        let account = from.given("api.account").map(|given| given.text.trim().to_owned()).unwrap_or_default();
        let look_for = Some(account).filter(|_| looks_at_place);
        let state = state::read(&mut from, look_for.as_deref());
        let web = web::read(&mut from);
        let otlp = otlp::read(&mut from, standard);
        let metrics = metrics::read(&mut from);
        let log = log::read(&mut from);
        if let (Some(poll), Some(metrics)) = (&poll, &metrics)
            && metrics.stale_after <= poll.interval
        {
            let what =
                "is not longer than poll.interval: the gauges of active, waiting and recent conversations come and go";
            from.warnings.push(format!("metrics.stale_after {what}"));
        }
        match (api, poll, state, web, otlp, metrics, log) {
            (Some(api), Some(poll), Some(state), Some(web), Some(otlp), Some(metrics), Some(log))
                if from.problems.is_empty() =>
            {
                Ok(Self {
                    api,
                    poll,
                    state,
                    web,
                    otlp,
                    metrics,
                    log,
                    warnings: from.warnings,
                    notes: from.notes,
                    texts: Texts::new(from.values),
                })
            }
            _ => Err(Problems(from.problems)),
        }
    }
}

impl Config {
    /// The settings in which another configuration differs from this one, by what was given.
    pub fn differs_from<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'static Setting> + 'a {
        self.texts.differing(&other.texts)
    }
}

/// The sources, one over the other.
struct Settled<'a> {
    from: Reader<'a>,
    standard: Standard,
    needs_credentials: bool,
}

fn settle<'a>(sources: Sources<'a>, unreadable: &[String]) -> Settled<'a> {
    let Sources { flags, env, file, read_file, profile } = sources;
    let named = || env.get(environment::CONFIG_FILE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let file = file.or_else(named).map(|path| file::read(&path, read_file)).unwrap_or_default();
    let (own_env, unknown) = environment::read(env, &|key| profile.ignores(key));
    let flags: Layer = flags.into_iter().filter_map(|(key, text)| Some((key, by_flag(key, text)?))).collect();
    let protocol = |layer: &'_ Layer| layer.get("otlp.protocol").map(|given| given.text.to_string());
    let protocol_over = protocol(&flags).or_else(|| protocol(&own_env));
    let deaf_to: &[&str] = if profile.pushes_by_flag_alone { &otel::OF_THE_RECEIVER } else { &[] };
    let mut standard = otel::read(env, protocol_over.as_deref(), protocol(&file.layer).as_deref(), deaf_to);

    // Somebody who types a flag wants it to do something; the other places may well serve several commands.
    let unheard = flags.iter().filter(|(key, _)| profile.ignores(key));
    let unheard = unheard.map(|(key, given)| format!("{} is ignored: the command decides {key}", given.source));
    let mut warnings: Vec<String> = unheard.chain(std::mem::take(&mut standard.warnings)).collect();

    let (mut own_env, mut file) = (own_env, file);
    if profile.pushes_by_flag_alone {
        let given = |name: &&&str| env.get(**name).is_some_and(|text| !text.trim().is_empty());
        let mut ignored: Vec<String> = deaf_to.iter().filter(given).map(|name| (*name).to_owned()).collect();
        for layer in [&mut own_env, &mut file.layer] {
            let endpoint = layer.remove("otlp.endpoint").filter(|given| !given.text.trim().is_empty());
            ignored.extend(endpoint.map(|given| format!("otlp.endpoint ({})", given.source)));
        }
        if !ignored.is_empty() {
            let names = ignored.join(", ");
            warnings.push(format!("the command pushes only where the flag --otlp.endpoint says; ignored: {names}"));
        }
    }

    let of_metrics = std::mem::take(&mut standard.of_metrics);
    let of_all = std::mem::take(&mut standard.of_all);
    let heard = |mut layer: Layer| {
        layer.retain(|key, _| !profile.ignores(key));
        layer
    };
    let [flags, own_env, of_metrics, of_all, in_file] = [flags, own_env, of_metrics, of_all, file.layer].map(heard);
    let (fixed, defaults) = (by_command(profile.fixed), by_command(profile.defaults));
    let layers = [&fixed, &flags, &own_env, &of_metrics, &of_all, &in_file, &defaults];
    let unreadable = environment::unreadable(unreadable, &|key| profile.ignores(key)).into_iter();
    let problems = file.problems.into_iter().chain(unknown).chain(unreadable).collect();
    // What is missing may well stand in a file that could not be read.
    let needs_credentials = profile.needs_credentials && !file.unreadable;
    Settled { from: Reader::new(&layers, read_file, problems, warnings), standard, needs_credentials }
}

fn by_flag(key: &str, text: String) -> Option<Given> {
    Some(Given { text: text.into(), source: Source::Flag(settings::setting(key)?.flag()?) })
}

fn by_command(values: &[(&'static str, &'static str)]) -> Layer {
    let given = |text: &str| Given { text: text.to_owned().into(), source: Source::Command };
    values.iter().map(|(key, text)| (*key, given(text))).collect()
}

#[cfg(test)]
mod tests;
