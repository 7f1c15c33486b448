//! What the oracle knows, as the series that must be shown.

use std::collections::BTreeMap;

use jelou_exporter::simulator::oracle::{PairTotals, Times, Totals};

use super::exposition::{Scrape, Series};

/// The families that the oracle judges.
const HISTOGRAMS: [&str; 2] = ["jelou_operator_reply_time_seconds", "jelou_conversation_duration_seconds"];
const COUNTERS: [&str; 5] = [
    "jelou_conversations_started_total",
    "jelou_conversations_ended_total",
    "jelou_conversations_unanswered_total",
    "jelou_operator_reply_decided_total",
    "jelou_conversations_reopened_total",
];
const GAUGES: [&str; 3] = [
    "jelou_conversations_active",
    "jelou_conversations_waiting",
    "jelou_conversations_oldest_waiting_start_timestamp_seconds",
];

/// Every series that is not zero, in thousandths: whole numbers, so that sums can be compared to the last digit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected(BTreeMap<Series, i128>);

impl Expected {
    pub(crate) fn of(totals: &Totals) -> Self {
        let mut expected = Self::default();
        for ((bot, team), pair) in &totals.pairs {
            expected.pair(&[("account", "default"), ("bot", bot), ("team", team)], pair);
        }
        expected
    }

    fn pair(&mut self, labels: &[(&str, &str)], pair: &PairTotals) {
        let [started, ended, unanswered, decided, reopened] = COUNTERS;
        let [active, waiting, oldest] = GAUGES;
        for (origin, count) in &pair.started {
            self.count(started, labels, &[("origin", origin.as_str())], *count);
        }
        for ((state, reason), count) in &pair.ended {
            self.count(ended, labels, &[("state", state.as_str()), ("reason", reason.as_str())], *count);
        }
        self.count(unanswered, labels, &[], pair.unanswered);
        self.count(decided, labels, &[("result", "met")], pair.met);
        self.count(decided, labels, &[("result", "missed")], pair.missed);
        self.count(reopened, labels, &[], pair.reopened);
        for (name, times) in HISTOGRAMS.into_iter().zip([&pair.reply, &pair.duration]) {
            self.times(name, labels, times);
        }
        self.count(active, labels, &[], pair.active);
        self.count(waiting, labels, &[], pair.waiting);
        let oldest_start = pair.oldest_waiting.map_or(0, |start| i128::from(start.0));
        self.put(oldest, labels, &[], oldest_start);
    }

    fn times(&mut self, name: &str, labels: &[(&str, &str)], times: &Times) {
        let bucket = format!("{name}_bucket");
        for (bound, count) in &times.le {
            self.count(&bucket, labels, &[("le", &decimal(i128::from(*bound)))], *count);
        }
        self.count(&bucket, labels, &[("le", "+Inf")], times.count);
        self.count(&format!("{name}_count"), labels, &[], times.count);
        self.put(&format!("{name}_sum"), labels, &[], i128::try_from(times.sum_ms).unwrap());
    }

    fn count(&mut self, name: &str, labels: &[(&str, &str)], more: &[(&str, &str)], count: u64) {
        self.put(name, labels, more, i128::from(count) * 1000);
    }

    fn put(&mut self, name: &str, labels: &[(&str, &str)], more: &[(&str, &str)], thousandths: i128) {
        if thousandths != 0 {
            self.0.insert(Series::new(name, &[labels, more].concat()), thousandths);
        }
    }

    /// What has been added to counters and histograms since; gauges are as they are now.
    pub(crate) fn since(mut self, before: &Self) -> Self {
        for (series, thousandths) in &before.0 {
            if !GAUGES.contains(&&*series.name) {
                *self.0.entry(series.clone()).or_default() -= thousandths;
            }
        }
        self.0.retain(|_, thousandths| *thousandths != 0);
        self
    }

    /// The facts of the moment alone.
    pub(crate) fn gauges(mut self) -> Self {
        self.0.retain(|series, _| GAUGES.contains(&&*series.name));
        self
    }

    /// Without the longest wait.
    pub(crate) fn without_oldest(mut self) -> Self {
        self.0.retain(|series, _| series.name != GAUGES[2]);
        self
    }

    /// What a series must show, in thousandths.
    pub(crate) fn of_series(&self, series: &Series) -> i128 {
        self.0.get(series).copied().unwrap_or(0)
    }

    /// The sum over a family.
    pub(crate) fn total(&self, name: &str) -> i128 {
        self.0.iter().filter(|(series, _)| series.name == name).map(|(_, thousandths)| thousandths / 1000).sum()
    }

    /// Compares every family; what is shown beyond the oracle's knowledge must be zero.
    pub(crate) fn compare(&self, scrape: &Scrape) -> Result<(), String> {
        let mut wrong = Vec::new();
        if !scrape.series.keys().any(|series| series.name == COUNTERS[0]) {
            return Err("there are no conversation families yet".to_owned());
        }
        for (series, thousandths) in &self.0 {
            if !scrape.series.contains_key(series) {
                wrong.push(format!("missing: {series} {}", decimal(*thousandths)));
            }
        }
        for (series, shown) in scrape.series.iter().filter(|(series, _)| is_judged(&series.name)) {
            let wanted = decimal(self.of_series(series));
            if *shown != wanted {
                wrong.push(format!("{series} is {shown}, not {wanted}"));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(format!("{} differences:\n{}", wrong.len(), wrong.join("\n"))) }
    }
}

/// Whether the oracle knows this family.
pub(crate) fn is_judged(name: &str) -> bool {
    let suffixes = ["_bucket", "_sum", "_count"];
    let of_histogram = |family: &&str| name.strip_prefix(*family).is_some_and(|rest| suffixes.contains(&rest));
    COUNTERS.contains(&name) || GAUGES.contains(&name) || HISTOGRAMS.iter().any(of_histogram)
}

/// Thousandths as the shortest decimal.
fn decimal(thousandths: i128) -> String {
    let (whole, rest) = (thousandths / 1000, thousandths.abs() % 1000);
    format!("{whole}.{rest:03}").trim_end_matches('0').trim_end_matches('.').to_owned()
}
