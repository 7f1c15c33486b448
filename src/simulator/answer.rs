//! From a request to its answer, without a socket: what is refused and why, and what is done to a right answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::http::request::Parts;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::faults::{FailureInside, Fault, FaultPlan, RetryAfter};
use super::log::{LoggedRequest, RequestLog};
use super::options::{SimulatorOptions, TooWide};
use super::reply::{Answer, Delivery, Outcome};
use super::request::{self, Ask, Refusal};
use super::world::World;
use crate::domain::time::UnixMillis;

/// Everything that the server knows.
#[derive(Debug)]
pub(super) struct State {
    /// How it behaves now; what concerns the generated traffic is fixed in [`State::world`].
    pub(super) options: SimulatorOptions,
    pub(super) world: World,
    pub(super) faults: FaultPlan,
    pub(super) log: RequestLog,
    /// Nothing that happens after this instant is ever shown.
    pub(super) frozen: Option<UnixMillis>,
    /// When the latest requests were let in, for the rate limit.
    admitted: VecDeque<Instant>,
}

impl State {
    pub(super) fn new(options: SimulatorOptions, begins: UnixMillis) -> Self {
        let world = World::new(Arc::new(options.clone()), begins);
        let faults = FaultPlan::new(options.seed, options.faults);
        let log = RequestLog::keeping(options.requests_kept);
        Self { options, world, faults, log, frozen: None, admitted: VecDeque::new() }
    }

    /// The instant that the world has reached.
    pub(super) fn reached(&self, now: UnixMillis) -> UnixMillis {
        self.frozen.map_or(now, |frozen| frozen.min(now))
    }

    /// Answers one request that came at `now`, and notes it down.
    pub(super) fn answer(&mut self, parts: &Parts, body: &[u8], now: UnixMillis, arrived: Instant) -> Outcome {
        let mut entry = LoggedRequest {
            at: now,
            arrived,
            path: parts.uri.path().to_owned(),
            timezone: parts.headers.get("timezone").and_then(|zone| zone.to_str().ok()).map(str::to_owned),
            dialect: None,
            range: None,
            page: None,
            fault: self.faults.next(),
            status: None,
            rows: 0,
        };
        let outcome = self.outcome(parts, body, now, &mut entry);
        if let Outcome::Answer(answer) = &outcome {
            entry.status = Some(answer.status.as_u16());
        }
        self.log.push(entry);
        outcome
    }

    fn outcome(&mut self, parts: &Parts, body: &[u8], now: UnixMillis, entry: &mut LoggedRequest) -> Outcome {
        let dialect = request::dialect(&parts.method, parts.uri.path(), self.options.path.as_deref());
        entry.dialect = dialect.as_ref().ok().copied();
        let query = parts.uri.query().unwrap_or_default();
        let asked = dialect.and_then(|dialect| request::parse(dialect, query, body, self.options.max_page_size));
        if let Ok(ask) = &asked {
            entry.range = Some((ask.from, ask.until));
            entry.page = Some((ask.page, ask.limit));
        }
        if let Some(failure) = Outcome::of(entry.fault, now) {
            return failure;
        }
        if let Some(seconds) = self.over_the_limit(entry.arrived) {
            return Outcome::Answer(Answer::too_many(RetryAfter::Seconds(seconds), now));
        }
        let ask = match self.let_in(parts).and(asked) {
            Ok(ask) => ask,
            Err(refusal) => return Outcome::Answer(refusal.into()),
        };
        if self.options.max_range.is_some_and(|widest| ask.until.since(ask.from) > widest.saturating_mul(1000)) {
            return match self.options.too_wide {
                TooWide::Hang => Outcome::Hang,
                TooWide::ServerError => Outcome::Answer(Refusal::server_error("Query timed out").into()),
                TooWide::Unprocessable => Outcome::Answer(Refusal::unprocessable("the range is too wide").into()),
            };
        }
        Outcome::Answer(self.success(parts, &ask, now, entry))
    }

    /// Looks at the credentials, as the upstream does before anything else.
    fn let_in(&self, parts: &Parts) -> Result<(), Refusal> {
        let SimulatorOptions { auth, client_id, client_secret, company, .. } = &self.options;
        if !request::is_authorized(&parts.headers, *auth, client_id, client_secret) {
            return Err(Refusal::unauthorized());
        }
        company.map(|_| ()).ok_or_else(Refusal::no_company)
    }

    /// The seconds to wait, when there have been too many requests.
    fn over_the_limit(&mut self, arrived: Instant) -> Option<u32> {
        let rate = self.options.requests_per_second.filter(|rate| *rate > 0.0)?;
        let room = rate.floor().max(1.0);
        let window = Duration::from_secs_f64(room / rate);
        while self.admitted.front().is_some_and(|first| arrived.duration_since(*first) >= window) {
            self.admitted.pop_front();
        }
        if self.admitted.len() as f64 >= room {
            return Some(window.as_secs_f64().ceil() as u32);
        }
        self.admitted.push_back(arrived);
        None
    }

