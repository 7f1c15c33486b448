//! What a client asks for: both dialects, both forms of authorization, and every documented refusal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::options::AuthForm;
use crate::domain::time::UnixMillis;

/// The two forms of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `POST /v1/metrics/conversations/attended/external`, the range in a JSON body.
    MetricsPost,
    /// `GET /v1/external/conversations`, everything in the query.
    ExternalGet,
}

impl Dialect {
    /// The path of the endpoint.
    pub const fn path(self) -> &'static str {
        match self {
            Self::MetricsPost => "/v1/metrics/conversations/attended/external",
            Self::ExternalGet => "/v1/external/conversations",
        }
    }
}

/// The zone where no `timezone` header comes.
pub(super) const DEFAULT_ZONE: &str = "America/Guayaquil";

/// A request that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) dialect: Dialect,
    pub(super) from: UnixMillis,
    pub(super) until: UnixMillis,
    /// From 1.
    pub(super) page: u64,
    pub(super) limit: u64,
}

/// An answer that refuses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

impl Refusal {
    /// The form of most errors.
    pub(super) fn new(status: StatusCode, code: &str, key: &str, description: &str) -> Self {
        let error = json!({ "code": code, "key": key, "description": description });
        let body = json!({ "message": [description], "statusMessage": "failed", "status": 0, "error": error });
        Self { status, body }
    }

    pub(super) fn unauthorized() -> Self {
        Self { status: StatusCode::UNAUTHORIZED, body: json!({ "message": "Authentication failed" }) }
    }

    pub(super) fn unprocessable(description: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "E1019", "VALIDATION_ERROR", description)
    }

    pub(super) fn server_error(description: &str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "E1000", "INTERNAL_SERVER_ERROR", description)
    }

    pub(super) fn no_company() -> Self {
        let description = "authorization token does not have an assigned company";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "E1001", "COMPANY_NOT_FOUND", description)
    }
}

/// The dialect that this path and method belong to; `own_path` takes the place of the documented paths.
pub(super) fn dialect(method: &Method, path: &str, own_path: Option<&str>) -> Result<Dialect, Refusal> {
    for (dialect, its) in [(Dialect::MetricsPost, Method::POST), (Dialect::ExternalGet, Method::GET)] {
        if path == own_path.unwrap_or(dialect.path()) && *method == its {
            return Ok(dialect);
        }
    }
    Err(Refusal { status: StatusCode::NOT_FOUND, body: json!({ "message": format!("Cannot {method} {path}") }) })
}

/// Whether the `Authorization` header is the right one in the right form.
pub(super) fn is_authorized(headers: &HeaderMap, form: AuthForm, client_id: &str, client_secret: &str) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let raw = format!("{client_id}:{client_secret}");
    let basic = format!("Basic {}", STANDARD.encode(&raw));
    given.is_some_and(|given| match form {
        AuthForm::Basic => given == basic,
        AuthForm::Raw => given == raw,
        AuthForm::Either => given == basic || given == raw,
    })
}

/// The zone of zone-less dates; an unknown name is read as UTC, as common date libraries do.
pub(super) fn zone(headers: &HeaderMap, fixed: Option<&str>) -> TimeZone {
    let header = headers.get("timezone").and_then(|value| value.to_str().ok());
    TimeZone::get(fixed.or(header).unwrap_or(DEFAULT_ZONE)).unwrap_or(TimeZone::UTC)
}

/// Reads range and page.
pub(super) fn parse(dialect: Dialect, query: &str, body: &[u8], max_page_size: u64) -> Result<Ask, Refusal> {
    let from_query = |name: &str| query_value(query, name);
    let (start, end) = match dialect {
        Dialect::ExternalGet => (from_query("startAt"), from_query("endAt")),
        Dialect::MetricsPost => {
            let body: Value =
                serde_json::from_slice(body).map_err(|_| Refusal::unprocessable("the body must be JSON"))?;
            if body["getJson"] != json!(true) {
                return Err(Refusal::unprocessable("getJson must be true"));
            }
            let text = |name: &str| body[name].as_str().map(str::to_owned);
            (text("startAt"), text("endAt"))
        }
    };
    let instant = |text: Option<String>, name: &str| {
        let instant = text.and_then(|text| text.parse::<Timestamp>().ok());
        let instant = instant.ok_or_else(|| Refusal::unprocessable(&format!("{name} must be a valid date")))?;
        Ok(UnixMillis(instant.as_millisecond()))
    };
    let (from, until) = (instant(start, "startAt")?, instant(end, "endAt")?);
    if from > until {
        return Err(Refusal::unprocessable("endAt must not be before startAt"));
    }
    let number = |name: &str, default: u64| {
        from_query(name).and_then(|text| text.parse().ok()).filter(|number| *number > 0).unwrap_or(default)
    };
    let (page, limit) = (number("page", 1), number("limit", 10).min(max_page_size));
    Ok(Ask { dialect, from, until, page, limit })
}

