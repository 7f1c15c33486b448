//! The numbers are right: a whole upstream, polled by the real binary, compared with what the oracle knows.

use jelou_exporter::domain::time::UnixMillis;
use jelou_exporter::simulator::faults::FaultRates;
use jelou_exporter::simulator::oracle::OracleRules;
use jelou_exporter::simulator::story::Story;
use jelou_exporter::simulator::{AuthForm, DateStyle, Simulator, SimulatorOptions, TooWide, TotalStyle};

use crate::support::eventually;
use crate::support::expected::Expected;
use crate::support::exporter::{Exporter, Settings, polling};
use crate::support::exposition::Scrape;
use crate::support::program::Program;
use crate::support::world::{frozen, now, simulate};

/// A day of conversations with every documented oddity.
pub(crate) fn lifelike(seed: u64) -> SimulatorOptions {
    SimulatorOptions { seed, per_hour: 60.0, quirks: true, ..SimulatorOptions::default() }
}

/// Where the exporter began to read.
pub(crate) fn first_asked(simulator: &Simulator) -> UnixMillis {
    simulator.requests().iter().filter_map(|request| request.range).map(|(from, _)| from).min().unwrap_or(now())
}

/// What must be shown of the world as it was at `at`.
fn truth(simulator: &Simulator, at: UnixMillis, rules: &OracleRules) -> Expected {
    Expected::of(&simulator.totals(first_asked(simulator), at, rules))
}

pub(crate) fn compare(
    exporter: &Exporter,
    simulator: &Simulator,
    at: UnixMillis,
    whole_seconds: bool,
) -> Result<Scrape, String> {
    compare_by(exporter, simulator, at, &OracleRules { whole_seconds, ..OracleRules::defaults(now()) })
}

/// The same under other rules than the default settings give.
pub(crate) fn compare_by(
    exporter: &Exporter,
    simulator: &Simulator,
    at: UnixMillis,
    rules: &OracleRules,
) -> Result<Scrape, String> {
    let scrape = exporter.scrape();
    truth(simulator, at, rules).compare(&scrape)?;
    Ok(scrape)
}

/// Polls a world that stands still until the numbers are the oracle's, and some more to see that they stay so.
fn settles(world: SimulatorOptions, settings: Settings<'_>) -> Scrape {
    let whole_seconds = world.date_style.is_none_or(DateStyle::whole_seconds) && !settings.contains(&GET);
    let (simulator, at) = frozen(world);
    let exporter = Exporter::start(&simulator.base_url(), settings);
    let check = || compare(&exporter, &simulator, at, whole_seconds);
    let scrape = eventually(check);
    assert!(scrape.total("jelou_conversations_started_total", &[]) > 200.0);
    // What is settled is read again by the overlap only, what is active at every poll: nothing may count twice.
    exporter.succeeds_again(3.0);
    eventually(check)
}

const GET: (&str, &str) = ("api.dialect", "external-get");

#[test]
fn post_with_basic_credentials_and_local_dates() {
    let scrape = settles(lifelike(1), &[]);
    assert_eq!(scrape.total("jelou_up", &[]), 1.0);
    assert_eq!(scrape.total("jelou_exporter_records_outside_window_total", &[]), 0.0);
    assert_eq!(scrape.total("jelou_exporter_conversations_vanished_total", &[]), 0.0);
    assert_eq!(scrape.total("jelou_exporter_amendments_total", &[]), 0.0);
    assert_eq!(scrape.total("jelou_account_info", &[("company", "123")]), 1.0);
}

#[test]
fn get_with_raw_credentials_utc_dates_oldest_first_and_no_total() {
    let world =
        SimulatorOptions { auth: AuthForm::Raw, newest_first: false, totals: TotalStyle::Absent, ..lifelike(2) };
    settles(world, &[GET, ("api.auth", "raw")]);
}

#[test]
fn dates_with_an_offset_small_pages_and_a_total_that_is_too_high() {
    let world = SimulatorOptions { date_style: Some(DateStyle::IsoOffset), totals: TotalStyle::Off(1), ..lifelike(3) };
    settles(world, &[("api.page_size", "10")]);
}

