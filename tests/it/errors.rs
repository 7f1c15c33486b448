//! Whatever the upstream does: it is counted as what it is, and the upstream is spared.

use std::time::Duration;

use jelou_exporter::simulator::faults::{FailureInside, Fault, FaultRates, RetryAfter};
use jelou_exporter::simulator::{Simulator, SimulatorOptions};

use crate::support::exporter::{Exporter, polling};
use crate::support::exposition::Scrape;
use crate::support::world::frozen;
use crate::support::{eventually, until};

const OUTCOMES: [&str; 8] =
    ["ok", "unauthorized", "rate_limited", "invalid_request", "server_error", "timeout", "connect", "bad_body"];

fn requests(scrape: &Scrape, outcome: &str) -> f64 {
    scrape.sum("jelou_exporter_api_requests_total", &[("outcome", outcome)]).unwrap_or_else(|| panic!("no {outcome}"))
}

fn polls(scrape: &Scrape, result: &str) -> f64 {
    scrape.total("jelou_exporter_polls_total", &[("result", result)])
}

#[test]
fn each_failure_is_counted_as_what_it_is() {
    let faults = [
        (Fault::TooManyRequests(RetryAfter::Silent), "rate_limited"),
        (Fault::TooManyRequests(RetryAfter::Seconds(1)), "rate_limited"),
        (Fault::TooManyRequests(RetryAfter::Date(1)), "rate_limited"),
        (Fault::Unauthorized, "unauthorized"),
        (Fault::Status(403), "unauthorized"),
        (Fault::Status(400), "invalid_request"),
        (Fault::Status(404), "invalid_request"),
        (Fault::Unprocessable, "invalid_request"),
        (Fault::ServerError, "server_error"),
        (Fault::NoCompany, "server_error"),
        (Fault::BadGateway, "server_error"),
        (Fault::Status(503), "server_error"),
        (Fault::Hang, "timeout"),
        (Fault::StalledBody, "timeout"),
        (Fault::Reset, "connect"),
        (Fault::Redirect, "bad_body"),
        (Fault::CutBody, "bad_body"),
        (Fault::Garbage, "bad_body"),
        (Fault::FailureInside(FailureInside::StatusZero), "bad_body"),
        (Fault::FailureInside(FailureInside::StatusFailed), "bad_body"),
        (Fault::FailureInside(FailureInside::StatusError), "bad_body"),
        (Fault::FailureInside(FailureInside::NoResults), "bad_body"),
    ];
    let (simulator, _) = frozen(SimulatorOptions { per_hour: 5.0, ..SimulatorOptions::default() });
    let exporter = Exporter::start(&simulator.base_url(), &[("api.timeout", "1s"), ("poll.interval", "200ms")]);
    exporter.is_up();
    let mut before = exporter.scrape();
    for (fault, outcome) in faults {
        simulator.script(fault, 1);
        let after = exporter.scraped(&format!("{fault:?} as {outcome}"), |scrape| {
            requests(scrape, outcome) > requests(&before, outcome)
        });
        for other in OUTCOMES.iter().filter(|other| **other != "ok") {
            let wanted = requests(&before, other) + f64::from(u8::from(*other == outcome));
            assert_eq!(requests(&after, other), wanted, "{other} after {fault:?}");
        }
        let answered = requests(&after, "ok");
        before = exporter
            .scraped("it goes on", |scrape| requests(scrape, "ok") > answered && scrape.total("jelou_up", &[]) == 1.0);
    }
    let sent: f64 = OUTCOMES.iter().map(|outcome| requests(&before, outcome)).sum();
    assert!(sent <= simulator.request_count() as f64);
    let all = before.total("jelou_conversations_started_total", &[]);
    assert_eq!(before.total("jelou_exporter_ledger_entries", &[]), all, "nothing was counted twice");
}

