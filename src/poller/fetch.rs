//! From a range to its pages: budget, retries, pages that cannot be read, ranges that are too wide.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::domain::label::Outcome;
use crate::domain::ledger::Walked;
use crate::domain::plan::NARROWEST;
use crate::domain::reading::Page;
use crate::domain::retry;
use crate::domain::snapshot::Own;
use crate::domain::time::Range;
use crate::domain::walk::{Step, Walk};
use crate::jelou::budget::LONGEST_PAUSE;
use crate::jelou::{ApiError, Budget};
use crate::streak::{News, Streak};

use super::traces::Traces;
use super::{PollError, Upstream};

/// How often a request is sent before its failure is taken for an answer.
const ATTEMPTS: u32 = 6;
/// Pages in a row that may be passed over because they cannot be read.
const SKIPS: u32 = 2;

/// What is to be walked.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    /// The range.
    pub(super) range: Range,
    /// Whether it was chosen by the starts of known records.
    pub(super) narrow: bool,
    /// Whether it is a half of a range that was too wide.
    pub(super) half: bool,
    /// Retries are begun before this only.
    pub(super) retry_until: Instant,
}

/// How a walk ended.
#[derive(Debug)]
pub(super) enum End {
    /// Everything was shown.
    Complete,
    /// Records slipped through, pass after pass.
    Incomplete,
    /// A request failed for good.
    Failed(ApiError),
    /// The upstream cannot answer so wide a range; nothing was read.
    TooWide,
}

/// How often a request is sent.
#[derive(Clone, Copy)]
enum Tries {
    /// Until its failure is to be taken for an answer.
    All,
    /// Once, if what fails then may be due to what is asked for.
    Few,
}

/// What a failed first page says of the range.
enum Width {
    /// Its width is not what failed.
    Fine,
    /// Asked for again, it was answered.
    FineAfterAll(Page),
    /// The upstream answers only narrower ones.
    TooWide,
}

/// Sends requests, and keeps count of them.
pub(super) struct Fetcher<U> {
    upstream: U,
    budget: Budget,
    clock: Arc<dyn Clock>,
    jitter: Box<dyn FnMut() -> f64 + Send>,
    /// The upstream asked for silence until then.
    silent_until: Option<Instant>,
    /// The upstream's total was found not to hold, and that was said.
    distrust_said: bool,
    /// The poll that requests belong to.
    traces: Traces,
    /// The files were found to hold other credentials than those that were in use.
    new_credentials: bool,
    /// What was last said to be wrong with them.
    unusable: Option<String>,
    /// Of looks at them that found one that does not answer.
    silence: Streak,
    /// Of pages that were passed over.
    skips: Streak,
    skipped: bool,
}

impl<U: Upstream> Fetcher<U> {
    pub(super) fn new(
        upstream: U,
        budget: Budget,
        clock: Arc<dyn Clock>,
        jitter: Box<dyn FnMut() -> f64 + Send>,
    ) -> Self {
        let traces = Traces::off();
        Self {
            upstream,
            budget,
            clock,
            jitter,
            silent_until: None,
            distrust_said: false,
            traces,
            new_credentials: false,
            unusable: None,
            silence: Streak::default(),
            skips: Streak::default(),
            skipped: false,
        }
    }

    /// What is asked from here on belongs to this poll.
    pub(super) fn trace(&mut self, poll: &Traces) {
        self.traces = poll.clone();
    }

    /// Asks this one from here on, so often.
    pub(super) fn go_on_by(&mut self, upstream: Option<U>, requests_per_second: f64) {
        self.budget.set_rate(requests_per_second);
        if let Some(upstream) = upstream {
            // The silence was asked for by whoever is at the old address.
            if origin(&upstream) != origin(&self.upstream) {
                self.silent_until = None;
                self.budget.end_pause();
            }
            self.upstream = upstream;
            self.new_credentials = true;
            (self.distrust_said, self.unusable, self.silence) = (false, None, Streak::default());
        }
    }

