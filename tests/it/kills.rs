//! Stopped for a while and started again on the same checkpoint: what is served meanwhile, and what is caught up.

use std::collections::BTreeMap;

use jelou_exporter::simulator::SimulatorOptions;
use jelou_exporter::simulator::faults::Fault;
use jelou_exporter::simulator::story::Story;

use crate::oracle::{compare, lifelike};
use crate::support::exporter::Exporter;
use crate::support::exposition::{Scrape, Series};
use crate::support::lasting::is_lasting;
use crate::support::receiver::Receiver;
use crate::support::scratch::Scratch;
use crate::support::world::{frozen, now, simulate};
use crate::support::{eventually, until};

/// What happened while the exporter was away is counted when it is back, though it was away for longer than the overlap.
#[test]
fn downtime_is_caught_up() {
    let world = SimulatorOptions { per_hour: 3600.0, pace: 0.01, history: 2 * 3_600_000, ..lifelike(22) };
    // Records that are listed late are for the overlap, of which there is next to none here.
    let world = SimulatorOptions { quirks: false, ..world };
    let (simulator, folder) = (simulate(world), Scratch::new());
    let path = folder.state();
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

/// The facts of the moment: of no use unless they are fresh.
const OF_THE_MOMENT: [&str; 5] = [
    "jelou_conversations_active",
    "jelou_conversations_waiting",
    "jelou_conversations_oldest_waiting_start_timestamp_seconds",
    "jelou_operator_reply_time_recent_seconds",
    "jelou_conversation_duration_recent_seconds",
];

fn lasting(scrape: &Scrape) -> BTreeMap<&Series, &String> {
    scrape.series.iter().filter(|(series, _)| is_lasting(&series.name)).collect()
}

#[track_caller]
fn shows_counters_only(exporter: &Exporter, before: &Scrape) {
    let scrape = exporter.scrape();
    assert_eq!(lasting(&scrape), lasting(before));
    let shown: Vec<_> = scrape.series.keys().filter(|series| OF_THE_MOMENT.contains(&&*series.name)).collect();
    assert!(shown.is_empty(), "{shown:?}");
    assert_eq!(scrape.total("jelou_up", &[]), 0.0);
    let ready = exporter.get("/-/ready");
    assert_eq!(ready.status, 503, "{}", ready.body);
    assert_eq!(exporter.get("/-/healthy").status, 200);
}

/// Rule **stale**: after a restart the counters are there at once, whatever the upstream does; who is active and who waits
/// is told again when a poll has succeeded, and so is readiness.
#[test]
fn counters_are_served_at_once_after_a_restart_and_facts_of_the_moment_after_a_poll() {
    let ((simulator, at), folder, receiver) = (frozen(lifelike(25)), Scratch::new(), Receiver::start());
    // At night nobody else may be active.
    simulator.put(Story::new("waits", at - 600_000).by("Bot", "A"));
    simulator.put(Story::new("talked", at - 700_000).by("Bot", "A").replied_after(5000).closed_after(60_000));
    let path = folder.state();
    let settings = [
        ("state.path", &*path),
        ("api.timeout", "1s"),
        ("otlp.endpoint", &receiver.endpoint),
        ("otlp.interval", "100ms"),
    ];
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    let check = |exporter: &Exporter| compare(exporter, &simulator, at, true);
    let before = eventually(|| check(&exporter));
    for name in OF_THE_MOMENT {
        assert!(before.sum(name, &[]).is_some(), "{name}");
    }
    drop(exporter);

    // The first request gets no answer, those after it get an error, until the upstream is well again.
    simulator.script(Fault::Hang, 1);
    simulator.script(Fault::BadGateway, u64::MAX);
    let asked = simulator.request_count();
    let exporter = Exporter::start(&simulator.base_url(), &settings);
    shows_counters_only(&exporter, &before);
    until("the first request", || simulator.request_count() > asked);
    shows_counters_only(&exporter, &before);
    let exports = receiver.exports();
    until("a push", || receiver.exports() > exports);
    let pushed = receiver.newest();
    assert!(!pushed.gauges.keys().any(|series| OF_THE_MOMENT.contains(&&*series.name)), "{:?}", pushed.gauges);
    assert!(pushed.counted.keys().any(|series| series.name == "jelou_conversations_started_total"));
    exporter
        .scraped("failed polls", |scrape| scrape.total("jelou_exporter_polls_total", &[("result", "failure")]) >= 2.0);
    shows_counters_only(&exporter, &before);

    simulator.clear_script();
    until("it is ready", || exporter.get("/-/ready").status == 200);
    let after = eventually(|| check(&exporter));
    for name in OF_THE_MOMENT {
        assert!(after.sum(name, &[]).is_some(), "{name}");
    }
    receiver.is_content();
}
