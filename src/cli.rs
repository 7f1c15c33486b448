//! The command line: which command, and the flags of the settings.

mod manual;
mod unknown;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use clap::builder::EnumValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, value_parser};
use clap_complete::Shell;
use zeroize::Zeroize;

use crate::config::settings::{Fallback, Kind, Setting};
use crate::config::values::listen_address;
use crate::config::{Config, Problems, Profile, SETTINGS, Sources};
use crate::files;

/// The name of the program.
const NAME: &str = "jelou-exporter";

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from, if the build was told.
pub const REVISION: Option<&str> = option_env!("JELOU_EXPORTER_REVISION");

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Poll, serve and push until told to stop.
    Run,
    /// Poll once and print the metrics.
    Once,
    /// Say whether the configuration is usable; that it was parsed is the answer.
    CheckConfig,
    /// Run against an embedded simulated API.
    Demo(DemoOptions),
    /// Serve only the simulated API.
    Simulate(SimulateOptions),
}

/// Options of `demo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// Seed of the simulated conversations; without one, each run is another.
    pub seed: Option<u64>,
}

/// Options of `simulate`.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulateOptions {
    /// `host:port` of the simulated API.
    pub listen_address: String,
    /// Seed of the simulated conversations; without one, each run is another.
    pub seed: Option<u64>,
    /// The share of requests that fail, 0 to 1.
    pub faults: f64,
}

/// A command with the settings that it runs on.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// What to do.
    pub command: Command,
    /// The settings, checked.
    pub config: Config,
    /// Where they were given.
    pub origin: Origin,
}

/// Where the settings were given, besides the environment.
#[derive(Clone, Debug)]
pub struct Origin {
    flags: BTreeMap<&'static str, String>,
    file: Option<PathBuf>,
    profile: Profile,
}

impl Origin {
    /// Reads the settings once more, with the environment of this process.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them.
    pub fn read_again(&self) -> Result<Config, Problems> {
        self.read(&Environment::of_process(), &files::read_to_string)
    }

    fn read(&self, env: &Environment, read_file: &dyn Fn(&Path) -> io::Result<String>) -> Result<Config, Problems> {
        let Self { flags, file, profile } = self.clone();
        let Environment { texts, unreadable } = env;
        Config::read_apart_from(Sources { flags, env: texts, file, read_file, profile }, unreadable)
    }
}

/// Why nothing is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Help, version, completions or the manual, as asked for: standard output.
    Asked(String),
    /// Arguments or configuration cannot be used: standard error.
    Unusable(String),
}

impl Stop {
    /// The exit status of the process.
    pub const fn exit_status(&self) -> u8 {
        match self {
            Self::Asked(_) => 0,
            Self::Unusable(_) => 2,
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Asked(text) | Self::Unusable(text)) = self;
        f.write_str(text.trim_end())
    }
}

/// Reads the arguments and the environment of this process.
pub fn parse_process() -> Result<Invocation, Stop> {
    parse(std::env::args_os(), &Environment::of_process(), &files::read_to_string)
}

/// The variables that may be meant for this program. What is in them is overwritten when they are let go.
#[derive(Default)]
pub struct Environment {
    texts: BTreeMap<String, String>,
    /// The names of those whose values are no text.
    unreadable: Vec<String>,
}

impl Environment {
    fn of_process() -> Self {
        std::env::vars_os().collect()
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<T: IntoIterator<Item = (OsString, OsString)>>(variables: T) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            // A name that is no text is none that is known, and is refused if it begins like ours.
            let name = name.to_string_lossy().into_owned();
            if !["JELOU_EXPORTER_", "OTEL_"].iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            match value.into_string() {
                Ok(text) => _ = environment.texts.insert(name, text),
                Err(_) => environment.unreadable.push(name),
            }
        }
        environment
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.texts.values_mut().for_each(Zeroize::zeroize);
    }
}

