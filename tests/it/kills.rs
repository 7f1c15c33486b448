//! Killed at any moment and started again on the same checkpoint: nothing lost, nothing counted twice, nothing lower.

use std::path::PathBuf;

use jelou_exporter::simulator::SimulatorOptions;
use jelou_exporter::simulator::faults::FaultRates;
use uuid::Uuid;

use crate::oracle::{compare, lifelike};
use crate::support::exporter::{Exporter, polling};
use crate::support::exposition::Scrape;
use crate::support::program::Program;
use crate::support::world::{frozen, now, simulate};
use crate::support::{eventually, until};

/// A checkpoint that goes away with the test.
struct Checkpoint(PathBuf);

impl Checkpoint {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("jelou-exporter-{}", Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn path(&self) -> String {
        self.0.join("state.db").to_str().unwrap().to_owned()
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        // What is left behind in the temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What may never go down, through any restart.
const KEPT: [&str; 13] = [
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
];

fn assert_no_lower(before: &Scrape, after: &Scrape) {
    for (series, was) in before.series.iter().filter(|(series, _)| KEPT.contains(&&*series.name)) {
        let is = after.series.get(series).unwrap_or_else(|| panic!("{series} is gone"));
        assert!(is.parse::<f64>().unwrap() >= was.parse().unwrap(), "{series} was {was} and is {is}");
    }
}

/// A living world with faults, through some twenty kills at moments that no one chose.
#[test]
fn exactly_once_through_kills() {
    let world = SimulatorOptions {
        per_hour: 1200.0,
        pace: 0.01,
        history: 3 * 3_600_000,
        faults: FaultRates::all(0.004),
        bad_rows: 0.005,
        ..lifelike(21)
    };
    let (simulator, checkpoint) = (simulate(world), Checkpoint::new());
    let path = checkpoint.path();
    let settings = [("poll.initial_lookback", "2h"), ("poll.interval", "100ms"), ("state.path", &path)];
    let mut before: Option<Scrape> = None;
    for round in 0..18 {
        let exporter = Exporter::start(&simulator.base_url(), &settings);
        // The moment of the kill moves through start, first walk, polls and commits; in between there are rounds that
        // get somewhere.
        let (scrapes, polls) = if round % 3 == 2 { (0, 1 + round % 4) } else { (round * 7 % 30, 0) };
        let mut scraped = 0;
        until("the moment of the kill", || {
            let scrape = exporter.scrape();
            scraped += 1;
            let succeeded = scrape.total("jelou_exporter_polls_total", &[("result", "success")]);
            let moment = scraped >= scrapes && succeeded >= polls.into();
            if scrape.total("jelou_conversations_started_total", &[]) > 0.0 {
                if let Some(before) = &before {
                    assert_no_lower(before, &scrape);
                }
                before = Some(scrape);
            }
            moment
        });
        // Dropping it is kill -9.
        drop(exporter);
    }
    let at = now();
    simulator.freeze_at(at);
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    let check = || compare(&exporter, &simulator, at, true);
    let scrape = eventually(check);
    assert_no_lower(&before.expect("the first walk came to its end"), &scrape);
    exporter.succeeds_again(3.0);
    eventually(check);
}

/// What happened while the exporter was away is counted when it is back, though it was away for longer than the overlap.
#[test]
fn downtime_is_caught_up() {
    let world = SimulatorOptions { per_hour: 3600.0, pace: 0.01, history: 2 * 3_600_000, ..lifelike(22) };
    // Records that are listed late are for the overlap, of which there is next to none here.
    let world = SimulatorOptions { quirks: false, ..world };
    let (simulator, checkpoint) = (simulate(world), Checkpoint::new());
    let path = checkpoint.path();
    let settings = [("state.path", &*path), ("poll.overlap", "1s"), ("poll.initial_lookback", "1h")];
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    exporter.is_up();
    drop(exporter);
    let stopped = now();
    until("five seconds of the upstream's life", || now() >= stopped + 5000);
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    exporter.is_up();
    let at = now();
    simulator.freeze_at(at);
    eventually(|| compare(&exporter, &simulator, at, true));
    // The numbers may be right before the last of the gap has been read.
    exporter.scraped("data that are complete", |scrape| {
        scrape.total("jelou_exporter_data_complete_timestamp_seconds", &[]) * 1000.0 >= at.0 as f64
    });
}

#[test]
fn one_checkpoint_serves_one_process() {
    let ((simulator, _), checkpoint) = (frozen(lifelike(23)), Checkpoint::new());
    let path = checkpoint.path();
    let settings = [("state.path", &*path)];
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    exporter.is_up();
    let mut second = Program::start(&mut polling(&simulator.base_url(), &settings));
    let status = second.ended_within(crate::support::PATIENCE);
    assert_eq!(status.code(), Some(1));
    assert!(second.stderr().contains(&path) && second.stderr().contains("in use"), "{}", second.stderr());
    exporter.succeeds_again(1.0);
}

#[test]
fn a_damaged_checkpoint_stops_the_start_and_stays_as_it_is() {
    let ((simulator, _), checkpoint) = (frozen(lifelike(24)), Checkpoint::new());
    let path = checkpoint.path();
    std::fs::write(&path, "not a checkpoint").unwrap();
    let mut program = Program::start(&mut polling(&simulator.base_url(), &[("state.path", &path)]));
    let status = program.ended_within(crate::support::PATIENCE);
    assert_eq!(status.code(), Some(1));
    let said = program.stderr();
    assert!(said.contains(&path) && said.contains("move it away") && said.contains("copy"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a checkpoint");
}
