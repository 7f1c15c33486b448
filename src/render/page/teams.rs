//! How each team of each bot does: who needs help comes first.

use std::cmp::Reverse;

use crate::domain::pair::Pair;
use crate::domain::snapshot::{Conversations, Moment, PERCENTILES};
use crate::domain::time::UnixMillis;

use super::View;
use super::html::{Html, cut};
use super::plot::{self, Axis};
use super::words;

/// Rows of the table at most.
pub(super) const ROWS: usize = 50;

/// One pair and what is known of it at this moment.
struct Row<'a> {
    pair: &'a Pair,
    moment: Option<&'a Moment>,
    /// How long the one has waited that waits longest, milliseconds.
    longest_wait: Option<u64>,
}

impl<'a> Row<'a> {
    fn new(pair: &'a Pair, moment: Option<&'a Moment>, now: UnixMillis) -> Self {
        let oldest = moment.and_then(|moment| moment.oldest_waiting_start);
        Self { pair, moment, longest_wait: oldest.map(|start| words::since(start, now)) }
    }

    fn decided(&self) -> u64 {
        self.pair.met + self.pair.missed
    }

    /// Sorts by the longest wait, then by how many wait, then by the worst service level.
    fn urgency(&self) -> impl Ord + use<> {
        // In millionths, so that it can be compared; who has decided nothing comes last.
        let level = (u128::from(self.pair.met) * 1_000_000).checked_div(u128::from(self.decided()));
        let waiting = self.moment.map_or(0, |moment| moment.waiting);
        (Reverse(self.longest_wait), Reverse(waiting), level.unwrap_or(u128::MAX))
    }
}

fn rows<'a>(shown: &'a Conversations, now: UnixMillis) -> Vec<Row<'a>> {
    let moment = |at: usize| shown.moments.as_ref().map(|moments| &moments[at]);
    let mut rows: Vec<Row<'_>> =
        shown.pairs.iter().enumerate().map(|(at, pair)| Row::new(pair, moment(at), now)).collect();
    // Stable: pairs come sorted by their names.
    rows.sort_by_cached_key(Row::urgency);
    rows
}

/// The numbers of the whole account.
pub(super) fn totals(out: &mut Html, view: &View<'_>) {
    let Some(shown) = &view.snapshot.conversations else { return };
    let sum = |count: fn(&Moment) -> u64| shown.moments.as_ref().map(|moments| moments.iter().map(count).sum::<u64>());
    let oldest =
        shown.moments.iter().flat_map(|moments| moments.iter()).filter_map(|moment| moment.oldest_waiting_start).min();
    let (met, missed) = shown.pairs.iter().fold((0, 0), |(met, missed), pair| (met + pair.met, missed + pair.missed));
    let target = view.snapshot.own.reply_target;
    out.raw("<dl class=\"tiles\">\n");
    let unknown = "–".to_owned();
    let told = |count: Option<u64>| count.map_or_else(|| unknown.clone(), words::number);
    let wait = oldest.map(|start| words::since(start, view.now));
    let tiles = [
        ("Waiting for a first reply", told(sum(|moment| moment.waiting)), String::new()),
        (
            "Longest wait now",
            match (&shown.moments, wait) {
                (None, _) => unknown.clone(),
                (Some(_), None) => "nobody waits".to_owned(),
                (Some(_), Some(wait)) => words::duration(wait),
            },
            // "12 min beyond the target" would be 12 min more than that.
            wait.filter(|wait| *wait > target)
                .map_or_else(String::new, |_| format!("the target is {}", words::duration(target))),
        ),
        ("Active conversations", told(sum(|moment| moment.active)), String::new()),
        (
            "Answered in time",
            words::percent(met, met + missed).unwrap_or(unknown),
            format!("{} of {} within {}", words::number(met), words::number(met + missed), words::duration(target)),
        ),
    ];
    for (name, value, more) in tiles {
        out.raw("<div><dt>").text(name).raw("</dt><dd>").text(value);
        if !more.is_empty() {
            out.raw(" <small>").text(more).raw("</small>");
        }
        out.raw("</dd></div>\n");
    }
    out.raw("</dl>\n");
}

