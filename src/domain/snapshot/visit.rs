//! From a snapshot to the data points of one family.

use super::{Live, Moment, PERCENTILE_LABELS, Point, Snapshot, Value};
use crate::domain::catalog::{Family, FamilyId};
use crate::domain::distribution::Distribution;
use crate::domain::label::{LabelValue, Tally};
use crate::domain::pair::Pair;
use crate::domain::time::UnixMillis;

impl Snapshot {
    /// Hands every data point of the family to `show`, in the order in which they are listed.
    pub fn visit(&self, family: &Family, live: &Live, show: &mut dyn FnMut(Point<'_>)) {
        if family.of_pairs {
            if let Some(conversations) = &self.conversations {
                for (index, pair) in conversations.pairs.iter().enumerate() {
                    let moment = conversations.moments.as_ref().map(|moments| &moments[index]);
                    self.visit_pair(family.id, pair, moment, show);
                }
            }
        } else {
            self.visit_own(family.id, live, show);
        }
    }

    fn visit_pair(&self, id: FamilyId, pair: &Pair, moment: Option<&Moment>, show: &mut dyn FnMut(Point<'_>)) {
        let (account, bot, team) =
            (("account", &*self.account), ("bot", &*pair.labels.bot), ("team", &*pair.labels.team));
        let plain = [account, bot, team];
        let count = |labels: &[(&'static str, &str)], value: u64, start, show: &mut dyn FnMut(Point<'_>)| {
            show(Point { labels, value: Value::Whole(value), start: Some(start) });
        };
        match id {
            FamilyId::ReplyTime => show(times(&plain, &pair.reply)),
            FamilyId::Duration => show(times(&plain, &pair.duration)),
            FamilyId::Started => {
                for (origin, counter) in &pair.started {
                    count(&[account, bot, team, ("origin", origin.as_str())], counter.value, counter.start, show);
                }
            }
            FamilyId::Ended => {
                for ((state, reason), counter) in &pair.ended {
                    let labels = [account, bot, team, ("state", state.as_str()), ("reason", reason.as_str())];
                    count(&labels, counter.value, counter.start, show);
                }
            }
            FamilyId::Unanswered => count(&plain, pair.unanswered, pair.start, show),
            FamilyId::Reopened => count(&plain, pair.reopened, pair.start, show),
            FamilyId::Decided => {
                count(&[account, bot, team, ("result", "met")], pair.met, pair.start, show);
                count(&[account, bot, team, ("result", "missed")], pair.missed, pair.start, show);
            }
            _ => {
                if let Some(moment) = moment {
                    visit_moment(id, &plain, moment, show);
                }
            }
        }
    }

    fn visit_own(&self, id: FamilyId, live: &Live, show: &mut dyn FnMut(Point<'_>)) {
        let own = &self.own;
        let account = [("account", &*self.account)];
        let process = Some(own.process_start);
        let kept = Some(self.tallies.start);
        let gauge = |value: f64, show: &mut dyn FnMut(Point<'_>)| {
            show(Point { labels: &account, value: Value::Number(value), start: None });
        };
        let whole = |value: u64, start, show: &mut dyn FnMut(Point<'_>)| {
            show(Point { labels: &account, value: Value::Whole(value), start });
        };
        let instant = |at: Option<UnixMillis>, show: &mut dyn FnMut(Point<'_>)| {
            if let Some(at) = at {
                show(Point { labels: &account, value: Value::Number(at.as_seconds_f64()), start: None });
            }
        };
        match id {
            FamilyId::Up => whole(u64::from(own.up), None, show),
            FamilyId::AccountInfo => {
                if let Some(company) = &own.company {
                    show(Point { labels: &[account[0], ("company", company)], value: Value::Whole(1), start: None });
                }
            }
            FamilyId::ReplyTarget => gauge(seconds(own.reply_target), show),
            FamilyId::BuildInfo => {
                let labels = [("version", env!("CARGO_PKG_VERSION")), ("revision", own.revision)];
                show(Point { labels: &labels, value: Value::Whole(1), start: None });
            }
            FamilyId::PollInterval => gauge(seconds(own.poll_interval), show),
            FamilyId::Polls => tally(&account, "result", &own.polls, process, show),
            FamilyId::PollDuration => show(times(&account, &own.poll_duration)),
            FamilyId::LastPoll => instant(own.last_poll, show),
            FamilyId::LastSuccessfulPoll => instant(own.last_success, show),
            FamilyId::LastSweep => instant(own.last_sweep, show),
            FamilyId::DataComplete => instant(own.data_complete, show),
            FamilyId::StateStart => instant(kept, show),
            FamilyId::Walks => tally(&account, "result", &own.walks, process, show),
            FamilyId::ApiRequests => tally(&account, "outcome", &own.api_requests, process, show),
            FamilyId::ApiRequestDuration => show(times(&account, &own.api_request_duration)),
            FamilyId::ApiRetries => whole(own.api_retries, process, show),
            FamilyId::ApiBudgetWait => {
                show(Point { labels: &account, value: Value::Number(seconds(own.budget_wait)), start: process });
            }
            FamilyId::ApiClockOffset => {
                if let Some(offset) = own.clock_offset {
                    gauge(offset as f64 / 1000.0, show);
                }
            }
            FamilyId::Records => tally(&account, "result", &own.records, process, show),
            FamilyId::Amendments => tally(&account, "field", &self.tallies.amendments, kept, show),
            FamilyId::UnknownValues => tally(&account, "field", &own.unknown_values, process, show),
            FamilyId::OutsideWindow => whole(self.tallies.outside_window, kept, show),
            FamilyId::Vanished => whole(self.tallies.vanished, kept, show),
            FamilyId::AgedOut => whole(self.tallies.aged_out, kept, show),
            FamilyId::Abandoned => {
                show(Point { labels: &account, value: Value::Number(seconds(own.abandoned)), start: process });
            }
            FamilyId::LedgerEntries => whole(own.ledger_entries, None, show),
            FamilyId::Unsettled => whole(own.unsettled, None, show),
            FamilyId::LabelSets => whole(own.label_sets, None, show),
            FamilyId::Overflowed => whole(self.tallies.overflowed, kept, show),
            FamilyId::CheckpointLastSuccess => instant(own.checkpoint.and_then(|kept| kept.last_success), show),
            FamilyId::CheckpointFailures => {
                if let Some(checkpoint) = own.checkpoint {
                    whole(checkpoint.failures, process, show);
                }
            }
            FamilyId::CheckpointDuration => {
                if let Some(duration) = own.checkpoint.and_then(|kept| kept.duration) {
                    gauge(seconds(duration), show);
                }
            }
            FamilyId::CheckpointSize => {
                if let Some(size) = own.checkpoint.and_then(|kept| kept.size) {
                    whole(size, None, show);
                }
            }
            FamilyId::OtlpExports => {
                if let Some(exports) = &live.exports {
                    tally(&account, "result", &exports.results, process, show);
                }
            }
            FamilyId::OtlpLastSuccess => instant(live.exports.as_ref().and_then(|exports| exports.last_success), show),
            FamilyId::ConfigReloadSuccessful => {
                if let Some(config) = live.config {
                    whole(u64::from(config.is_successful()), None, show);
                }
            }
            FamilyId::ConfigReloadSuccess => instant(live.config.map(|config| config.last_success), show),
            FamilyId::HttpRequests => {
                for (code, value) in &live.http_requests {
                    let code = code.to_string();
                    show(Point { labels: &[("code", &code)], value: Value::Whole(*value), start: process });
                }
            }
            FamilyId::HttpDropped => tally(&[], "reason", &live.http_dropped, process, show),
            FamilyId::LogMessages => tally(&[], "level", &live.log_messages, process, show),
            // The families of pairs are shown by `visit_pair`.
            FamilyId::ReplyTime
            | FamilyId::Duration
            | FamilyId::Started
            | FamilyId::Ended
            | FamilyId::Unanswered
            | FamilyId::Decided
            | FamilyId::Reopened
            | FamilyId::Active
            | FamilyId::Waiting
            | FamilyId::OldestWaiting
            | FamilyId::ReplyRecent
            | FamilyId::DurationRecent => {}
        }
    }
}

fn visit_moment(id: FamilyId, plain: &[(&'static str, &str); 3], moment: &Moment, show: &mut dyn FnMut(Point<'_>)) {
    let whole = |value, show: &mut dyn FnMut(Point<'_>)| {
        show(Point { labels: plain, value: Value::Whole(value), start: None });
    };
    match id {
        FamilyId::Active => whole(moment.active, show),
        FamilyId::Waiting => whole(moment.waiting, show),
        FamilyId::OldestWaiting => {
            let start = moment.oldest_waiting_start.map_or(0.0, UnixMillis::as_seconds_f64);
            show(Point { labels: plain, value: Value::Number(start), start: None });
        }
        FamilyId::ReplyRecent => percentiles(plain, &moment.reply_recent, show),
        FamilyId::DurationRecent => percentiles(plain, &moment.duration_recent, show),
        _ => {}
    }
}

fn percentiles(plain: &[(&'static str, &str); 3], values: &[Option<u64>; 4], show: &mut dyn FnMut(Point<'_>)) {
    for (percentile, value) in PERCENTILE_LABELS.iter().zip(values) {
        let labels = [plain[0], plain[1], plain[2], ("percentile", *percentile)];
        show(Point { labels: &labels, value: Value::Number(value.map_or(f64::NAN, seconds)), start: None });
    }
}

fn tally<K: LabelValue>(
    labels: &[(&'static str, &str)],
    name: &'static str,
    tally: &Tally<K>,
    start: Option<UnixMillis>,
    show: &mut dyn FnMut(Point<'_>),
) {
    let mut labels = labels.to_vec();
    for (key, value) in tally.iter() {
        labels.push((name, key.text()));
        show(Point { labels: &labels, value: Value::Whole(value), start });
        labels.pop();
    }
}

fn times<'a>(labels: &'a [(&'static str, &'a str)], distribution: &'a Distribution) -> Point<'a> {
    Point { labels, value: Value::Distribution(distribution), start: Some(distribution.start()) }
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}
