//! What may never go down, leave or start again, through any restart: every look at it is held against all before.

use std::collections::BTreeMap;

use super::exposition::{Scrape, Series};
use super::receiver::{Counted, Export};

/// The promise "exactly once" names these.
const LASTING: [&str; 16] = [
    "jelou_operator_reply_time_seconds_count",
    "jelou_operator_reply_time_seconds_sum",
    "jelou_operator_reply_time_seconds_bucket",
    "jelou_conversation_duration_seconds_count",
    "jelou_conversation_duration_seconds_sum",
    "jelou_conversation_duration_seconds_bucket",
    "jelou_conversations_started_total",
    "jelou_conversations_ended_total",
    "jelou_conversations_unanswered_total",
    "jelou_operator_reply_decided_total",
    "jelou_conversations_reopened_total",
    "jelou_exporter_amendments_total",
    "jelou_exporter_conversations_vanished_total",
    "jelou_exporter_conversations_aged_out_total",
    "jelou_exporter_records_outside_window_total",
    "jelou_exporter_label_sets_overflowed_total",
];

/// Whether the promise names this family.
pub(crate) fn is_lasting(name: &str) -> bool {
    LASTING.contains(&name)
}

/// The newest value of every lasting series that a scrape has ever shown.
#[derive(Debug, Default)]
pub(crate) struct Lasting {
    values: BTreeMap<Series, f64>,
    /// Scrapes looked at.
    pub(crate) scrapes: u64,
}

impl Lasting {
    /// Looks at a scrape: whatever was ever shown is shown again, and is no lower.
    #[track_caller]
    pub(crate) fn see(&mut self, scrape: &Scrape) {
        self.scrapes += 1;
        for (series, was) in &self.values {
            let is = scrape.series.get(series).unwrap_or_else(|| panic!("{series} is gone, it was {was}"));
            assert!(is.parse::<f64>().unwrap() >= *was, "{series} was {was} and is {is}");
        }
        let lasting = scrape.series.iter().filter(|(series, _)| is_lasting(&series.name));
        self.values.extend(lasting.map(|(series, value)| (series.clone(), value.parse::<f64>().unwrap())));
    }
}

/// Start and value of every counter and histogram that has ever been pushed.
#[derive(Debug, Default)]
pub(crate) struct Starts {
    known: BTreeMap<Series, (u64, f64)>,
    sent: u64,
}

impl Starts {
    /// Looks at an export; what is wrong with it.
    pub(crate) fn see(&mut self, export: &Export) -> Vec<String> {
        if export.sent < self.sent {
            // Two connections may overtake each other; there is nothing to learn from the past.
            return Vec::new();
        }
        self.sent = export.sent;
        let mut wrong = Vec::new();
        for (series, (start, value)) in &self.known {
            let lasting = is_lasting(&series.name);
            match export.counted.get(series) {
                None if lasting => wrong.push(format!("{series} is gone")),
                None => {}
                Some(now) if now.start == *start && now.value < *value => {
                    wrong.push(format!("{series} was {value} and is {}", now.value));
                }
                Some(now) if lasting && now.start != *start || now.start < *start => {
                    wrong.push(format!("{series} counted since {start}, now since {}", now.start));
                }
                Some(_) => {}
            }
        }
        for (series, now) in &export.counted {
            if now.start == 0 || now.start > export.sent {
                wrong.push(format!("{series}, sent at {}, counts since {}", export.sent, now.start));
            }
            self.known.insert(series.clone(), (now.start, now.value));
        }
        wrong
    }
}

#[test]
fn what_goes_back_is_noticed() {
    let series = Series::new("jelou_conversations_reopened_total", &[("team", "A")]);
    let export = |sent, points: &[(u64, f64)]| {
        let counted = points.iter().map(|(start, value)| (series.clone(), Counted { start: *start, value: *value }));
        Export { sent, counted: counted.collect(), ..Export::default() }
    };
    let mut starts = Starts::default();
    assert_eq!(starts.see(&export(10, &[(5, 1.0)])).len(), 0);
    assert_eq!(starts.see(&export(11, &[(5, 2.0)])).len(), 0);
    assert_eq!(starts.see(&export(9, &[(5, 1.0)])).len(), 0, "it was sent before");
    for wrong in [&[(5, 1.0)][..], &[(6, 2.0)], &[(4, 2.0)], &[(0, 2.0)], &[]] {
        let mut starts = Starts { known: starts.known.clone(), sent: 11 };
        assert!(!starts.see(&export(12, wrong)).is_empty(), "{wrong:?}");
    }
    // What starts with the process may start again, later.
    let series = Series::new("jelou_exporter_polls_total", &[]);
    let of_process = |sent, start, value| Export {
        sent,
        counted: [(series.clone(), Counted { start, value })].into(),
        ..Export::default()
    };
    let mut starts = Starts::default();
    let seen = [of_process(10, 5, 3.0), of_process(20, 15, 1.0), of_process(30, 15, 0.0), of_process(40, 5, 9.0)];
    assert_eq!(seen.map(|export| starts.see(&export).len()), [0, 0, 1, 1]);
}
