//! How fresh and how complete the data is, and what is odd about it.

use crate::domain::label::{ExportResult, RecordResult};
use crate::domain::time::UnixMillis;

use super::View;
use super::health;
use super::html::Html;
use super::words;

/// The section about the data.
pub(super) fn section(out: &mut Html, view: &View<'_>) {
    out.raw("<section aria-labelledby=\"data\">\n<h2 id=\"data\">Data</h2>\n<dl class=\"facts\">\n");
    freshness(out, view);
    state(out, view);
    out.raw("</dl>\n");
    oddities(out, view);
    out.raw("</section>\n");
}

fn fact(out: &mut Html, name: &'static str, value: impl std::fmt::Display) {
    out.raw("<div><dt>").raw(name).raw("</dt><dd>").text(value).raw("</dd></div>\n");
}

fn moment(out: &mut Html, name: &'static str, at: Option<UnixMillis>, now: UnixMillis) {
    out.raw("<div><dt>").raw(name).raw("</dt><dd>");
    match at {
        Some(at) => out.instant(at, now).raw(" UTC, ").text(words::ago(at, now)),
        None => out.raw("not yet"),
    };
    out.raw("</dd></div>\n");
}

fn freshness(out: &mut Html, view: &View<'_>) {
    let own = &view.snapshot.own;
    match health::not_ready(view.snapshot) {
        None => fact(out, "Ready", "yes"),
        Some(why) => fact(out, "Ready", format_args!("no: {why}")),
    }
    moment(out, "Last poll began", own.last_poll, view.now);
    moment(out, "Last successful poll ended", own.last_success, view.now);
    moment(out, "Complete up to", own.data_complete, view.now);
    if own.to_read.unread > 0 {
        fact(out, "History still to be read", words::duration(own.to_read.unread.saturating_mul(1000)));
    }
    moment(out, "Everything read again", own.last_sweep, view.now);
    if let Some(offset) = own.clock_offset {
        let side = if offset < 0 { "behind" } else { "ahead of" };
        // The upstream tells whole seconds only.
        let apart = offset.unsigned_abs();
        match apart {
            0..2000 => fact(out, "The API's clock", "agrees with ours"),
            _ => fact(out, "The API's clock", format_args!("{} {side} ours", words::duration(apart))),
        }
    }
}

fn state(out: &mut Html, view: &View<'_>) {
    let own = &view.snapshot.own;
    let remembered = words::number(own.ledger_entries);
    fact(
        out,
        "Conversations remembered",
        format_args!("{remembered}, {} may still change", words::number(own.unsettled)),
    );
    fact(out, "Pairs of bot and team", words::number(own.label_sets));
    moment(out, "State began", Some(view.snapshot.tallies.start), view.now);
    match own.checkpoint {
        None => fact(out, "Checkpoint", "none: state is in memory only, and counting begins anew after a restart"),
        Some(checkpoint) => {
            moment(out, "Checkpoint written", checkpoint.last_success, view.now);
            let size = checkpoint.size.map_or_else(|| "not known".to_owned(), mebibytes);
            fact(out, "Its size", size);
            if checkpoint.failures > 0 {
                fact(out, "Commits that failed", words::number(checkpoint.failures));
            }
        }
    }
    if let Some(exports) = &view.live.exports {
        moment(out, "OTLP receiver took all", exports.last_success, view.now);
        let [partial, failed] =
            [ExportResult::Partial, ExportResult::Failure].map(|result| exports.results.get(result));
        if partial + failed > 0 {
            let (partial, failed) = (words::number(partial), words::number(failed));
            fact(out, "Pushes", format_args!("{failed} failed, {partial} taken in part"));
        }
    }
    moment(out, "Process started", Some(own.process_start), view.now);
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// What should be zero, and is not.
fn oddities(out: &mut Html, view: &View<'_>) {
    let (own, tallies) = (&view.snapshot.own, &view.snapshot.tallies);
    let all = [
        (
            own.records.get(RecordResult::Rejected),
            "times a row without an id or a readable start was read, and passed over",
        ),
        (own.unknown_values.total(), "values of state, reason or origin are not known here and count as other"),
        (tallies.amendments.total(), "values changed after they had been counted, and were not counted again"),
        (tallies.outside_window, "conversations are dated outside the range that was asked for: check api.timezone"),
        (tallies.vanished, "conversations vanished from the API before they had settled"),
        (tallies.aged_out, "conversations passed poll.horizon before they had settled"),
        (tallies.overflowed, "conversations count under bot and team __overflow__"),
        (own.abandoned / 1000, "seconds of conversation starts passed poll.horizon unread"),
    ];
    if all.iter().all(|(count, _)| *count == 0) {
        return;
    }
    out.raw("<h3>Oddities</h3>\n<ul class=\"odd\">\n");
    for (count, what) in all.into_iter().filter(|(count, _)| *count > 0) {
        out.raw("<li><strong>").text(words::number(count)).raw("</strong> ").raw(what).raw("</li>\n");
    }
    out.raw("</ul>\n<p class=\"note\">Of the state since it began, or of this process. Each is a metric, too.</p>\n");
}