    fn success(&mut self, parts: &Parts, ask: &Ask, now: UnixMillis, entry: &mut LoggedRequest) -> Answer {
        let mut body = self.page(parts, ask, now, entry.fault);
        entry.rows = body["results"].as_array().map_or(0, Vec::len);
        let answer = |body: &Value| Answer::json(StatusCode::OK, body);
        match entry.fault {
            Fault::CutBody => Answer { delivery: Delivery::Cut, ..answer(&body) },
            Fault::StalledBody => Answer { delivery: Delivery::Stalled, ..answer(&body) },
            Fault::FailureInside(FailureInside::NoResults) => {
                if let Some(body) = body.as_object_mut() {
                    body.remove("results");
                }
                answer(&body)
            }
            Fault::FailureInside(how) => {
                let mut body = Refusal::unprocessable("Something went wrong").body;
                body["status"] = match how {
                    FailureInside::StatusFailed => json!("failed"),
                    FailureInside::StatusError => json!("error"),
                    FailureInside::StatusZero | FailureInside::NoResults => json!(0),
                };
                answer(&body)
            }
            _ => answer(&body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::options::TotalStyle;
    use crate::simulator::request::Dialect;
    use crate::simulator::story::Story;
    use hyper::Request;

    const START: UnixMillis = UnixMillis(1_735_707_600_000);
    const RANGE: &str = r#"{"startAt":"2025-01-01T00:00:00-05:00","endAt":"2025-01-01T23:59:59-05:00","getJson":true}"#;

    fn state(records: i64, options: SimulatorOptions) -> State {
        let mut state = State::new(options, START);
        for number in 0..records {
            state.world.put(Story::new(format!("id{number:03}"), START + number * 1000).by("Bot", "Ventas"));
        }
        state
    }

    fn ask(state: &mut State, query: &str, headers: &[(&str, &str)], arrived: Instant) -> Answer {
        let mut request = Request::post(format!("{}?{query}", Dialect::MetricsPost.path()))
            .header("authorization", "Basic c2ltdWxhdGVkLWNsaWVudDpzaW11bGF0ZWQtc2VjcmV0");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        match state.answer(&parts, RANGE.as_bytes(), START + 3_600_000, arrived) {
            Outcome::Answer(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn body(state: &mut State, query: &str) -> Value {
        let answer = ask(state, query, &[], Instant::now());
        assert_eq!(answer.status, 200, "{}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    fn ids(body: &Value) -> Vec<&str> {
        body["results"].as_array().unwrap().iter().map(|row| row["_id"].as_str().unwrap()).collect()
    }

    #[test]
    fn the_frame_of_a_page_has_the_documented_shape() {
        let mut state = state(61, SimulatorOptions::scripted());
        let page = body(&mut state, "limit=1&page=1");
        assert_eq!(page["message"], json!(["Retrieving conversations succeeded"]));
        assert_eq!(page["status"], "success");
        assert_eq!(page["pagination"], json!({"limit":1,"total":61,"offset":0,"totalPages":61}));
        let link = json!({"number":1,"url":"/v1/metrics/conversations/attended/external?limit=1&page=1"});
        assert_eq!(page["links"][0], link);
        assert_eq!(page["links"].as_array().unwrap().len(), 5);
        assert_eq!(ids(&page), ["id060"], "newest first");
    }

    #[test]
    fn limits_are_lowered_and_pages_past_the_end_are_empty() {
        let mut state = state(61, SimulatorOptions { newest_first: false, ..SimulatorOptions::scripted() });
        let first = body(&mut state, "limit=500");
        assert_eq!((first["pagination"]["limit"].clone(), ids(&first).len()), (json!(50), 50));
        let second = body(&mut state, "limit=500&page=2");
        assert_eq!((ids(&second).len(), ids(&second)[0]), (11, "id050"));
        let third = body(&mut state, "limit=500&page=3");
        assert_eq!((ids(&third).len(), &third["pagination"]["total"]), (0, &json!(61)));
        assert_eq!(ids(&body(&mut state, "")).len(), 10, "the default");
    }

    #[test]
    fn the_timezone_header_decides_how_dates_read() {
        let mut state = state(1, SimulatorOptions::scripted());
        let mut start = |headers: &[(&str, &str)]| {
            let answer = ask(&mut state, "", headers, Instant::now());
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            body["results"][0]["startAt"].as_str().unwrap().to_owned()
        };
        assert_eq!(start(&[]), "2025-01-01 00:00:00");
        assert_eq!(start(&[("timezone", "Asia/Kolkata")]), "2025-01-01 10:30:00");
        assert_eq!(start(&[("timezone", "Not/AZone")]), "2025-01-01 05:00:00");
    }

    #[test]
    fn totals_can_be_wrong_or_missing_and_the_world_can_stop() {
        let mut state = state(20, SimulatorOptions { totals: TotalStyle::Off(3), ..SimulatorOptions::scripted() });
        assert_eq!(body(&mut state, "")["pagination"]["total"], 23);
        state.options.totals = TotalStyle::Absent;
        assert_eq!(body(&mut state, "")["pagination"], json!({"limit":10,"offset":0}));
        state.options.totals = TotalStyle::Exact;
        state.frozen = Some(START + 4000);
        assert_eq!(body(&mut state, "")["pagination"]["total"], 5);
    }

    #[test]
    fn rows_repeat_and_shift_between_pages() {
        let mut state = state(30, SimulatorOptions { newest_first: false, ..SimulatorOptions::scripted() });
        let faults = [Fault::RepeatedRow, Fault::ShiftedRows(-2), Fault::ShiftedRows(1)];
        state.faults.script.extend(faults.map(|fault| (fault, 1)));
        let page = |state: &mut State| body(state, "page=2");
        let repeated = page(&mut state);
        assert_eq!((ids(&repeated).len(), ids(&repeated)[10]), (11, "id010"));
        assert_eq!(ids(&page(&mut state))[0], "id008");
        assert_eq!(ids(&page(&mut state))[0], "id011");
        assert_eq!(ids(&page(&mut state))[0], "id010");
    }

    #[test]
    fn faults_answer_as_documented() {
        let mut state = state(1, SimulatorOptions::scripted());
        let mut with = |fault| {
            state.faults.script.push_back((fault, 1));
            ask(&mut state, "", &[], Instant::now())
        };
        assert!(with(Fault::TooManyRequests(RetryAfter::Silent)).headers.is_empty());
        let seconds = with(Fault::TooManyRequests(RetryAfter::Seconds(7)));
        assert_eq!((seconds.status.as_u16(), &seconds.headers[..]), (429, &[("retry-after", "7".to_owned())][..]));
        let date = with(Fault::TooManyRequests(RetryAfter::Date(60)));
        assert_eq!(date.headers[0].1, "Wed, 01 Jan 2025 06:01:00 GMT");
        assert_eq!(with(Fault::Unauthorized).body, r#"{"message":"Authentication failed"}"#);
        assert!(with(Fault::NoCompany).body.contains("authorization token does not have an assigned company"));
        let gateway = with(Fault::BadGateway);
        assert!(gateway.status == 502 && gateway.body.starts_with("<html>") && gateway.content_type == "text/html");
        assert_eq!(
            [Fault::Status(403), Fault::Unprocessable, Fault::Redirect].map(|f| with(f).status.as_u16()),
            [403, 422, 302]
        );
        let inside = [FailureInside::StatusZero, FailureInside::StatusFailed, FailureInside::StatusError];
        let told = inside.map(|how| {
            let answer = with(Fault::FailureInside(how));
            assert_eq!(answer.status, 200);
            serde_json::from_str::<Value>(&answer.body).unwrap()["status"].clone()
        });
        assert_eq!(told, [json!(0), json!("failed"), json!("error")]);
        assert!(!with(Fault::FailureInside(FailureInside::NoResults)).body.contains("results"));
        assert_eq!(with(Fault::CutBody).delivery, Delivery::Cut);
        let log = state.log.list();
        assert_eq!((log[0].status, log[0].range), (Some(429), Some((START, START + 86_399_000))));
    }

    #[test]
    fn credentials_ranges_and_rates_are_refused() {
        let wide = SimulatorOptions { max_range: Some(3600), ..SimulatorOptions::scripted() };
        assert_eq!(ask(&mut state(1, wide), "", &[], Instant::now()).status, 422);
        let other = SimulatorOptions { client_secret: "other".to_owned(), ..SimulatorOptions::scripted() };
        assert_eq!(ask(&mut state(1, other), "", &[], Instant::now()).status, 401);
        let nobody = SimulatorOptions { company: None, ..SimulatorOptions::scripted() };
        assert_eq!(ask(&mut state(1, nobody), "", &[], Instant::now()).status, 500);

        let start = Instant::now();
        let at = |rate, millis: &[u64]| {
            let limited = SimulatorOptions { requests_per_second: Some(rate), ..SimulatorOptions::scripted() };
            let mut state = state(1, limited);
            let status = |m: &u64| ask(&mut state, "", &[], start + Duration::from_millis(*m)).status.as_u16();
            millis.iter().map(status).collect::<Vec<_>>()
        };
        assert_eq!(at(2.0, &[0, 100, 200, 999, 1000]), [200, 200, 429, 429, 200]);
        assert_eq!(at(0.5, &[0, 1900, 2000]), [200, 429, 200]);
    }
}