/// Reads arguments (the program's name first) and environment; `read_file` is all that it touches besides.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: &Environment,
    read_file: &dyn Fn(&Path) -> io::Result<String>,
) -> Result<Invocation, Stop> {
    let args: Vec<OsString> = args.into_iter().collect();
    refuse_secrets(&args)?;
    let args = spelt_out(args);
    // The parser copies every flag to every command, half a millisecond of a start and memory that stays. Commands that no word
    // names are missed by help and errors alone, so whatever is no plain success is read again with all of them.
    let named = commands().into_iter().filter(|command| args.iter().any(|arg| arg == command.get_name()));
    let read = with_flags().subcommands(named).try_get_matches_from(&args);
    let root = read.or_else(|_| parser().try_get_matches_from(&args)).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Asked(error.to_string()),
        ErrorKind::UnknownArgument => Stop::Unusable(unknown::flag(&error).unwrap_or_else(|| error.to_string())),
        _ => Stop::Unusable(error.to_string()),
    })?;
    let (name, matches) = root.subcommand().unwrap_or(("run", &root));
    let (command, profile) = match name {
        "once" => (Command::Once, Profile::ONCE),
        "check-config" => (Command::CheckConfig, Profile::CHECK),
        "demo" => (Command::Demo(DemoOptions { seed: seed(matches) }), Profile::DEMO),
        "completions" => return Err(completions(matches)),
        "man" => {
            return Err(manual::manual().map_or_else(|error| Stop::Unusable(error.to_string()), Stop::Asked));
        }
        "simulate" => (Command::Simulate(simulate_options(matches)), Profile::SIMULATE),
        _ => (Command::Run, Profile::RUN),
    };
    let flag = |setting: &Setting| Some((setting.key, matches.get_one::<String>(setting.key)?.clone()));
    let flags = SETTINGS.iter().filter(|setting| !setting.secret).filter_map(flag).collect();
    let file = matches.get_one::<PathBuf>("config.file").cloned();
    let origin = Origin { flags, file, profile };
    let config = origin.read(env, read_file).map_err(|problems| Stop::Unusable(format!("error: {problems}")))?;
    Ok(Invocation { command, config, origin })
}

fn completions(matches: &ArgMatches) -> Stop {
    let shell = matches.get_one::<Shell>("shell").copied().unwrap_or(Shell::Bash);
    Stop::Asked(manual::completions(shell))
}

fn seed(matches: &ArgMatches) -> Option<u64> {
    matches.get_one("simulator.seed").copied()
}

fn simulate_options(matches: &ArgMatches) -> SimulateOptions {
    SimulateOptions {
        listen_address: matches.get_one("simulator.listen-address").cloned().unwrap_or_default(),
        seed: seed(matches),
        faults: matches.get_one("simulator.faults").copied().unwrap_or_default(),
    }
}

/// Somebody will try to give a secret as a flag: that is answered before the parser can quote it.
fn refuse_secrets(args: &[OsString]) -> Result<(), Stop> {
    for setting in SETTINGS.iter().filter(|setting| setting.secret) {
        let given = |arg: &OsString| {
            let arg = arg.to_string_lossy().replace('_', "-");
            let name = arg.split('=').next().unwrap_or_default();
            name.strip_prefix("--").is_some_and(|name| name == setting.key.replace('_', "-"))
        };
        if args.iter().any(given) {
            return Err(Stop::Unusable(unknown::without_flag(setting)));
        }
    }
    Ok(())
}

/// Makes `--switch`, `--switch true` and `--switch=true` the same: the parser would take the word after a lone switch,
/// which may be the command, for its value.
fn spelt_out(args: Vec<OsString>) -> Vec<OsString> {
    let switches: Vec<String> = SETTINGS
        .iter()
        .filter(|setting| setting.kind == Kind::Switch)
        .filter_map(|setting| Some(format!("--{}", setting.flag()?)))
        .collect();
    let mut out: Vec<OsString> = Vec::with_capacity(args.len());
    // Words that stand for themselves: the commands, and what `completions` wants.
    let commands = commands();
    let is_value = |next: &OsString| {
        let word = next.to_str();
        let is_command = |word: &str| commands.iter().any(|command| command.get_name() == word);
        !word.is_some_and(|word| word.starts_with('-') || is_command(word))
    };
    let takes_words = args.iter().any(|arg| arg == "completions");
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        match arg.to_str().filter(|arg| switches.iter().any(|switch| switch == arg)) {
            Some(switch) => {
                // Any other word is a value, too, which is refused with the name of the switch.
                let value = args.next_if(|next| next == "true" || next == "false" || !takes_words && is_value(next));
                let mut whole = OsString::from(format!("{switch}="));
                whole.push(value.unwrap_or_else(|| "true".into()));
                out.push(whole);
            }
            None => out.push(arg),
        }
    }
    out
}