/// The value of the first such parameter.
fn query_value(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| decoded(key) == name).map(|(_, value)| decoded(value))
}

/// Undoes percent-encoding; a `+` is a space, so an offset that was not encoded makes the date unreadable, as it does
/// upstream.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 2;
            }
            (b'+', _) => plain.push(b' '),
            (byte, _) => plain.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"startAt":"2025-01-01T00:00:00-05:00","endAt":"2025-01-01T23:59:59-05:00","getJson":true}"#;
    const START: UnixMillis = UnixMillis(1_735_707_600_000);

    fn post(query: &str, body: &str) -> Result<Ask, Refusal> {
        parse(Dialect::MetricsPost, query, body.as_bytes(), 50)
    }

    #[test]
    fn the_documented_requests_are_read() {
        let ask = post("limit=20&page=3", BODY).unwrap();
        assert_eq!((ask.from, ask.until, ask.page, ask.limit), (START, START + 86_399_000, 3, 20));
        let query = "startAt=2025-01-01T05%3A00%3A00.000Z&endAt=2025-01-02T04:59:59.000Z";
        let get = parse(Dialect::ExternalGet, query, b"", 50).unwrap();
        assert_eq!((get.from, get.until), (ask.from, ask.until));
        assert_eq!((get.page, get.limit), (1, 10));
    }

    #[test]
    fn a_limit_above_the_maximum_is_lowered_and_nonsense_falls_back() {
        let page = |query: &str| post(query, BODY).map(|ask| (ask.page, ask.limit)).unwrap();
        assert_eq!(page("limit=1000"), (1, 50));
        assert_eq!(page("limit=x&page=0"), (1, 10));
    }

    #[test]
    fn unreadable_requests_are_refused_with_the_documented_body() {
        let wrong = [
            BODY.replace("true", "\"true\""),
            BODY.replace("2025-01-01T00", "yesterday"),
            BODY.replace("startAt", "from"),
            BODY.replace("2025-01-01T00", "2026-01-01T00"),
            "{".to_owned(),
        ];
        for body in wrong {
            let refusal = post("", &body).unwrap_err();
            assert_eq!(refusal.status, 422);
            assert!(refusal.body["message"].is_array() && refusal.body["error"]["code"] == "E1019", "{body}");
        }
        let plus = "startAt=2025-01-01T05:00:00+00:00&endAt=2025-01-02T04:59:59Z";
        assert_eq!(parse(Dialect::ExternalGet, plus, b"", 50).unwrap_err().status, 422);
    }

    #[test]
    fn only_the_form_that_is_wanted_is_let_in() {
        let is = |value: &str, form| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            is_authorized(&headers, form, "id", "secret")
        };
        let (basic, raw) = ("Basic aWQ6c2VjcmV0", "id:secret");
        assert_eq!([basic, raw, "id:other"].map(|value| is(value, AuthForm::Basic)), [true, false, false]);
        assert_eq!([basic, raw, "id:other"].map(|value| is(value, AuthForm::Raw)), [false, true, false]);
        assert_eq!([basic, raw, "id:other"].map(|value| is(value, AuthForm::Either)), [true, true, false]);
        assert!(!is_authorized(&HeaderMap::new(), AuthForm::Either, "id", "secret"));
    }

    #[test]
    fn paths_and_methods_go_together() {
        assert_eq!(dialect(&Method::POST, Dialect::MetricsPost.path(), None), Ok(Dialect::MetricsPost));
        assert_eq!(dialect(&Method::GET, Dialect::ExternalGet.path(), None), Ok(Dialect::ExternalGet));
        assert_eq!(dialect(&Method::GET, Dialect::MetricsPost.path(), None).unwrap_err().status, 404);
        assert_eq!(dialect(&Method::POST, "/own", Some("/own")), Ok(Dialect::MetricsPost));
        assert_eq!(dialect(&Method::GET, "/", None).unwrap_err().status, 404);
    }

    #[test]
    fn the_zone_comes_from_the_header_unless_it_is_fixed() {
        let headers = HeaderMap::from_iter([("timezone".parse().unwrap(), "Asia/Kolkata".parse().unwrap())]);
        let name = |zone: TimeZone| zone.iana_name().map(str::to_owned);
        assert_eq!(name(zone(&headers, None)).as_deref(), Some("Asia/Kolkata"));
        assert_eq!(name(zone(&headers, Some("America/Bogota"))).as_deref(), Some("America/Bogota"));
        assert_eq!(name(zone(&HeaderMap::new(), None)).as_deref(), Some(DEFAULT_ZONE));
    }
}
