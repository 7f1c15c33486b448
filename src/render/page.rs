//! The status page: HTML for people, from a snapshot, without scripts and without anything that is loaded.
//!
//! * `html`: markup that nothing can break out of; `words`: numbers and times as people say them; `style`: how it looks
//! * `health`: the verdict; `polls`, `teams`, `data`: the sections; `plot`: a distribution by percentile
//!
//! It is well-formed XML as well, so that a strict parser can judge it. Whatever the number of pairs, it has an end: the
//! rows are bounded, and so are the names in them.

mod data;
mod health;
mod html;
mod plot;
mod polls;
mod style;
mod teams;
#[cfg(test)]
mod tests;
mod words;

use crate::domain::snapshot::{Live, Snapshot};
use crate::domain::time::UnixMillis;
pub use health::not_ready;
use health::{State, Verdict};
use html::Html;
pub use style::STYLE;

/// What the page shows.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The snapshot as it is to be shown at `now`.
    pub snapshot: &'a Snapshot,
    /// What moves between snapshots.
    pub live: &'a Live,
    /// The present, by which ages are told.
    pub now: UnixMillis,
    /// Where the metrics are.
    pub telemetry_path: &'a str,
}

/// The page.
pub fn html(view: &View<'_>) -> String {
    let mut out = Html::default();
    let verdict = health::verdict(view);
    head(&mut out, view, verdict.state);
    out.raw("<body>\n");
    title(&mut out, view);
    out.raw("<main>\n");
    write_verdict(&mut out, &verdict);
    teams::totals(&mut out, view);
    polls::section(&mut out, view);
    teams::section(&mut out, view);
    data::section(&mut out, view);
    out.raw("</main>\n");
    foot(&mut out, view);
    out.raw("</body>\n</html>\n");
    out.into_string()
}

fn head(out: &mut Html, view: &View<'_>, state: State) {
    out.raw(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<meta name=\"robots\" content=\"noindex\"/>\n<title>",
    );
    out.raw(state.sign()).raw(" ").text(html::cut(&view.snapshot.account)).raw(" – jelou-exporter</title>\n");
    // Within the page, so that no request for one is made.
    out.raw("<link rel=\"icon\" href=\"").raw(icon(state)).raw("\"/>\n<style>").raw(STYLE).raw("</style>\n</head>\n");
}

/// A sign for the tab: a disc, a triangle, a ring or a cross.
const fn icon(state: State) -> &'static str {
    match state {
        State::Healthy => {
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' \
             fill='%231a7f37'/%3E%3C/svg%3E"
        }
        State::Notice => {
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M8 1l7 14H1z' \
             fill='%239a6700'/%3E%3C/svg%3E"
        }
        State::Starting => {
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='5' \
             fill='none' stroke='%230969da' stroke-width='3'/%3E%3C/svg%3E"
        }
        State::Failing => {
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M2 2l12 12M14 2L2 14' \
             stroke='%23cf222e' stroke-width='4'/%3E%3C/svg%3E"
        }
    }
}

fn title(out: &mut Html, view: &View<'_>) {
    let (snapshot, now) = (view.snapshot, view.now);
    out.raw("<header>\n<h1>jelou-exporter <span class=\"account\">").name(&snapshot.account).raw("</span></h1>\n");
    out.raw("<p class=\"note\">Jelou conversations as Prometheus and OpenTelemetry metrics");
    if let Some(company) = &snapshot.own.company {
        out.raw(", of company ").name(company);
    }
    out.raw(". As of <time datetime=\"")
        .text(words::rfc3339(now))
        .raw("\">")
        .text(words::rfc3339(now).replace(['T', 'Z'], " "));
    out.raw("</time>UTC; times are UTC. <a href=\"/\">Load again</a></p>\n</header>\n");
}

fn write_verdict(out: &mut Html, verdict: &Verdict) {
    out.raw("<section class=\"verdict ").raw(verdict.state.class()).raw("\" aria-labelledby=\"verdict\">\n");
    out.raw("<h2 id=\"verdict\"><span class=\"sign\" aria-hidden=\"true\">").raw(verdict.state.sign()).raw("</span> ");
    out.text(&verdict.headline).raw("</h2>\n");
    if let Some(freshness) = &verdict.freshness {
        out.raw("<p>").text(freshness).raw("</p>\n");
    }
    if !verdict.findings.is_empty() {
        out.raw("<ul>\n");
        for finding in &verdict.findings {
            out.raw("<li><strong>").text(&finding.what).raw("</strong> ").text(&finding.advice).raw("</li>\n");
        }
        out.raw("</ul>\n");
    }
    out.raw("</section>\n");
}

fn foot(out: &mut Html, view: &View<'_>) {
    let revision = view.snapshot.own.revision;
    out.raw("<footer>\n<p><a href=\"")
        .text(view.telemetry_path)
        .raw("\">Metrics</a> · <a href=\"/-/healthy\">Healthy</a> · ");
    out.raw("<a href=\"/-/ready\">Ready</a></p>\n<p class=\"note\">Version ").raw(env!("CARGO_PKG_VERSION"));
    if !revision.is_empty() {
        out.raw(", revision ").text(revision);
    }
    out.raw("</p>\n</footer>\n");
}