    /// Looks at the files of the credentials; whether they hold something else than what is in use. One that does not answer
    /// holds nobody up for long, and what was read of it before stays in use.
    pub(super) async fn credentials_changed(&mut self) -> bool {
        match self.upstream.look_at_files().await {
            Ok(()) => {
                if let Some((_, since)) = self.silence.succeeded() {
                    info!(silent_since = %since, "the files of the credentials answer again");
                }
            }
            Err(error) => match self.silence.failed(error.to_string(), self.clock.now()) {
                News::First => warn!(%error, "a file cannot be looked at; what was read of it before stays in use"),
                News::StillFailing { failures, since } => {
                    warn!(%error, failures, failing_since = %since, "a file still cannot be looked at");
                }
                News::Again { failures } => debug!(%error, failures, "a file still cannot be looked at"),
            },
        }
        self.upstream.credentials_changed()
    }

    pub(super) const fn upstream(&self) -> &U {
        &self.upstream
    }

    /// Whether others are asked with, or other credentials, since this was asked last.
    pub(super) const fn take_new_credentials(&mut self) -> bool {
        std::mem::replace(&mut self.new_credentials, false)
    }

    /// Takes over what the files of the credentials were found to hold. What is wrong with them is said once.
    fn reload_credentials(&mut self) {
        match self.upstream.reload_credentials() {
            Ok(changed) => {
                self.unusable = None;
                if changed {
                    self.new_credentials = true;
                    info!("the files of the credentials hold others now; these are used from here on");
                }
            }
            Err(error) => {
                let why = Some(error.to_string());
                if self.unusable != why {
                    warn!(%error, "the files of the credentials cannot be used; those read before stay in use");
                }
                self.unusable = why;
            }
        }
    }

    fn page_skipped(&mut self, range: Range, page: u32, error: &ApiError) {
        self.skipped = true;
        let kind = PollError::Api { range, error: error.clone() }.likeness();
        match self.skips.failed(kind, self.clock.now()) {
            News::First => warn!(%range, page, %error, "a page cannot be read and is passed over for now"),
            News::StillFailing { failures, since } => {
                warn!(%range, page, %error, failures, failing_since = %since, "pages still cannot be read");
            }
            News::Again { failures } => {
                debug!(%range, page, %error, failures, "a page cannot be read and is passed over again");
            }
        }
    }

    /// A poll begins: credentials that were replaced are taken over.
    pub(super) async fn refresh(&mut self) {
        if !std::mem::take(&mut self.skipped) {
            // None was passed over in the whole poll before.
            self.skips.succeeded();
        }
        if self.credentials_changed().await {
            self.reload_credentials();
        }
    }

    /// Until when the upstream asked not to be asked, if that is later than this.
    pub(super) fn silent_beyond(&self, instant: Instant) -> Option<Instant> {
        self.silent_until.filter(|until| *until > instant.max(Instant::now()))
    }

    /// Walks a range.
    pub(super) async fn walk(&mut self, ask: Ask, own: &mut Own) -> (Walked, End) {
        let Ask { range, narrow, half, retry_until } = ask;
        let mut walk = Walk::new();
        let mut pages = Vec::new();
        let mut step = Step::Ask(1);
        let mut failure = None;
        let mut skipped = 0;
        let end = loop {
            let number = match step {
                Step::Ask(number) => number,
                Step::Complete { distrusted } => {
                    if distrusted && !std::mem::replace(&mut self.distrust_said, true) {
                        warn!(%range, "the upstream's pagination.total is not the number of records that it lists; \
                               it is not relied on where two walks agree");
                    }
                    break End::Complete;
                }
                Step::Incomplete => break failure.take().map_or(End::Incomplete, End::Failed),
            };
            // The whole has failed at length before its half, and the page before this one before this: trying all of them as
            // long would leave no time for anything else.
            let is_begin_of_half = half && number == 1 && pages.is_empty();
            let tries = if is_begin_of_half || skipped > 0 { Tries::Few } else { Tries::All };
            let mut result = self.request(range, number, tries, retry_until, own).await;
            if let Err(error) = &result
                && pages.is_empty()
                && number == 1
                && self.silent_beyond(retry_until).is_none()
            {
                match self.judge_width(ask, tries, error, own).await {
                    Width::Fine if half && error.is_retryable() && self.silent_beyond(retry_until).is_none() => {
                        result = self.request(range, number, Tries::All, retry_until, own).await;
                    }
                    Width::Fine => {}
                    Width::FineAfterAll(page) => result = Ok(page),
                    Width::TooWide => break End::TooWide,
                }
            }
            match result {
                Ok(page) => {
                    skipped = 0;
                    step = walk.take(&page);
                    pages.push(page);
                }
                // Whatever else might be tried, the upstream wants to be left alone until the poll is over.
                Err(error) if self.silent_beyond(retry_until).is_some() => break End::Failed(error),
                Err(error) if error.is_of_one_page() && skipped < SKIPS => {
                    self.page_skipped(range, number, &error);
                    skipped += 1;
                    step = walk.skip();
                    failure = Some(error);
                }
                Err(error) => break End::Failed(error),
            }
        };
        (Walked { range, narrow, complete: matches!(end, End::Complete), pages }, end)
    }