#[test]
fn pages_smaller_than_asked_for_oldest_first() {
    settles(SimulatorOptions { max_page_size: 10, newest_first: false, ..lifelike(4) }, &[]);
}

#[test]
fn a_range_that_is_too_wide_is_halved_whatever_the_status() {
    for (seed, too_wide) in [(5, TooWide::Unprocessable), (6, TooWide::ServerError)] {
        let world = SimulatorOptions { max_range: Some(1800), too_wide, ..lifelike(seed) };
        settles(world, &[]);
    }
}

#[test]
fn failures_by_chance_and_records_that_cannot_be_read() {
    let world = SimulatorOptions { per_hour: 30.0, faults: FaultRates::all(0.02), bad_rows: 0.02, ..lifelike(7) };
    let (simulator, at) = frozen(world);
    let exporter = Exporter::start(&simulator.base_url(), &[("poll.interval", "3s")]);
    let check = || compare(&exporter, &simulator, at, true);
    let scrape = eventually(check);
    assert!(scrape.total("jelou_exporter_records_total", &[("result", "rejected")]) > 0.0);
    assert!(scrape.total("jelou_exporter_api_retries_total", &[]) > 0.0);
    // One request in five fails, so few polls succeed as a whole; they go on all the same, and count nothing twice.
    exporter.polls_again(2.0);
    eventually(check);
    simulator.set_faults(FaultRates::default());
    exporter.succeeds_again(1.0);
    eventually(check);
}

#[test]
fn a_range_that_is_too_wide_to_be_answered_in_time_is_halved() {
    let world = SimulatorOptions { max_range: Some(3600), too_wide: TooWide::Hang, ..lifelike(12) };
    settles(world, &[("api.timeout", "300ms")]);
}

/// What is soft-deleted leaves the gauges and keeps its counts; listed again, it is back.
#[test]
fn what_vanishes_leaves_the_gauges_only() {
    let (simulator, at) = frozen(lifelike(13));
    // At night nobody else may be active.
    simulator.put(Story::new("waits", at - 600_000).by("Bot", "A"));
    simulator.put(Story::new("talks", at - 700_000).by("Bot", "A").replied_after(5000));
    let exporter = Exporter::start(&simulator.base_url(), &[("poll.sweep_interval", "1s")]);
    let check = || compare(&exporter, &simulator, at, true);
    eventually(check);
    let active: Vec<_> = simulator.stories(first_asked(&simulator), at);
    let active = active.into_iter().filter(|story| story.is_listed(at) && story.ending_at(at).is_none());
    let active: Vec<_> = active.take(5).map(|story| story.id.clone()).collect();
    assert!(active.iter().all(|id| simulator.hide(id)) && !active.is_empty());
    let vanished = || {
        let count = check()?.total("jelou_exporter_conversations_vanished_total", &[]);
        if count == active.len() as f64 { Ok(()) } else { Err(format!("{count} have vanished")) }
    };
    eventually(vanished);
    exporter.succeeds_again(3.0);
    eventually(vanished);
    assert!(active.iter().all(|id| simulator.unhide(id)));
    // The sweep finds them again; that they had vanished stays counted.
    eventually(vanished);
    exporter.succeeds_again(3.0);
    eventually(vanished);
}

/// Dates are read ten and a half hours off: the records lie outside of whatever range is asked for.
#[test]
fn a_wrong_zone_loses_nothing_and_counts_nothing_twice() {
    let world = SimulatorOptions { fixed_zone: Some("Asia/Kolkata".to_owned()), ..lifelike(8) };
    let (simulator, at) = frozen(world);
    let exporter = Exporter::start(&simulator.base_url(), &[]);
    let check = || {
        let scrape = exporter.scrape();
        // The clock decides nothing of a record whose start is not to be trusted.
        let rules = OracleRules::defaults(UnixMillis(0));
        let expected = truth(&simulator, at, &rules).without_oldest();
        expected.compare(&scrape)?;
        let outside = scrape.total("jelou_exporter_records_outside_window_total", &[]);
        let started = scrape.total("jelou_conversations_started_total", &[]);
        if outside == started { Ok(scrape) } else { Err(format!("{outside} of {started} lie outside")) }
    };
    eventually(check);
    exporter.succeeds_again(3.0);
    eventually(check);
    let said = exporter.program.stderr();
    assert_eq!(said.matches("api.timezone").count(), 1, "it is said once:\n{said}");
}

