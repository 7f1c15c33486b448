//! The commands, as somebody at a terminal or a script meets them.

use std::time::{Duration, Instant};

use jelou_exporter::simulator::faults::Fault;
use jelou_exporter::simulator::{Dialect, SimulatorOptions};

use crate::support::exporter::{Exporter, Settings, command, polling};
use crate::support::exposition::Scrape;
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::world::frozen;
use crate::support::{PATIENCE, until, web};

/// Status, standard output and standard error.
fn ran(arguments: &[&str], settings: Settings<'_>) -> (Option<i32>, String, String) {
    let mut program = Program::start(command(settings).args(arguments));
    let status = program.ended_within(PATIENCE);
    (status.code(), program.stdout(), program.stderr())
}

const SECRET: &str = "hunter2-of-the-test";

#[test]
fn what_cannot_be_written_is_an_error() {
    for arguments in [&["completions", "bash"][..], &["--help"], &["man"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command(&[]).args(arguments).stdout(full).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.starts_with("error: standard output cannot be written: "), "{arguments:?}: {told}");
    }
}

#[test]
fn a_demo_pushes_nothing_by_an_environment_that_lies_about() {
    let mut demo = command(&[("otlp.endpoint", "http://127.0.0.1:9")]);
    demo.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={SECRET}"));
    let exporter = Exporter::run(demo.args(["demo", "--web.listen-address", "127.0.0.1:0"]));
    let told = "ignored: OTEL_EXPORTER_OTLP_HEADERS, otlp.endpoint (JELOU_EXPORTER_OTLP_ENDPOINT)";
    let said = exporter.program.stderr();
    assert!(said.contains(told) && !said.contains(SECRET), "{said}");
    exporter.scraped("polls, and no family of OTLP", |scrape| {
        scrape.total("jelou_up", &[]) == 1.0 && scrape.sum("jelou_exporter_otlp_exports_total", &[]).is_none()
    });
}

#[test]
fn check_config_accepts_what_can_be_used() {
    let settings = [("api.client_id", "me"), ("api.client_secret", SECRET), ("state.path", "")];
    let (status, out, err) = ran(&["check-config"], &settings);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains("usable") && !out.contains(SECRET), "{out}");
}

#[test]
fn check_config_names_every_problem_at_once_and_no_secret() {
    let settings = [
        ("api.client_secret", SECRET),
        ("api.ulr", "http://127.0.0.1"),
        ("api.timezone", "Mars/Olympus"),
        ("api.page_size", "0"),
        ("poll.interval", "often"),
        ("state.path", "/no/such/folder/state.db"),
        ("web.listen_address", "nowhere"),
    ];
    let (status, out, err) = ran(&["check-config", "--log.level", "loud"], &settings);
    assert_eq!((status, out.as_str()), (Some(2), ""));
    for told in [
        "JELOU_EXPORTER_API_URL?",
        "api.client_id",
        "api.timezone = \"Mars/Olympus\"",
        "api.page_size = \"0\"",
        "poll.interval = \"often\"",
        "state.path = \"/no/such/folder/state.db\"",
        "web.listen_address = \"nowhere\"",
        "log.level = \"loud\"",
    ] {
        assert!(err.contains(told), "{told} is missing in:\n{err}");
    }
    assert!(!err.contains(SECRET), "{err}");
}

#[test]
fn check_config_looks_into_the_checkpoint_and_disturbs_nobody() {
    let (folder, (simulator, _)) = (Scratch::new(), frozen(SimulatorOptions::default()));
    let path = folder.state();
    let settings = [("api.client_id", "me"), ("api.client_secret", SECRET), ("state.path", &*path)];
    std::fs::write(&path, "no checkpoint at all").unwrap();
    let (status, _, err) = ran(&["check-config"], &settings);
    assert_eq!(status, Some(2));
    assert!(err.contains(&format!("state.path = \"{path}\"")) && err.contains("cannot be read"), "{err}");
    std::fs::remove_file(&path).unwrap();

    let exporter = Exporter::start(&simulator.base_url(), &[("state.path", &*path)]);
    exporter.is_up();
    let (status, out, err) = ran(&["check-config"], &settings);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(out.contains(&format!("note: the checkpoint {path} is in use")) && out.contains("usable"), "{out}");
    exporter.succeeds_again(1.0);
    exporter.program.signal("TERM");
    until("it has let go of the file", || {
        let (status, out, _) = ran(&["check-config"], &settings);
        assert_eq!(status, Some(0), "{out}");
        out == "The configuration is usable.\n"
    });
}

