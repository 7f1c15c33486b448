//! The polls of late: a bar for each, and what is known of the one that is looked at.
//!
//! Without a script: a bar is a link to its poll's details, of which the style shows the one that the address names, or
//! else the last.

use crate::domain::history::{PollRecord, Work};
use crate::domain::label::{LabelValue, Outcome, RecordResult, Tally, WalkResult};
use crate::domain::time::UnixMillis;

use super::View;
use super::health;
use super::html::Html;
use super::words;

/// Heights of a bar.
const HEIGHTS: [&str; 12] = ["h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9", "h10", "h11", "h12"];
/// Polls that took this long, or longer by half for each step, stand higher; milliseconds.
const LOWEST: f64 = 50.0;

/// The section about polls.
pub(super) fn section(out: &mut Html, view: &View<'_>) {
    let history = &view.snapshot.own.history;
    out.raw("<section class=\"polls\" aria-labelledby=\"polls\">\n<h2 id=\"polls\">Recent polls</h2>\n");
    let Some(last) = history.last() else {
        out.raw("<p class=\"note\">None has ended yet.</p>\n</section>\n");
        return;
    };
    summary(out, view);
    out.raw("<ol class=\"strip\" aria-label=\"Recent polls, oldest first\">\n");
    history.recent().for_each(|poll| bar(out, poll, view.now));
    out.raw("</ol>\n");
    earlier_failures(out, view);
    let all: Vec<&PollRecord> = history.older_failures().chain(history.recent()).collect();
    for (at, poll) in all.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| all[before]);
        details(out, poll, before, all.get(at + 1).copied(), poll.number == last.number, view.now);
    }
    out.raw("</section>\n");
}

fn summary(out: &mut Html, view: &View<'_>) {
    let own = &view.snapshot.own;
    let recent = own.history.recent();
    let (many, failed) = (recent.len() as u64, recent.filter(|poll| poll.failure.is_some()).count() as u64);
    let (all_failed, all) = health::failed_of_all(view.snapshot);
    out.raw("<p class=\"note\">The last ").text(words::many(many, "poll")).raw(": ");
    if failed == 0 {
        out.raw("all succeeded");
    } else if failed == many {
        out.raw("<strong>all failed</strong>");
    } else {
        out.text(words::number(many - failed)).raw(" succeeded, <strong>").text(words::number(failed));
        out.raw(" failed</strong>");
    }
    out.raw(". Since the start: ").text(words::many(all, "poll")).raw(", ");
    out.text(if all_failed == 0 { "none".to_owned() } else { words::number(all_failed) }).raw(" failed.");
    let times = [0.5, 0.99].map(|quantile| own.poll_duration.quantile(quantile));
    if let [Some(half), Some(nearly)] = times {
        out.raw(" Half took at most ").text(words::duration(half)).raw(", 99 % at most ").text(words::duration(nearly));
        out.raw(".");
    }
    out.raw(" One is due every ")
        .text(words::duration(own.poll_interval))
        .raw(". Choose one to see what it did.</p>\n");
}

fn bar(out: &mut Html, poll: &PollRecord, now: UnixMillis) {
    let step = (poll.took as f64 / LOWEST).max(1.0).ln() / 1.5f64.ln() * 0.6;
    let height = HEIGHTS[(step as usize).min(HEIGHTS.len() - 1)];
    out.raw("<li><a class=\"").raw(height).raw(" ").raw(if poll.failure.is_some() { "bad" } else { "good" });
    out.raw("\" href=\"#p").text(poll.number).raw("\" aria-label=\"Poll ").text(poll.number).raw(", ");
    out.text(words::instant(poll.began, now))
        .raw(": ")
        .raw(outcome(poll))
        .raw(" after ")
        .text(words::duration(poll.took));
    out.raw("\"><i></i></a></li>\n");
}

const fn outcome(poll: &PollRecord) -> &'static str {
    if poll.failure.is_some() { "failed" } else { "succeeded" }
}

