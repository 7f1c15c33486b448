//! One page of a range, in the frame that the upstream puts around it.

use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::answer::State;
use super::faults::Fault;
use super::options::{DateStyle, TotalStyle};
use super::record::Writing;
use super::request::{self, Ask, Dialect};
use crate::domain::time::UnixMillis;

impl State {
    /// The body of a successful answer.
    pub(super) fn page(&mut self, parts: &Parts, ask: &Ask, now: UnixMillis, fault: Fault) -> Value {
        let reached = self.reached(now);
        let offset = (ask.page - 1).saturating_mul(ask.limit);
        let shift = if let Fault::ShiftedRows(rows) = fault { rows } else { 0 };
        let skip = offset.saturating_add_signed(shift);
        let listing = self.world.page((ask.from, ask.until), reached, skip, ask.limit);
        let default_style = match ask.dialect {
            Dialect::MetricsPost => DateStyle::Local,
            Dialect::ExternalGet => DateStyle::IsoUtc,
        };
        let quirks = self.options.quirks;
        let writing = Writing {
            dates: self.options.date_style.unwrap_or(default_style),
            zone: request::zone(&parts.headers, self.options.fixed_zone.as_deref()),
            quirks,
            company: self.options.company.unwrap_or_default(),
        };
        let mut rows: Vec<Value> = listing.rows.iter().map(|story| writing.row(story, reached)).collect();
        if fault == Fault::RepeatedRow {
            rows.extend(rows.first().cloned());
        }
        // Which of the known forms the frame of a page takes varies from page to page.
        let odd = |every: u64| quirks && (ask.page + ask.from.seconds() as u64).is_multiple_of(every);
        let total = match self.options.totals {
            TotalStyle::Exact | TotalStyle::Absent => listing.total,
            TotalStyle::Off(by) => listing.total.saturating_add_signed(by),
        };
        let pages = total.div_ceil(ask.limit);
        let mut pagination = json!({ "limit": ask.limit, "offset": offset });
        if self.options.totals != TotalStyle::Absent {
            pagination["total"] = json!(total);
            pagination["totalPages"] = if odd(5) { Value::Null } else { json!(pages) };
        }
        if odd(2) {
            pagination["page"] = json!(ask.page);
        }
        let message = "Retrieving conversations succeeded";
        json!({
            "message": if odd(3) { json!(message) } else { json!([message]) },
            "status": "success",
            "results": rows,
            "pagination": pagination,
            "links": links(ask, pages, parts.uri.path()),
        })
    }
}

/// A window of at most five pages around the present one, as express-paginate gives it.
fn links(ask: &Ask, pages: u64, path: &str) -> Vec<Value> {
    let first = ask.page.saturating_sub(2).min(pages.saturating_sub(4)).max(1);
    let last = (first + 4).min(pages);
    (first..=last)
        .map(|number| json!({ "number": number, "url": format!("{path}?limit={}&page={number}", ask.limit) }))
        .collect()
}
