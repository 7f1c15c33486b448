//! The whole server, asked over a socket.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::faults::{FaultRates, RetryAfter};
use super::*;
use crate::clock::ManualClock;
use crate::domain::time::UnixMillis;

/// 2025-01-01T15:00:00Z, ten in the morning in Guayaquil.
const NOW: UnixMillis = UnixMillis(1_735_743_600_000);
const HOUR: i64 = 3_600_000;

async fn started(options: SimulatorOptions) -> (Simulator, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(NOW));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (Simulator::start(options, clock.clone(), listener).unwrap(), clock)
}

/// Sends one request over a connection of its own and reads until the server ends it.
fn exchange(simulator: &Simulator, authorization: &str, head: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(simulator.addr())?;
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nhost: simulated\r\nconnection: close\r\nauthorization: {authorization}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

const BASIC: &str = "Basic c2ltdWxhdGVkLWNsaWVudDpzaW11bGF0ZWQtc2VjcmV0";
const RAW: &str = "simulated-client:simulated-secret";

fn get(simulator: &Simulator, hours: i64, page: u64) -> io::Result<String> {
    let date = |at: UnixMillis| jiff::Timestamp::from_millisecond(at.0).unwrap();
    let (start, end) = (date(NOW - hours * HOUR), date(NOW + HOUR));
    let path = Dialect::ExternalGet.path();
    exchange(simulator, BASIC, &format!("GET {path}?startAt={start}&endAt={end}&limit=50&page={page}"), "")
}

fn json_of(answer: &str) -> Value {
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn walk(simulator: &Simulator, hours: i64) -> Vec<Value> {
    let mut rows = Vec::new();
    for page in 1.. {
        let body = json_of(&get(simulator, hours, page).unwrap());
        let results = body["results"].as_array().unwrap();
        if results.is_empty() {
            assert_eq!(body["pagination"]["total"], rows.len());
            break;
        }
        rows.extend(results.iter().cloned());
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn both_dialects_answer_and_the_date_is_the_clocks() {
    let (simulator, clock) = started(SimulatorOptions::scripted()).await;
    simulator.put(Story::new("a", NOW - 1000).by("Bot", "Ventas"));
    let answer = get(&simulator, 1, 1).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(answer.matches("date: ").count(), 1);
    assert!(answer.contains("\r\ndate: Wed, 01 Jan 2025 15:00:00 GMT\r\n"), "{answer}");
    assert_eq!(json_of(&answer)["results"][0]["startAt"], "2025-01-01T14:59:59.000Z");

    clock.advance(HOUR);
    let body = r#"{"startAt":"2025-01-01T00:00:00-05:00","endAt":"2025-01-01T23:59:59-05:00","getJson":true}"#;
    let head = format!("POST {}?limit=10&page=1", Dialect::MetricsPost.path());
    let answer = exchange(&simulator, BASIC, &head, body).unwrap();
    assert!(answer.contains("\r\ndate: Wed, 01 Jan 2025 16:00:00 GMT\r\n"));
    assert_eq!(json_of(&answer)["results"][0]["startAt"], "2025-01-01 09:59:59");

    let dialects: Vec<_> = simulator.requests().iter().map(|request| request.dialect).collect();
    assert_eq!(dialects, [Some(Dialect::ExternalGet), Some(Dialect::MetricsPost)]);
    assert_eq!((simulator.request_count(), simulator.most_requests_in_a_second()), (2, 2));
    simulator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_wrong_form_of_credentials_is_refused() {
    let (simulator, _) = started(SimulatorOptions::scripted()).await;
    let ask = |authorization| {
        exchange(&simulator, authorization, &format!("GET {}", Dialect::ExternalGet.path()), "").unwrap()
    };
    let answer = ask(RAW);
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(json_of(&answer), json!({"message": "Authentication failed"}));
    // Let in, it is refused for its missing dates only.
    assert!(ask(BASIC).starts_with("HTTP/1.1 422 "));
    simulator.configure(|options| options.auth = AuthForm::Raw);
    assert!(ask(RAW).starts_with("HTTP/1.1 422 ") && ask(BASIC).starts_with("HTTP/1.1 401 "));
    simulator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_can_be_cut_and_a_connection_reset() {
    let (simulator, _) = started(SimulatorOptions::scripted()).await;
    simulator.script(Fault::CutBody, 1);
    simulator.script(Fault::Reset, 1);
    simulator.script(Fault::TooManyRequests(RetryAfter::Seconds(3)), 1);
    // What the client reads of a cut answer ends early or in an error, but it has begun.
    let mut stream = TcpStream::connect(simulator.addr()).unwrap();
    let range = "startAt=2025-01-01T00:00:00Z&endAt=2025-01-02T00:00:00Z";
    let path = Dialect::ExternalGet.path();
    write!(stream, "GET {path}?{range} HTTP/1.1\r\nhost: a\r\nauthorization: {BASIC}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.split_once("content-length: ").unwrap().1.split("\r\n").next().unwrap();
    assert_eq!(body.len(), length.parse::<usize>().unwrap() / 2);

    let reset = get(&simulator, 1, 1).unwrap_err();
    assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
    assert!(get(&simulator, 1, 1).unwrap().contains("\r\nretry-after: 3\r\n"));
    assert!(get(&simulator, 1, 1).unwrap().starts_with("HTTP/1.1 200 "));
    let statuses: Vec<_> = simulator.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(200), None, Some(429), Some(200)]);
    simulator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_is_released_by_the_stop() {
    let (simulator, _) = started(SimulatorOptions::scripted()).await;
    simulator.script(Fault::Hang, 1);
    simulator.script(Fault::StalledBody, 1);
    let simulator = Arc::new(simulator);
    let clients: Vec<_> = (0..2)
        .map(|_| {
            let simulator = simulator.clone();
            std::thread::spawn(move || {
                let answer = get(&simulator, 1, 1);
                drop(simulator);
                answer
            })
        })
        .collect();
    while simulator.request_count() < 2 {
        tokio::task::yield_now().await;
    }
    simulator.stop.send_replace(true);
    for client in clients {
        let answer = client.join().unwrap().unwrap_or_default();
        assert!(serde_json::from_str::<Value>(answer.split("\r\n\r\n").nth(1).unwrap_or("")).is_err());
    }
    Arc::into_inner(simulator).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn records_can_be_hidden_amended_and_removed() {
    let (simulator, clock) = started(SimulatorOptions { quirks: true, ..SimulatorOptions::default() }).await;
    let before = walk(&simulator, 6);
    assert!(before.len() > 300, "{}", before.len());
    let id = before[7]["_id"].as_str().unwrap();
    clock.advance(1);
    assert!(simulator.hide(id) && !simulator.hide("nobody"));
    assert_eq!(walk(&simulator, 6).len(), before.len() - 1);
    let rules = OracleRules::defaults(NOW);
    let counted = |simulator: &Simulator| {
        let totals = simulator.totals(NOW - 6 * HOUR, NOW + 1, &rules);
        let started: u64 = totals.pairs.values().flat_map(|pair| pair.started.values()).sum();
        started
    };
    assert_eq!(counted(&simulator), before.len() as u64, "it was counted before it vanished");
    assert!(simulator.unhide(id));
    assert!(simulator.amend(id, |story| story.fields.push(("state".into(), json!("paused")))));
    let rows = walk(&simulator, 6);
    assert_eq!(rows.iter().find(|row| row["_id"] == id).unwrap()["state"], "paused");
    assert!(simulator.remove(id) && simulator.find(id).is_none());
    assert_eq!(counted(&simulator), before.len() as u64 - 1);
    simulator.stop().await;
}

/// The listed rows and the oracle tell the same story, as far as a row can be read without knowing the rules.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_oracle_agrees_with_what_is_listed() {
    let options = SimulatorOptions { per_hour: 300.0, bad_rows: 0.01, ..SimulatorOptions::default() };
    let (simulator, clock) = started(options).await;
    simulator.freeze_at(NOW);
    clock.advance(HOUR);
    let rows = walk(&simulator, 24);
    let totals = simulator.totals(NOW - 24 * HOUR, NOW, &OracleRules::defaults(NOW));
    let good: Vec<_> = rows
        .iter()
        .filter(|row| row["_id"].is_string() && row["startAt"].as_str().is_some_and(|at| at.starts_with("20")))
        .collect();
    assert_eq!(totals.rejected as usize, rows.len() - good.len());
    assert!(totals.rejected > 10 && good.len() > 3000);
    let sum = |field: &str| good.iter().filter_map(|row| row[field].as_u64()).map(u128::from).sum::<u128>();
    let pairs = || totals.pairs.values();
    assert_eq!(pairs().map(|pair| pair.reply.sum_ms).sum::<u128>(), sum("timeRepliedOperator"));
    assert_eq!(pairs().map(|pair| pair.duration.sum_ms).sum::<u128>(), sum("conversationDuration"));
    let active = good.iter().filter(|row| row["state"] == "active").count() as u64;
    assert_eq!(pairs().map(|pair| pair.active).sum::<u64>(), active);
    let decided: u64 = pairs().map(|pair| pair.met + pair.missed).sum();
    let missed: u64 = pairs().map(|pair| pair.missed).sum();
    assert!(active > 10 && decided > 2500 && missed > 200, "{active} {decided} {missed}");
    assert_eq!(totals.pairs.len(), 8);
    simulator.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_demo_changes_within_seconds() {
    let (simulator, clock) = started(SimulatorOptions::demo()).await;
    let rules = OracleRules::defaults(NOW);
    let at = |at: UnixMillis| simulator.totals(NOW - 24 * HOUR, at, &rules);
    // Also at three on a Sunday morning in Guayaquil, when it is broad day for whoever looks at it elsewhere.
    let night = UnixMillis::from_seconds(1_736_064_000);
    assert_ne!(at(night), at(night + 10_000));
    let mut before = at(NOW);
    let history: u64 = before.pairs.values().flat_map(|pair| pair.started.values()).sum();
    assert!(history > 5000, "{history}");
    for second in (10..=60).step_by(10) {
        clock.set(NOW + second * 1000);
        let after = at(NOW + second * 1000);
        assert_ne!(before, after);
        before = after;
    }
    let personal = simulator.personal_data(NOW - HOUR, NOW);
    assert!(personal.iter().any(|text| text == "María López"));
    simulator.set_faults(FaultRates { bad_gateway: 1.0, ..FaultRates::default() });
    assert!(get(&simulator, 1, 1).unwrap().starts_with("HTTP/1.1 502 "));
    simulator.stop().await;
}