fn earlier_failures(out: &mut Html, view: &View<'_>) {
    let failures = view.snapshot.own.history.older_failures();
    if failures.len() == 0 {
        return;
    }
    out.raw("<details><summary>Failures before these: ")
        .text(failures.len())
        .raw("</summary>\n<ul class=\"failures\">\n");
    for poll in failures.rev() {
        out.raw("<li><a href=\"#p").text(poll.number).raw("\">").instant(poll.began, view.now).raw(", poll ");
        out.text(poll.number).raw("</a>: ").text(kind(poll)).raw("</li>\n");
    }
    out.raw("</ul></details>\n");
}

/// The kind of failure, in words.
fn kind(poll: &PollRecord) -> String {
    poll.failure.as_ref().map_or_else(String::new, |failure| failure.kind.replace('_', " "))
}

fn details(
    out: &mut Html,
    poll: &PollRecord,
    before: Option<&PollRecord>,
    after: Option<&PollRecord>,
    is_last: bool,
    now: UnixMillis,
) {
    out.raw("<article class=\"poll").raw(if is_last { " last" } else { "" });
    out.raw("\" id=\"p").text(poll.number).raw("\">\n<h3>");
    out.raw(if poll.failure.is_some() {
        "<span class=\"tag bad\">✕ failed</span>"
    } else {
        "<span class=\"tag good\">✓ succeeded</span>"
    });
    out.raw(" Poll ").text(poll.number).raw("</h3>\n<p class=\"steps\">");
    if let Some(before) = before {
        out.raw("<a href=\"#p").text(before.number).raw("\">← poll ").text(before.number).raw("</a> ");
    }
    if let Some(after) = after {
        out.raw("<a href=\"#p").text(after.number).raw("\">poll ").text(after.number).raw(" →</a>");
    }
    out.raw("</p>\n");
    if let Some(failure) = &poll.failure {
        out.raw("<p class=\"why\"><strong>").text(kind(poll)).raw("</strong>: ").text(&failure.why).raw("</p>\n");
    }
    out.raw("<dl class=\"facts\">\n<div><dt>Began</dt><dd>").instant(poll.began, now).raw(" UTC, ");
    out.text(words::ago(poll.began, now)).raw("</dd></div>\n<div><dt>Took</dt><dd>").text(words::duration(poll.took));
    if poll.work.budget_wait > 0 {
        out.raw(", of which ").text(words::duration(poll.work.budget_wait)).raw(" waiting for the request budget");
    }
    out.raw("</dd></div>\n");
    work(out, &poll.work);
    out.raw("</dl>\n");
    if poll.slow_work != Work::default() {
        out.raw("<h4>Catch-up and sweep after it</h4>\n<dl class=\"facts\">\n");
        work(out, &poll.slow_work);
        out.raw("</dl>\n");
    }
    out.raw("</article>\n");
}

fn work(out: &mut Html, work: &Work) {
    out.raw("<div><dt>Requests</dt><dd>").text(parts(&work.requests, &[Outcome::Ok]));
    if work.retries > 0 {
        out.raw("; ").text(words::many(work.retries, "retry").replace("retrys", "retries"));
    }
    out.raw("</dd></div>\n<div><dt>Ranges read</dt><dd>").text(parts(&work.walks, &[WalkResult::Complete]));
    out.raw("</dd></div>\n<div><dt>Rows</dt><dd>");
    out.text(parts(&work.records, &[RecordResult::New, RecordResult::Changed, RecordResult::Unchanged]));
    let events = work.events;
    out.raw("</dd></div>\n<div><dt>Counted</dt><dd>").text(words::number(events.started)).raw(" started, ");
    out.text(words::number(events.replied))
        .raw(" replied, ")
        .text(words::number(events.ended))
        .raw(" ended</dd></div>\n");
}

/// `5: 4 ok, 1 timeout`: all together, and each that is not zero or is `always` told.
fn parts<K: LabelValue + PartialEq>(tally: &Tally<K>, always: &[K]) -> String {
    let all = tally.total();
    if all == 0 {
        return "none".to_owned();
    }
    let parts = tally.iter().filter(|(key, count)| *count > 0 || always.contains(key));
    let parts: Vec<String> =
        parts.map(|(key, count)| format!("{} {}", words::number(count), key.text().replace('_', " "))).collect();
    format!("{}: {}", words::number(all), parts.join(", "))
}
