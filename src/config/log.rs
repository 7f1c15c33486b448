//! What is logged, and how.

use super::reader::Reader;

/// Settings of the section `log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The least weight that is logged.
    pub level: tracing::Level,
    /// How a line is written.
    pub format: LogFormat,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The format of this name.
    pub fn named(text: &str) -> Option<Self> {
        match text {
            "logfmt" => Some(Self::Logfmt),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// Reads the section.
pub(super) fn read(from: &mut Reader<'_>) -> Option<LogSettings> {
    // The words and no others: `tracing` would take a number for a level too.
    let level = from.choice("log.level", |text| match text {
        "error" => Some(tracing::Level::ERROR),
        "warn" => Some(tracing::Level::WARN),
        "info" => Some(tracing::Level::INFO),
        "debug" => Some(tracing::Level::DEBUG),
        "trace" => Some(tracing::Level::TRACE),
        _ => None,
    });
    let format = from.choice("log.format", LogFormat::named);
    Some(LogSettings { level: level?, format: format? })
}
