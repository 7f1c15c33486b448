//! What a request gets: an answer whole or in part, or none.

use hyper::StatusCode;
use serde_json::Value;

use super::faults::{Fault, RetryAfter};
use super::record::http_date;
use super::request::Refusal;
use crate::domain::time::UnixMillis;

/// How much of an answer is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// All of it.
    Whole,
    /// Half of it; then the connection breaks.
    Cut,
    /// Half of it, and nothing more until the simulator stops.
    Stalled,
}

/// What a request gets.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// An answer.
    Answer(Answer),
    /// Silence until the simulator stops.
    Hang,
    /// A broken connection.
    Break,
}

impl Outcome {
    /// What this fault puts in the place of an answer; `None` when there is one, even if something is done to it.
    pub(super) fn of(fault: Fault, now: UnixMillis) -> Option<Self> {
        let answer: Answer = match fault {
            Fault::Nothing
            | Fault::CutBody
            | Fault::StalledBody
            | Fault::FailureInside(_)
            | Fault::RepeatedRow
            | Fault::ShiftedRows(_) => return None,
            Fault::Hang => return Some(Self::Hang),
            Fault::Reset => return Some(Self::Break),
            Fault::TooManyRequests(retry_after) => Answer::too_many(retry_after, now),
            Fault::Unauthorized => Refusal::unauthorized().into(),
            Fault::Unprocessable => Refusal::unprocessable("startAt must be a valid date").into(),
            Fault::ServerError => Refusal::server_error("Internal server error").into(),
            Fault::NoCompany => Refusal::no_company().into(),
            Fault::Status(status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Refusal::new(status, "E1000", "ERROR", status.canonical_reason().unwrap_or("Error")).into()
            }
            Fault::BadGateway => Answer {
                content_type: "text/html",
                body: HTML.to_owned(),
                ..Answer::json(StatusCode::BAD_GATEWAY, &Value::Null)
            },
            Fault::Redirect => Answer {
                headers: vec![("location", "/elsewhere".to_owned())],
                ..Answer::json(StatusCode::FOUND, &Value::Null)
            },
            Fault::Garbage => {
                Answer { body: "{\"message\":[\"Retri".to_owned(), ..Answer::json(StatusCode::OK, &Value::Null) }
            }
        };
        Some(Self::Answer(answer))
    }
}

const HTML: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>\
                    </center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// One answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    pub(super) delivery: Delivery,
}

impl Answer {
    /// An answer in JSON.
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self {
            status,
            content_type: "application/json; charset=utf-8",
            headers: Vec::new(),
            body: body.to_string(),
            delivery: Delivery::Whole,
        }
    }

    /// 429.
    pub(super) fn too_many(retry_after: RetryAfter, now: UnixMillis) -> Self {
        let refusal =
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "E1029", "TOO_MANY_REQUESTS", "Too many requests, slow down");
        let mut answer = Self::from(refusal);
        match retry_after {
            RetryAfter::Silent => {}
            RetryAfter::Seconds(seconds) => answer.headers.push(("retry-after", seconds.to_string())),
            RetryAfter::Date(seconds) => {
                answer.headers.push(("retry-after", http_date(now + i64::from(seconds) * 1000)));
            }
        }
        answer
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::json(refusal.status, &refusal.body)
    }
}
