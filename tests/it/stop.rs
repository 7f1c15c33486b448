//! It ends when it is told to, whatever the upstream or the receiver does, and begins whatever the upstream does.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jelou_exporter::clock::SystemClock;
use jelou_exporter::simulator::faults::{Fault, RetryAfter};
use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use tokio::net::TcpSocket;

use crate::support::exporter::{Exporter, Settings, command, polling};
use crate::support::program::Program;
use crate::support::scratch::Scratch;
use crate::support::until;
use crate::support::world::{RUNTIME, frozen};

/// The promise.
const IN_TIME: Duration = Duration::from_secs(5);

fn a_few() -> SimulatorOptions {
    SimulatorOptions { per_hour: 5.0, ..SimulatorOptions::default() }
}

#[track_caller]
fn ends_at(signal: &str, program: &mut Program) {
    program.signal(signal);
    let status = program.ended_within(IN_TIME);
    assert_eq!(status.code(), Some(0), "{status}:\n{}", program.stderr());
    let told = format!("msg=\"stopping\" signal=SIG{signal}");
    assert!(program.stderr().contains(&told), "{}", program.stderr());
}

/// Stops an exporter, by both signals, once its upstream satisfies.
fn stops(fault: Option<Fault>, settings: Settings<'_>, ready: impl Fn(&Simulator, &Exporter) -> bool) {
    for signal in ["TERM", "INT"] {
        let (simulator, _) = frozen(a_few());
        if let Some(fault) = fault {
            simulator.script(fault, u64::MAX);
        }
        let mut exporter = Exporter::start(&simulator.base_url(), settings);
        until("the upstream is as it should be", || ready(&simulator, &exporter));
        ends_at(signal, &mut exporter.program);
    }
}

/// Settings by which nothing happens for long after the first poll.
const SLOW: (&str, &str) = ("poll.interval", "1h");

#[test]
fn while_idle() {
    stops(None, &[SLOW], |_, exporter| exporter.scrape().total("jelou_up", &[]) == 1.0);
}

#[test]
fn while_a_request_hangs() {
    stops(Some(Fault::Hang), &[SLOW], |simulator, _| simulator.request_count() > 0);
    stops(Some(Fault::StalledBody), &[SLOW], |simulator, _| simulator.request_count() > 0);
}

#[test]
fn while_it_waits_to_ask_again() {
    stops(Some(Fault::BadGateway), &[SLOW], |simulator, _| simulator.request_count() > 1);
    let silence = Fault::TooManyRequests(RetryAfter::Seconds(600));
    stops(Some(silence), &[SLOW], |simulator, _| simulator.request_count() > 0);
}

#[test]
fn during_the_first_walk() {
    let settings = [SLOW, ("api.requests_per_second", "5"), ("api.page_size", "1")];
    stops(None, &settings, |simulator, exporter| {
        simulator.request_count() > 2 && exporter.get("/-/ready").status == 503
    });
}

/// A receiver of OTLP that takes connections and never answers.
#[test]
fn while_a_push_hangs() {
    for protocol in ["http/protobuf", "grpc"] {
        let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
        let (simulator, _) = frozen(a_few());
        let endpoint = format!("http://{}", receiver.local_addr().unwrap());
        let settings = [SLOW, ("otlp.endpoint", endpoint.as_str()), ("otlp.protocol", protocol)];
        let mut exporter = Exporter::start(&simulator.base_url(), &settings);
        let _connection = receiver.accept().unwrap();
        exporter.is_up();
        ends_at("TERM", &mut exporter.program);
    }
}

/// A pipe that nobody writes into, in place of a file: whoever reads it hangs, as on a mount whose server is gone.
pub(crate) fn hang(file: &Path) {
    let pipe = file.with_extension("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    std::fs::rename(&pipe, file).unwrap();
}

#[test]
fn a_file_that_hangs_holds_up_neither_scrapes_nor_polls_nor_the_end() {
    let (simulator, _) = frozen(a_few());
    let folder = Scratch::new();
    let file = folder.0.join("secret");
    std::fs::write(&file, SimulatorOptions::default().client_secret).unwrap();
    let settings = [("api.client_secret", ""), ("api.client_secret_file", file.to_str().unwrap())];
    let mut exporter = Exporter::start(&simulator.base_url(), &settings);
    exporter.is_up();
    hang(&file);
    let told = format!("api.client_secret_file {}: it does not answer", file.display());
    until("it is told", || {
        assert_eq!(exporter.get("/-/healthy").status, 200);
        exporter.program.stderr().contains(&told)
    });
    exporter.succeeds_again(5.0);
    assert_eq!(exporter.program.stderr().matches(&told).count(), 1, "it is news but once");
    ends_at("TERM", &mut exporter.program);
}

#[test]
fn a_file_that_hangs_at_the_start_is_an_error_that_names_it() {
    let folder = Scratch::new();
    let file = folder.0.join("secret");
    hang(&file);
    let settings = [("api.client_secret", ""), ("api.client_secret_file", file.to_str().unwrap())];
    let mut program = Program::start(&mut polling("http://127.0.0.1:1", &settings));
    let status = program.ended_within(4 * IN_TIME);
    assert_eq!(status.code(), Some(2), "{}", program.stderr());
    let told = program.stderr();
    assert!(told.contains("api.client_secret_file") && told.contains("it does not answer"), "{told}");
}

#[test]
fn an_upstream_that_is_down_does_not_keep_it_from_starting() {
    let socket = TcpSocket::new_v4().unwrap();
    // Bound, so that nobody else gets the port, but not listening: connections are refused.
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let exporter = Exporter::start(&url, &[]);
    let failed = exporter
        .scraped("a failed poll", |scrape| scrape.total("jelou_exporter_polls_total", &[("result", "failure")]) >= 1.0);
    assert_eq!(failed.sum("jelou_up", &[]), Some(0.0));
    assert!(failed.total("jelou_exporter_api_requests_total", &[("outcome", "connect")]) >= 1.0);
    assert_eq!(failed.sum("jelou_exporter_last_successful_poll_timestamp_seconds", &[]), None);
    assert_eq!(exporter.get("/-/ready").status, 503);

    let _simulator = RUNTIME
        .block_on(async { Simulator::start(a_few(), Arc::new(SystemClock), socket.listen(64).unwrap()).unwrap() });
    exporter.is_up();
    assert_eq!(exporter.get("/-/ready").status, 200);
}

#[test]
fn an_occupied_port_is_an_error_that_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for mut command in [polling("http://127.0.0.1:1", &[("web.listen_address", &address)]), {
        let mut demo = command(&[("web.listen_address", &address)]);
        demo.arg("demo");
        demo
    }] {
        let mut program = Program::start(&mut command);
        let status = program.ended_within(IN_TIME);
        assert_eq!(status.code(), Some(1), "{}", program.stderr());
        assert!(program.stderr().contains(&format!("cannot listen on {address}: ")), "{}", program.stderr());
    }
}
