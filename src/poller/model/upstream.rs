//! The upstream of a history: pages of what its records look like at the moment, and what goes wrong on the way.

use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

use super::history::{Fault, FaultKind, History, Total};
use super::stage::Stage;
use super::stories::{Form, Record};
use crate::domain::reading::{Page, Rejected, Row};
use crate::domain::time::{Range, UnixMillis};
use crate::jelou::ApiError;
use crate::jelou::error::BodyError;
use crate::poller::Upstream;

#[derive(Clone)]
pub(super) struct World {
    pub(super) history: Arc<History>,
    pub(super) stage: Arc<Stage>,
    rng: Arc<Mutex<Rng>>,
    /// Asked for by the process that lives.
    pub(super) page_size: u32,
}

impl World {
    pub(super) fn new(history: Arc<History>, stage: Arc<Stage>, page_size: u32) -> Self {
        let rng = Arc::new(Mutex::new(Rng::with_seed(history.seed ^ stage.requests())));
        Self { history, stage, rng, page_size }
    }

    fn dice<T>(&self, throw: impl FnOnce(&mut Rng) -> T) -> T {
        throw(&mut self.rng.lock().unwrap())
    }

    /// What goes wrong with this request, if something does.
    fn trouble(&self, now: i64, range: Range, page: u32) -> Vec<&FaultKind> {
        let on = |fault: &&Fault| fault.from <= now && now < fault.until && self.dice(|rng| rng.f64() < fault.chance);
        let faults = self.history.faults.iter().filter(on).map(|fault| &fault.kind);
        faults
            .filter(|kind| match kind {
                FaultKind::TooWide { seconds, .. } => range.width() > *seconds,
                FaultKind::BadPage(bad) => page == *bad,
                _ => true,
            })
            .collect()
    }

    async fn answer(&self, range: Range, page: u32) -> Result<Page, ApiError> {
        let sent_at = self.stage.local();
        self.wait(self.dice(|rng| rng.u64(1..300))).await;
        let trouble = self.trouble(self.stage.now(), range, page);
        let mut foreign = None;
        for kind in trouble {
            match kind {
                FaultKind::Slow(millis) => self.wait(*millis).await,
                FaultKind::Foreign { all } => foreign = Some(*all),
                kind => return Err(self.failure(kind).await),
            }
        }
        let now = self.stage.now();
        let mut answer = self.page(range, page, now, sent_at);
        // The first company that is read is the one that is counted.
        if let Some(all) = foreign.filter(|_| self.stage.watch().knows_the_company()) {
            let most = if all { usize::MAX } else { 1 };
            answer.rows.iter_mut().take(most).for_each(make_foreign);
        }
        self.wait(self.dice(|rng| rng.u64(1..300))).await;
        Ok(answer)
    }

    async fn wait(&self, millis: u64) {
        sleep(Duration::from_millis(millis)).await;
    }

    async fn failure(&self, kind: &FaultKind) -> ApiError {
        let seconds = |after: &Option<u64>| after.map(Duration::from_secs);
        match kind {
            FaultKind::Unauthorized => ApiError::Unauthorized { status: 401, message: None },
            FaultKind::NotFound => ApiError::NotFound { message: None },
            FaultKind::RateLimited { after } => ApiError::RateLimited { retry_after: seconds(after) },
            FaultKind::ServerError { status, after } => {
                ApiError::ServerError { status: *status, retry_after: seconds(after), message: None }
            }
            FaultKind::Connect | FaultKind::Slow(_) | FaultKind::Foreign { .. } => {
                ApiError::Connect { why: "no route".into() }
            }
            FaultKind::BadBody => ApiError::BadBody(BodyError::Cut),
            FaultKind::BadPage(_) => ApiError::BadBody(BodyError::NotJson),
            FaultKind::TooWide { status: 422, .. } => ApiError::InvalidRequest { status: 422, message: None },
            FaultKind::TooWide { status: 500, .. } => {
                ApiError::ServerError { status: 500, retry_after: None, message: None }
            }
            FaultKind::Timeout | FaultKind::TooWide { .. } => {
                self.wait(10_000).await;
                ApiError::Timeout { after: Duration::from_secs(10) }
            }
        }
    }

    fn page(&self, range: Range, page: u32, now: i64, sent_at: UnixMillis) -> Page {
        let listing = &self.history.listing;
        let calm = now >= self.history.calm;
        let lag = if calm || listing.lag == 0 { 0 } else { self.dice(|rng| rng.i64(0..=1) * rng.i64(0..=listing.lag)) };
        let mut listed: Vec<(&Record, &Form)> = self
            .history
            .records
            .iter()
            .filter(|record| range.contains(UnixMillis(record.start)))
            .filter_map(|record| record.at(now - lag).map(|form| (record, form)))
            .collect();
        listed.sort_by_key(|(record, _)| if listing.newest_first { -record.start } else { record.start });
        let size = self.page_size.min(listing.most_rows) as usize;
        let pages = listed.len().div_ceil(size).max(1);
        let page = if listing.repeats_last_page { (page as usize).min(pages) } else { page as usize };
        let mut rows: Vec<Row> = listed.iter().skip(size * (page - 1)).take(size).map(|(_, form)| row(form)).collect();
        if let Some(last) = rows.last().cloned()
            && self.dice(|rng| rng.f64() < listing.repeats_row)
        {
            rows.push(last);
        }
        let count = listed.len() as u64;
        let total = match listing.total {
            Total::Missing => None,
            Total::More(more) => Some(count + more),
            Total::Lying if !calm => Some((count + self.dice(|rng| rng.u64(0..3))).saturating_sub(1)),
            Total::Exact | Total::Lying => Some(count),
        };
        let server_date = listing.dated.then(|| UnixMillis(now - now.rem_euclid(1000)));
        Page { rows, total, sent_at, server_date }
    }
}

fn row(form: &Form) -> Row {
    match form {
        Form::Good(conversation) => Row::Conversation(conversation.clone()),
        Form::Unreadable(id) => Row::Rejected(Rejected { identity: id.clone(), why: "no start" }),
    }
}

fn make_foreign(row: &mut Row) {
    if let Row::Conversation(reading) = row {
        reading.id = format!("foreign {}", reading.id).as_str().into();
        reading.company = Some("8".into());
    }
}

impl Upstream for World {
    async fn conversations(&self, range: Range, page: u32) -> Result<Page, ApiError> {
        if self.stage.asked(range, page) {
            // The process has died; it only does not know it yet.
            return pending().await;
        }
        let result = self.answer(range, page).await;
        self.stage.answered(range, page, &result);
        result
    }

    fn reload_credentials(&self) -> io::Result<bool> {
        Ok(false)
    }

    fn credentials_changed(&self) -> bool {
        false
    }
}