#[test]
fn a_refusal_is_not_repeated_within_a_poll() {
    // 422 may mean that the range is too wide: one minute of it is asked for, once.
    for (fault, most) in [
        (Fault::Unauthorized, 1),
        (Fault::Status(403), 1),
        (Fault::Status(404), 1),
        (Fault::Unprocessable, 2),
        (Fault::NoCompany, 1),
        (Fault::Redirect, 1),
    ] {
        let (simulator, _) = frozen(SimulatorOptions::scripted());
        simulator.script(fault, u64::MAX);
        let exporter = Exporter::start(&simulator.base_url(), &[("poll.interval", "1h")]);
        let scrape = exporter.scraped("the poll fails", |scrape| polls(scrape, "failure") == 1.0);
        assert_eq!(simulator.request_count(), most, "{fault:?}");
        assert_eq!(scrape.total("jelou_exporter_api_retries_total", &[]), 0.0);
        assert_eq!((scrape.sum("jelou_up", &[]), exporter.get("/-/ready").status), (Some(0.0), 503));
    }
}

/// After five refused polls in a row the upstream is left alone, until the secret's file changes.
#[test]
fn wrong_credentials_are_not_tried_for_ever() {
    let (simulator, _) = frozen(SimulatorOptions { per_hour: 5.0, ..SimulatorOptions::default() });
    let file = std::env::temp_dir().join(format!("jelou-exporter-it-secret-{}", std::process::id()));
    std::fs::write(&file, "not the secret\n").unwrap();
    let mut command = polling(
        &simulator.base_url(),
        &[("api.client_secret_file", file.to_str().unwrap()), ("poll.interval", "100ms")],
    );
    let exporter = Exporter::run(command.env_remove("JELOU_EXPORTER_API_CLIENT_SECRET"));
    until("it slows down", || exporter.program.stderr().contains("refused 5 polls in a row"));
    assert_eq!(simulator.request_count(), 5);
    // That nothing is asked for ten minutes is the poller's own test, in paused time; here, that a new secret ends it.
    std::fs::write(&file, SimulatorOptions::default().client_secret).unwrap();
    exporter.is_up();
    std::fs::remove_file(&file).unwrap();
}

/// The time from each request that was answered so to the next one.
fn gaps_after(simulator: &Simulator, status: u16) -> Vec<Duration> {
    let requests = simulator.requests();
    let after = requests.windows(2).filter(|pair| pair[0].status == Some(status));
    after.map(|pair| pair[1].arrived.duration_since(pair[0].arrived)).collect()
}

#[test]
fn retry_after_is_obeyed_also_by_the_next_polls() {
    let (simulator, _) = frozen(SimulatorOptions { per_hour: 5.0, ..SimulatorOptions::default() });
    let exporter = Exporter::start(&simulator.base_url(), &[("poll.interval", "100ms")]);
    exporter.is_up();
    // A date is cut to the second, so it may be up to a second less.
    for (retry_after, at_least) in [(RetryAfter::Seconds(2), 2), (RetryAfter::Date(3), 2)] {
        simulator.clear_requests();
        simulator.script(Fault::TooManyRequests(retry_after), 1);
        let gaps = eventually(|| match gaps_after(&simulator, 429) {
            gaps if gaps.is_empty() => Err(format!("{retry_after:?} did not end")),
            gaps => Ok(gaps),
        });
        assert!(gaps.iter().all(|gap| *gap >= Duration::from_secs(at_least)), "{retry_after:?}: {gaps:?}");
    }
    exporter.is_up();
}

#[test]
fn the_request_budget_holds_under_load() {
    let world = SimulatorOptions {
        per_hour: 60.0,
        faults: FaultRates { bad_gateway: 0.1, reset: 0.1, ..FaultRates::default() },
        ..SimulatorOptions::default()
    };
    for (rate, seconds) in [("20", 20), ("5", 5)] {
        let (simulator, _) = frozen(world.clone());
        let settings = [("api.requests_per_second", rate), ("api.page_size", "5"), ("poll.interval", "1s")];
        let exporter = Exporter::start(&simulator.base_url(), &settings);
        until("three seconds of requests", || simulator.request_count() > 3 * seconds);
        // One more for the borders of the second that is looked at.
        assert!(simulator.most_requests_in_a_second() as u64 <= seconds + 1, "{rate} a second");
        exporter.scraped("the wait is told", |scrape| {
            scrape.total("jelou_exporter_api_budget_wait_seconds_total", &[]) > 0.0
        });
    }
}
