//! The page at `/`: what this is and how it is doing, for someone who finds the port.

use std::borrow::Cow;

use crate::domain::snapshot::Snapshot;
use crate::domain::time::UnixMillis;

/// Nothing is loaded, nothing runs, nothing may frame the page.
pub(super) const SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Why the conversation families are not served yet; `None` when they are.
pub(super) fn not_ready(snapshot: &Snapshot) -> Option<&'static str> {
    if snapshot.is_ready() {
        None
    } else if polls(snapshot) == 0 {
        Some("no poll of the Jelou API has ended yet")
    } else if snapshot.conversations.is_some() {
        Some("what came from the checkpoint is served, and no poll of the Jelou API has confirmed it yet")
    } else if snapshot.own.up {
        Some("the initial range of conversations has not been read completely yet")
    } else {
        Some("the last poll of the Jelou API failed, and the initial range has not been read completely yet")
    }
}

/// How many polls have ended.
fn polls(snapshot: &Snapshot) -> u64 {
    snapshot.own.polls.iter().map(|(_, count)| count).sum()
}

/// The page, valid HTML without scripts.
pub(super) fn html(snapshot: &Snapshot, telemetry_path: &str) -> String {
    let own = &snapshot.own;
    let polling = match (polls(snapshot), own.up) {
        (0, _) => "no poll has ended yet",
        (_, true) => "yes, the last poll succeeded",
        (_, false) => "no, the last poll failed; the log says why",
    };
    let ready = not_ready(snapshot).map_or(Cow::Borrowed("yes"), |why| Cow::Owned(format!("no: {why}")));
    let revision = if own.revision.is_empty() { String::new() } else { format!(" ({})", own.revision) };
    let rows: [(&str, Cow<'_, str>); 7] = [
        ("Version", format!("{}{revision}", env!("CARGO_PKG_VERSION")).into()),
        ("Account", (&*snapshot.account).into()),
        ("Healthy", polling.into()),
        ("Ready", ready),
        ("Last poll began", instant(own.last_poll).into()),
        ("Last successful poll ended", instant(own.last_success).into()),
        ("Data complete up to", instant(own.data_complete).into()),
    ];
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n", escape(value)))
        .collect();
    let path = escape(telemetry_path);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>jelou-exporter</title>\n\
         <style>body {{ font-family: sans-serif; margin: 2em }} th {{ text-align: left; padding-right: 2em }}</style>\n\
         </head>\n<body>\n<h1>jelou-exporter</h1>\n\
         <p>Jelou conversations as Prometheus and OpenTelemetry metrics.</p>\n<table>\n{rows}</table>\n\
         <p><a href=\"{path}\">Metrics</a></p>\n</body>\n</html>\n"
    )
}

fn instant(at: Option<UnixMillis>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::from_millisecond(at.0).ok());
    at.map_or_else(|| "not yet".to_owned(), |at| format!("{at:.0}"))
}

/// Safe as HTML text and inside a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::PollResult;
    use crate::render::sample;

    #[test]
    fn nothing_on_the_page_can_break_out() {
        let mut snapshot = sample::with_pairs([]);
        snapshot.account = "<script>\"&'".into();
        let page = html(&snapshot, "/m\"><script>");
        assert!(!page.contains("<script>"));
        assert!(page.contains("&lt;script&gt;&quot;&amp;&#39;"));
        assert!(page.contains("<a href=\"/m&quot;&gt;&lt;script&gt;\">"));
    }

    #[test]
    fn it_says_how_things_are() {
        let page = html(&sample::with_pairs([]), "/metrics");
        assert!(
            page.contains("<th scope=\"row\">Last successful poll ended</th><td>2025-12-31T23:59:59Z</td>"),
            "{page}"
        );
        assert!(page.contains("<th scope=\"row\">Ready</th><td>yes</td>"));
        assert!(page.contains("<th scope=\"row\">Data complete up to</th><td>not yet</td>"));
        let mut snapshot = sample::empty();
        // A poll that has begun has neither failed nor succeeded.
        snapshot.own.last_poll = Some(sample::NOW);
        let page = html(&snapshot, "/metrics");
        assert!(page.contains("<td>no: no poll of the Jelou API has ended yet</td>"));
        assert!(page.contains("<td>no poll has ended yet</td>"));
        snapshot.own.polls.count(PollResult::Failure);
        assert!(html(&snapshot, "/metrics").contains("no, the last poll failed"));
        let mut restored = sample::with_pairs([]);
        (restored.own.restored, restored.own.last_success) = (true, None);
        restored.own.polls.count(PollResult::Failure);
        assert!(not_ready(&restored).is_some_and(|why| why.contains("checkpoint")));
    }
}