/// The parser: commands, and one flag for each setting that may have one, before or behind the command.
fn parser() -> clap::Command {
    with_flags().subcommands(commands())
}

/// Every command, with what it alone takes.
fn commands() -> [clap::Command; 7] {
    let seed = Arg::new("simulator.seed")
        .long("simulator.seed")
        .value_name("NUMBER")
        .value_parser(value_parser!(u64))
        .help("Seed of the simulated conversations\n[default: another one at each start]")
        .help_heading("simulator");
    let address = Arg::new("simulator.listen-address")
        .long("simulator.listen-address")
        .value_name("HOST:PORT")
        .value_parser(listen_address)
        .default_value("127.0.0.1:10111")
        .help("Where the simulated API is served")
        .help_heading("simulator");
    let faults = Arg::new("simulator.faults")
        .long("simulator.faults")
        .value_name("SHARE")
        .value_parser(share)
        .default_value("0")
        .help("Share of requests that fail, 0 to 1")
        .help_heading("simulator");
    let shell = Arg::new("shell")
        .required(true)
        .value_name("SHELL")
        .value_parser(EnumValueParser::<Shell>::new())
        .help("The shell");
    let command = |name: &'static str, about: &'static str| {
        clap::Command::new(name).about(manual::wrapped(about)).next_line_help(true)
    };
    [
        command("run", "Poll the API, serve the metrics and push them if told to (the default command)"),
        command("demo", "Run against an embedded simulated API: no credentials, nothing kept")
            .arg(&seed)
            .after_help(manual::differences(&Profile::DEMO)),
        command("simulate", "Serve only the simulated API").args([seed, address, faults]),
        command("check-config", "Say what is wrong with the configuration, all at once; 0 if it is usable"),
        command("once", "Poll once, in memory, and print the metrics").after_help(manual::differences(&Profile::ONCE)),
        command("completions", "Print the completions of commands and flags for a shell").arg(shell),
        command("man", "Print the manual page (jelou-exporter man | man -l -)"),
    ]
}

/// The program and the flags of all settings, without its commands.
fn with_flags() -> clap::Command {
    let secrets = SETTINGS.iter().filter(|setting| setting.secret);
    let without_flag =
        secrets.map(|setting| format!("  {}: {}\n          [env: {}]\n", setting.key, setting.meaning, setting.env()));
    clap::Command::new(NAME)
        .about("Prometheus and OpenTelemetry exporter for Jelou conversations")
        .version(REVISION.map_or(VERSION.to_owned(), |revision| format!("{VERSION} (revision {revision})")))
        .disable_help_subcommand(true)
        .next_line_help(true)
        .after_help(format!(
            "Settings without a flag:\n{}\n{}",
            without_flag.collect::<String>(),
            manual::wrapped(
                "A flag goes before the environment, the environment before the file. In the file, --api.page-size is \
                 `page_size:` below `api:`."
            )
        ))
        .arg(
            Arg::new("config.file")
                .long("config.file")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .global(true)
                .help("Settings in YAML [env: JELOU_EXPORTER_CONFIG_FILE]"),
        )
        .args(SETTINGS.iter().filter_map(setting_arg))
}

/// The settings that `-h` shows.
const USUAL: [&str; 8] = [
    "api.client_id",
    "api.client_secret_file",
    "api.timezone",
    "api.account",
    "state.path",
    "web.listen_address",
    "otlp.endpoint",
    "log.level",
];

fn setting_arg(setting: &'static Setting) -> Option<Arg> {
    let flag = setting.flag()?;
    let default = match setting.fallback {
        Fallback::Value(text) | Fallback::Nothing(text) => text,
    };
    let help = format!("{}\n[default: {default}] [env: {}]", capitalized(setting.meaning), setting.env());
    let help = manual::wrapped(&help);
    Some(
        Arg::new(setting.key)
            .long(flag)
            .value_name(setting.kind.value_name())
            // The schema of histograms may be negative.
            .allow_negative_numbers(true)
            .global(true)
            .help(help)
            // `-h` names what nearly everybody sets, `--help` everything.
            .hide_short_help(!USUAL.contains(&setting.key))
            .help_heading(setting.section()),
    )
}

/// As the other lines of the help begin.
fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 1 is wanted".to_owned()),
    }
}

#[cfg(test)]
mod tests;
