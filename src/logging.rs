//! Log lines on stderr, as logfmt or as JSON objects, both with the keys `ts`, `level` and `msg` first.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::subscriber::SetGlobalDefaultError;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::{Registry, reload};

use crate::clock::Clock;
use crate::domain::label::LogLevel;
use crate::domain::time::UnixMillis;
use crate::live::LiveStats;

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `ts=… level=… msg=… key=value`
    #[default]
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// Changes level and format while the process runs.
#[derive(Clone, Debug)]
pub struct Control {
    filter: reload::Handle<Targets, Registry>,
    json: Arc<AtomicBool>,
}

impl Control {
    /// From here on messages from `level` up are written, and so.
    pub fn set(&self, level: LogLevel, format: LogFormat) {
        self.json.store(format == LogFormat::Json, Ordering::Relaxed);
        // It fails only when there is no log any more, and then there is nobody to tell.
        let _ = self.filter.reload(filter(level));
    }
}

/// Sends every message of this process from `level` up to stderr, and counts it. Fails if that was done before.
pub fn init(
    level: LogLevel,
    format: LogFormat,
    clock: Arc<dyn Clock>,
    live: Arc<LiveStats>,
) -> Result<Control, SetGlobalDefaultError> {
    let (subscriber, control) = subscriber(level, format, clock, live, io::stderr());
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(control)
}

/// What [`init`] installs, writing elsewhere.
pub(crate) fn subscriber(
    level: LogLevel,
    format: LogFormat,
    clock: Arc<dyn Clock>,
    live: Arc<LiveStats>,
    out: impl Write + Send + 'static,
) -> (impl Subscriber + Send + Sync, Control) {
    let json = Arc::new(AtomicBool::new(format == LogFormat::Json));
    let (filter, handle) = reload::Layer::new(filter(level));
    let lines = Lines { json: Arc::clone(&json), clock, out: Mutex::new(out) };
    let subscriber = tracing_subscriber::registry().with(filter).with(Counts(live)).with(lines);
    (subscriber, Control { filter: handle, json })
}

/// Other crates are heard from `warn` up: at debug they log every frame and handshake. Only `trace` shows it all.
fn filter(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let others = if level == LogLevel::Trace { own } else { own.min(LevelFilter::WARN) };
    Targets::new().with_default(others).with_target("jelou_exporter", own)
}

fn level(metadata: &Metadata<'_>) -> LogLevel {
    match *metadata.level() {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        Level::DEBUG => LogLevel::Debug,
        Level::TRACE => LogLevel::Trace,
    }
}

/// Counts messages by level.
struct Counts(Arc<LiveStats>);

impl<S: Subscriber> Layer<S> for Counts {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.count_log(level(event.metadata()));
    }
}

/// Writes messages, one line each.
struct Lines<W> {
    json: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
    out: Mutex<W>,
}

impl<S: Subscriber, W: Write + Send + 'static> Layer<S> for Lines<W> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (now, level) = (self.clock.now(), level(event.metadata()).as_str());
        let mut line = match self.json.load(Ordering::Relaxed) {
            false => logfmt(now, level, &fields),
            true => json(now, level, fields),
        };
        line.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // When stderr is gone there is nobody left to tell.
        let _ = out.write_all(line.as_bytes());
    }
}

/// What a message says.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, serde_json::Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: serde_json::Value) {
        self.others.push((field.name(), value));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // `%value` comes here too, as something whose Debug is its Display.
        let value = format!("{value:?}");
        if field.name() == "message" { self.message = value } else { self.add(field, value.into()) }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" { self.message = value.to_owned() } else { self.add(field, value.into()) }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON knows neither NaN nor infinity.
        let number = serde_json::Number::from_f64(value);
        self.add(field, number.map_or_else(|| value.to_string().into(), serde_json::Value::Number));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add(field, chain(value).into());
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Many errors already end with their cause.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn timestamp(now: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(now.0).map_or_else(|_| now.0.to_string(), |now| format!("{now:.3}"))
}

fn logfmt(now: UnixMillis, level: &str, fields: &Fields) -> String {
    let mut line = format!("ts={} level={level} msg=", timestamp(now));
    push_value(&mut line, &fields.message, true);
    for (name, value) in &fields.others {
        line.push(' ');
        line.push_str(name);
        line.push('=');
        match value {
            serde_json::Value::String(text) => push_value(&mut line, text, false),
            number => {
                // Writing to a string cannot fail.
                let _ = write!(line, "{number}");
            }
        }
    }
    line
}

/// Quotes what logfmt needs quoted; messages always, because people look for the quotes.
fn push_value(line: &mut String, text: &str, always: bool) {
    let plain = |char: char| char > ' ' && !matches!(char, '"' | '=' | '\\') && !misleads(char);
    if !always && !text.is_empty() && text.chars().all(plain) {
        line.push_str(text);
        return;
    }
    line.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => line.extend(['\\', char]),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            _ => push_char(line, char),
        }
    }
    line.push('"');
}

/// Whether a character tells a terminal or a reader of lines something instead of being shown: a line stays a line, in the
/// order in which it was written.
fn misleads(char: char) -> bool {
    char.is_control()
        // Line and paragraph ends of Unicode; marks, embeddings, overrides and isolates that turn the direction of writing.
        || matches!(char, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Within quotes, as both formats escape.
fn push_char(line: &mut String, char: char) {
    if misleads(char) {
        // All of them have four digits. Writing to a string cannot fail.
        let _ = write!(line, "\\u{:04x}", u32::from(char));
    } else {
        line.push(char);
    }
}

/// Written by hand around the values, so that the first keys are where people look for them.
fn json(now: UnixMillis, level: &str, fields: Fields) -> String {
    let first = [("ts", timestamp(now).into()), ("level", level.into()), ("msg", fields.message.into())];
    let mut line = String::from("{");
    for (name, value) in first.into_iter().chain(fields.others) {
        if line.len() > 1 {
            line.push(',');
        }
        // What misleads stands within quotes, and serde_json leaves more of it as it is than a terminal should see.
        let (name, value) = (serde_json::Value::from(name).to_string(), value.to_string());
        name.chars().chain([':']).chain(value.chars()).for_each(|char| push_char(&mut line, char));
    }
    line.push('}');
    line
}

#[cfg(test)]
pub(crate) mod tests;