/// A hundred conversations that begin one after the other from now on and live for seconds, beside the lifelike ones: at
/// night these are few.
fn begin_short_lives(simulator: &Simulator) {
    let from = now();
    for number in 0..100_i64 {
        let story =
            Story::new(format!("short-{number:03}"), from + 80 * number).by("Bot", ["A", "B"][number as usize % 2]);
        simulator.put(match number % 5 {
            0 => story.ended_after(1500, "expired", "expired"),
            1 => story.ended_after(700, "transferred", "transferred"),
            2 => story.replied_after(400).closed_after(1200),
            3 => story.replied_after(900),
            _ => story.origin("broadcast").closed_after(800),
        });
    }
}

/// Whether many have begun, been answered and ended since `before`, some of them before our eyes.
fn is_in_full_swing(before: &Scrape, now: &Scrape) -> bool {
    let added = |name: &str| now.total(name, &[]) - before.total(name, &[]);
    added("jelou_conversations_started_total") >= 40.0
        && added("jelou_operator_reply_time_seconds_count") >= 10.0
        && added("jelou_conversation_duration_seconds_count") >= 20.0
        && now.total("jelou_exporter_records_total", &[("result", "changed")]) >= 10.0
}

/// Conversations that live for seconds are followed through their lives.
#[test]
fn a_living_world() {
    let simulator = simulate(SimulatorOptions { pace: 0.01, ..lifelike(9) });
    let exporter = Exporter::start(&simulator.base_url(), &[]);
    exporter.is_up();
    let before = exporter.scrape();
    begin_short_lives(&simulator);
    exporter.scraped("life goes on", |scrape| is_in_full_swing(&before, scrape));
    let at = now();
    simulator.freeze_at(at);
    let check = || compare(&exporter, &simulator, at, true);
    eventually(check);
    exporter.succeeds_again(3.0);
    eventually(check);
    let said = exporter.program.stderr();
    let stories = simulator.stories(first_asked(&simulator), at);
    assert!(!stories.iter().any(|story| said.contains(&*story.id)), "ids are for the debug level:\n{said}");
}

/// The zero line: what the first walk finds is not counted, what becomes of it is.
#[test]
fn only_differences_count_after_the_zero_line() {
    let (simulator, zero) = frozen(SimulatorOptions { pace: 0.01, ..lifelike(10) });
    let exporter = Exporter::start(&simulator.base_url(), &[("poll.count_initial", "false")]);
    let truth_at = |at| truth(&simulator, at, &OracleRules::defaults(now()));
    let still = || truth_at(zero).gauges().compare(&exporter.scrape());
    eventually(still);
    exporter.succeeds_again(3.0);
    eventually(still);

    let before = exporter.scrape();
    begin_short_lives(&simulator);
    simulator.thaw();
    exporter.scraped("life goes on", |scrape| is_in_full_swing(&before, scrape));
    let at = now();
    simulator.freeze_at(at);
    let differences = || {
        let expected = truth_at(at).since(&truth_at(zero));
        assert!(expected.total("jelou_conversations_started_total") >= 40);
        expected.compare(&exporter.scrape())
    };
    eventually(differences);
    exporter.succeeds_again(3.0);
    eventually(differences);
}

/// One poll, however short its interval, prints the whole truth.
#[test]
fn once_prints_what_the_oracle_knows() {
    let (simulator, at) = frozen(lifelike(11));
    let mut program = Program::start(polling(&simulator.base_url(), &[]).arg("once"));
    let status = program.ended_within(crate::support::PATIENCE);
    assert_eq!(status.code(), Some(0), "{}", program.stderr());
    let expected = truth(&simulator, at, &OracleRules::defaults(now()));
    expected.compare(&Scrape::read(&program.stdout())).unwrap();
}