    /// Whether the failure of a first page is due to the width of the range: then one minute of it is answered.
    ///
    /// A 500 may be chance as well, so the range is asked for once more before it is halved; if that brings the page, the
    /// walk goes on with it.
    async fn judge_width(&mut self, ask: Ask, tries: Tries, error: &ApiError, own: &mut Own) -> Width {
        let Ask { range, half, retry_until, .. } = ask;
        if range.width() <= NARROWEST || !error.may_be_too_wide() {
            return Width::Fine;
        }
        let minute = Range::new(range.start, range.start + NARROWEST);
        // A minute that fails otherwise (a limit, a refusal, no connection) says nothing about the width. Where it is not one
        // record that fails (that is a 500), chance must not decide: a failure of the minute would fail the poll.
        let is_of_a_record = matches!(error, ApiError::ServerError { .. });
        let tries = if is_of_a_record { tries } else { Tries::All };
        if self.request(minute, 1, tries, retry_until, own).await.is_err() {
            return Width::Fine;
        }
        if is_of_a_record && let Ok(page) = self.request(range, 1, Tries::Few, retry_until, own).await {
            return Width::FineAfterAll(page);
        }
        if half {
            debug!(%range, %error, "a half fails as the whole did and is halved again");
        } else {
            info!(%range, %error, "a range fails where a minute of it does not, and is halved");
        }
        Width::TooWide
    }

    async fn request(
        &mut self,
        range: Range,
        page: u32,
        tries: Tries,
        retry_until: Instant,
        own: &mut Own,
    ) -> Result<Page, ApiError> {
        let mut attempt = 0;
        loop {
            self.budget.acquire().await;
            own.budget_wait = millis(self.budget.waited());
            let (began, sent) = (Instant::now(), self.clock.now());
            let span = self.traces.request(range, page, attempt);
            let result = self.upstream.conversations(range, page).await;
            own.api_request_duration.record(millis(began.elapsed()));
            let error = match result {
                Ok(answer) => {
                    span.answered(answer.rows.len());
                    own.api_requests.count(Outcome::Ok);
                    if let Some(date) = answer.server_date {
                        // The header is cut to the second: its middle is the best guess.
                        let middle = sent.0 + self.clock.now().since(sent) / 2;
                        own.clock_offset = Some(date.0 + 500 - middle);
                    }
                    debug!(%range, page, rows = answer.rows.len(), total = answer.total, "read a page");
                    return Ok(answer);
                }
                Err(error) => error,
            };
            span.failed(&error);
            own.api_requests.count(error.outcome());
            if error.outcome() == Outcome::Unauthorized {
                self.credentials_changed().await;
                self.reload_credentials();
            }
            let backoff = retry::delay(attempt, (self.jitter)());
            // Cut before it is added to an instant, which must not overflow, and as the budget cuts it.
            let wait = error.retry_after().map_or(backoff, |asked| asked.max(backoff)).min(LONGEST_PAUSE);
            if error.outcome() == Outcome::RateLimited || error.retry_after().is_some() {
                let until = Instant::now() + wait;
                self.budget.pause_until(until);
                self.silent_until = Some(until);
            }
            attempt += 1;
            let enough = match tries {
                Tries::All => attempt == ATTEMPTS,
                Tries::Few => attempt == ATTEMPTS || error.is_of_one_page() || error.may_be_too_wide(),
            };
            if !error.is_retryable() || enough || Instant::now() + wait > retry_until {
                return Err(error);
            }
            debug!(%range, page, %error, attempt, ?wait, "a request failed and is repeated");
            sleep_until(Instant::now() + wait).await;
            own.api_retries += 1;
        }
    }
}

/// Scheme, host and port of where this one asks.
fn origin<U: Upstream>(upstream: &U) -> Option<&str> {
    let (url, _) = upstream.place();
    let url = url?;
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let path = url[host..].find('/').map_or(url.len(), |path| host + path);
    Some(&url[..path])
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