/// `once 2>&1 | head -1`, which may close the pipe before the error is told.
#[test]
fn a_closed_standard_error_changes_no_exit_status() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command(&[]);
    let status = command.arg("check-config").stderr(writer).stdout(std::process::Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn what_cannot_be_used_ends_with_2() {
    for arguments in [&["--no.such-flag"][..], &["no-such-command"], &["--api.client-secret", SECRET], &["run"]] {
        let (status, out, err) = ran(arguments, &[]);
        assert_eq!((status, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!err.is_empty() && !err.contains(SECRET), "{err}");
    }
    for asked in ["--help", "--version"] {
        let (status, out, err) = ran(&[asked], &[]);
        assert_eq!((status, err.as_str()), (Some(0), ""), "{asked}");
        assert!(out.contains("jelou-exporter"));
    }
}

#[test]
fn once_prints_the_metrics_and_nothing_else() {
    let (simulator, _) = frozen(SimulatorOptions { per_hour: 20.0, ..SimulatorOptions::default() });
    let mut program = Program::start(polling(&simulator.base_url(), &[]).arg("once"));
    assert_eq!(program.ended_within(PATIENCE).code(), Some(0), "{}", program.stderr());
    let scrape = Scrape::read(&program.stdout());
    assert_eq!(scrape.total("jelou_up", &[]), 1.0);
    assert!(scrape.total("jelou_conversations_started_total", &[]) > 0.0);
    assert!(program.stderr().contains("conversations_per_minute="), "{}", program.stderr());
}

#[test]
fn once_fails_with_the_poll() {
    let (simulator, _) = frozen(SimulatorOptions::scripted());
    simulator.script(Fault::Unauthorized, 1);
    let mut program = Program::start(polling(&simulator.base_url(), &[]).arg("once"));
    assert_eq!(program.ended_within(PATIENCE).code(), Some(1));
    assert_eq!(program.stdout(), "");
    assert!(program.stderr().contains("the API refuses the credentials (HTTP 401)"), "{}", program.stderr());
}

#[test]
fn demo_shows_life_within_seconds() {
    let began = Instant::now();
    let mut demo = command(&[]);
    let exporter = Exporter::run(demo.args(["demo", "--web.listen-address", "127.0.0.1:0", "--simulator.seed", "7"]));
    let observed = |scrape: &Scrape, label: &str| {
        let counts = scrape.series.iter().filter(|(series, count)| {
            series.name == "jelou_operator_reply_time_seconds_count" && count.as_str() != "0"
        });
        counts.map(|(series, _)| series.labels[label].clone()).collect::<std::collections::BTreeSet<_>>().len()
    };
    let scrape = exporter
        .scraped("several teams and bots", |scrape| observed(scrape, "team") >= 3 && observed(scrape, "bot") >= 2);
    let took = began.elapsed();
    // Unoptimised, and beside other tests, the day of a busy weekday takes longer to read.
    let within = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 5 });
    assert!(took < within, "{took:?}");
    assert!(exporter.program.stdout().contains(&format!("metrics   http://{}/metrics\n", exporter.address)));
    let changed = |scrape: &Scrape| {
        let now = |name| scrape.total(name, &[]);
        now("jelou_conversations_started_total") + now("jelou_conversation_duration_seconds_count")
    };
    let before = changed(&scrape);
    exporter.scraped("the demo moves", |scrape| changed(scrape) > before);
}

#[test]
fn simulate_answers_whoever_has_the_credentials_that_it_tells() {
    let mut program = Program::start(command(&[]).args(["simulate", "--simulator.listen-address", "127.0.0.1:0"]));
    let url = program.word_after("JELOU_EXPORTER_API_URL=");
    let [id, secret] = ["CLIENT_ID", "CLIENT_SECRET"].map(|name| program.word_after(&format!("API_{name}=")));
    let address = url.strip_prefix("http://").unwrap();
    let path = format!("{}?startAt=2025-01-01T00:00:00Z&endAt=2025-01-02T00:00:00Z", Dialect::ExternalGet.path());
    until("it listens", || web::get(address, &path).is_ok());
    assert_eq!(web::get(address, &path).unwrap().status, 401);
    let answer = web::ask(address, "GET", &path, &format!("authorization: {id}:{secret}\r\n")).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    program.signal("TERM");
    assert_eq!(program.ended_within(Duration::from_secs(5)).code(), Some(0));
}