/// The section about teams.
pub(super) fn section(out: &mut Html, view: &View<'_>) {
    out.raw("<section aria-labelledby=\"teams\">\n<h2 id=\"teams\">Teams</h2>\n");
    let Some(shown) = &view.snapshot.conversations else {
        out.raw("<p class=\"note\">Shown as soon as the initial range has been read completely.</p>\n</section>\n");
        return;
    };
    if shown.pairs.is_empty() {
        out.raw("<p class=\"note\">No conversation has been seen yet.</p>\n</section>\n");
        return;
    }
    let own = &view.snapshot.own;
    let rows = rows(shown, view.now);
    let left_out = rows.len().saturating_sub(ROWS);
    let top = &rows[..rows.len() - left_out];
    out.raw("<p class=\"note\" id=\"how\">Who has waited longest comes first, then the worst service level. Percentiles are of \
             the replies given within ").text(words::duration(own.recent_window));
    out.raw(" before the last successful poll, by HDR histogram; the curve is of all replies that were counted. Service level: \
             conversations answered within ").text(words::duration(own.reply_target));
    out.raw(", of all that are decided. ▲ marks what is beyond that.");
    if shown.moments.is_none() {
        out.raw(" <strong>Who is active and who waits is not known: no poll has succeeded lately.</strong>");
    }
    out.raw("</p>\n");
    out.raw("<table class=\"teams\" role=\"table\" aria-labelledby=\"teams\" aria-describedby=\"how\">\n<thead role=\"rowgroup\"><tr role=\"row\">");
    for column in
        ["Team", "Active", "Waiting", "Longest wait", "p50", "p90", "p99", "Service level", "Reply times by percentile"]
    {
        out.raw("<th scope=\"col\" role=\"columnheader\">").text(column).raw("</th>");
    }
    out.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    let longest = top.iter().filter_map(|row| row.pair.reply.quantile(0.999));
    let axis = Axis::over(longest, own.reply_target);
    for row in top {
        write_row(out, row, view, axis);
    }
    out.raw("</tbody></table>\n");
    if left_out > 0 {
        out.raw("<p class=\"note\">").text(words::number(left_out as u64));
        out.raw(" more are left out here, which are less in need; the metrics have them all.</p>\n");
    }
    out.raw("</section>\n");
}

fn write_row(out: &mut Html, row: &Row<'_>, view: &View<'_>, axis: Axis) {
    let target = view.snapshot.own.reply_target;
    let labels = &row.pair.labels;
    out.raw("<tr role=\"row\"><th scope=\"row\" role=\"rowheader\"><span class=\"team\">").name(&labels.team);
    out.raw("</span> <span class=\"bot\">").name(&labels.bot).raw("</span></th>");
    cell(out, "Active", row.moment.map(|moment| words::number(moment.active)));
    cell(out, "Waiting", row.moment.map(|moment| words::number(moment.waiting)));
    let nobody = || row.moment.map(|_| "–".to_owned());
    time(out, "Longest wait", "late", row.longest_wait, target, nobody);
    for (percentile, name) in [(50.0, "p50"), (90.0, "p90"), (99.0, "p99")] {
        let at = PERCENTILES.iter().position(|known| *known == percentile);
        let recent = at.and_then(|at| row.moment.and_then(|moment| moment.reply_recent[at]));
        time(out, name, "over", recent, target, nobody);
    }
    level(out, row, view.now);
    out.raw("<td role=\"cell\" class=\"curve-of\" data-of=\"Reply times by percentile\">");
    plot::draw(out, &format!("{}, {}", cut(&labels.team), cut(&labels.bot)), &row.pair.reply, target, axis);
    if row.pair.reply.count() == 0 {
        out.raw("<small>no reply counted yet</small>");
    }
    out.raw("</td></tr>\n");
}

/// A cell with a time, marked so when it is beyond the target.
fn time(
    out: &mut Html,
    name: &'static str,
    mark: &'static str,
    millis: Option<u64>,
    target: u64,
    nothing: impl Fn() -> Option<String>,
) {
    match millis {
        Some(millis) if millis > target => {
            out.raw("<td role=\"cell\" data-of=\"").raw(name).raw("\"><span class=\"").raw(mark).raw("\">▲ ");
            out.text(words::duration(millis)).raw("</span></td>");
        }
        millis => cell(out, name, millis.map(words::duration).or_else(nothing)),
    }
}

/// A cell; what is not known is a question mark.
fn cell(out: &mut Html, name: &'static str, value: Option<String>) {
    out.raw("<td role=\"cell\" data-of=\"").raw(name).raw("\">").text(value.as_deref().unwrap_or("?")).raw("</td>");
}

fn level(out: &mut Html, row: &Row<'_>, now: UnixMillis) {
    out.raw("<td role=\"cell\" class=\"level\" data-of=\"Service level\">");
    match words::percent(row.pair.met, row.decided()) {
        Some(percent) => {
            out.raw("<strong>").text(percent).raw("</strong> <small>").text(words::number(row.pair.met)).raw(" of ");
            out.text(words::number(row.decided()))
                .raw("</small> <small>since ")
                .instant(row.pair.start, now)
                .raw("</small>");
        }
        None => {
            out.raw("– <small>none decided since ").instant(row.pair.start, now).raw("</small>");
        }
    }
    out.raw("</td>");
}
