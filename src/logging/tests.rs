use std::sync::LazyLock;

use super::*;
use crate::clock::ManualClock;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// While there is but one subscriber, tracing asks the thread that first comes to a place in the code whether anybody listens
/// there, and believes it for all threads: another test, without a subscriber, could silence this one.
static ANOTHER: LazyLock<tracing::Dispatch> =
    LazyLock::new(|| tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new()));

/// What is written at this level and in this format while `log` runs, and how it was counted.
pub(crate) fn logged(level: LogLevel, format: LogFormat, log: impl FnOnce()) -> (String, Arc<LiveStats>) {
    LazyLock::force(&ANOTHER);
    let (kept, live) = (Kept::default(), Arc::new(LiveStats::new(false)));
    let clock = Arc::new(ManualClock::new(UnixMillis(1_767_225_600_007)));
    let (subscriber, _) = subscriber(level, format, clock, Arc::clone(&live), kept.clone());
    tracing::subscriber::with_default(subscriber, log);
    (String::from_utf8(kept.0.lock().unwrap().clone()).unwrap(), live)
}

fn say_much() {
    let (text, none) = ("two words", f64::NAN);
    tracing::info!(
        count = 3,
        text,
        plain = "x",
        empty = "",
        ratio = 0.5,
        none,
        yes = true,
        "polled \"all\"\n\u{1b}[31m"
    );
    let error = io::Error::other("no \"route\"");
    tracing::warn!(error = &error as &dyn std::error::Error, debug = ?Some("a"), shown = %"b=c", "failed");
}

#[test]
fn logfmt_quotes_what_needs_it() {
    let (text, _) = logged(LogLevel::Info, LogFormat::Logfmt, say_much);
    assert_eq!(
        text,
        "ts=2026-01-01T00:00:00.007Z level=info msg=\"polled \\\"all\\\"\\n\\u001b[31m\" count=3 text=\"two words\" \
         plain=x empty=\"\" ratio=0.5 none=NaN yes=true\n\
         ts=2026-01-01T00:00:00.007Z level=warn msg=\"failed\" error=\"no \\\"route\\\"\" \
         debug=\"Some(\\\"a\\\")\" shown=\"b=c\"\n"
    );
}

#[test]
fn json_is_one_object_a_line() {
    let (text, _) = logged(LogLevel::Info, LogFormat::Json, say_much);
    assert_eq!(text.lines().count(), 2);
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["msg"], "polled \"all\"\n\u{1b}[31m");
    assert_eq!((&first["count"], &first["ratio"], &first["yes"]), (&3.into(), &0.5.into(), &true.into()));
    assert_eq!(first["none"], "NaN");
    assert!(text.starts_with("{\"ts\":\"2026-01-01T00:00:00.007Z\",\"level\":\"info\",\"msg\":"));
}

/// U+009B begins a command to a terminal as ESC [ does, U+202E turns what follows around.
#[test]
fn nothing_that_is_logged_leaves_its_line_or_commands_a_terminal() {
    const ODD: &str =
        "\0\u{8}\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}";
    for format in [LogFormat::Logfmt, LogFormat::Json] {
        let (text, _) = logged(
            LogLevel::Info,
            format,
            || tracing::info!(account = ODD, shown = %"\u{202e}", "Móvil 客服 🤖 {ODD}"),
        );
        let line = text.strip_suffix('\n').unwrap();
        assert!(!line.contains(|char| ODD.contains(char)), "{line:?}");
        assert!(line.contains("Móvil 客服 🤖 ") && line.contains("\\u009b") && line.contains("\\u202e"), "{line}");
        if format == LogFormat::Json {
            let read: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!((&read["account"], &read["shown"]), (&ODD.into(), &"\u{202e}".into()));
        }
    }
}

#[test]
fn the_level_filters_what_is_written_and_counted() {
    let all = || {
        tracing::error!("e");
        tracing::warn!("w");
        tracing::info!("i");
        tracing::debug!("d");
        tracing::trace!("t");
        tracing::debug!(target: "h2::codec", "frame");
        tracing::warn!(target: "hyper::proto", "odd");
    };
    for (level, lines) in
        [(LogLevel::Error, 1), (LogLevel::Warn, 3), (LogLevel::Info, 4), (LogLevel::Debug, 5), (LogLevel::Trace, 7)]
    {
        let (text, live) = logged(level, LogFormat::Logfmt, all);
        assert_eq!(text.lines().count(), lines, "{level:?}: {text}");
        let counted: u64 = live.live().log_messages.iter().map(|(_, count)| count).sum();
        assert_eq!(counted, lines as u64);
    }
}
