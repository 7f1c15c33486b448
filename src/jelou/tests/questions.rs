//! What goes over the wire.

use jiff::tz::TimeZone;

use super::loopback::{Server, answer};
use super::{DAY, client, settings};
use crate::config::api::{ApiSettings, AuthScheme, Dialect};
use crate::domain::time::Range;

/// The request that these settings make, its head in lines, and its body.
async fn asked(change: impl FnOnce(&mut ApiSettings), range: Range, page: u32) -> (Vec<String>, String) {
    let server = Server::answering(answer("200 OK", "", r#"{"results":[]}"#));
    let mut settings = settings(&server.url);
    change(&mut settings);
    client(&settings).conversations(range, page).await.unwrap();
    let request = server.request();
    assert!(server.requests.try_recv().is_err(), "one call is one request");
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    (head.lines().map(str::to_owned).collect(), body.to_owned())
}

fn has(head: &[String], line: &str) {
    assert!(head.iter().any(|header| header == line), "{line} is not in {head:#?}");
}

#[tokio::test]
async fn metrics_post() {
    let (head, body) = asked(|_| {}, DAY, 3).await;
    assert_eq!(head[0], "POST /v1/metrics/conversations/attended/external?limit=50&page=3 HTTP/1.1");
    assert_eq!(body, r#"{"endAt":"2023-06-08T23:59:59-05:00","getJson":true,"startAt":"2023-06-08T00:00:00-05:00"}"#);
    has(&head, "content-type: application/json");
    has(&head, "accept: application/json");
    has(&head, "accept-encoding: gzip");
    has(&head, "timezone: America/Guayaquil");
    has(&head, concat!("user-agent: jelou-exporter/", env!("CARGO_PKG_VERSION")));
    // the-id:the:sécret
    has(&head, "authorization: Basic dGhlLWlkOnRoZTpzw6ljcmV0");
}

#[tokio::test]
async fn external_get() {
    let (head, body) = asked(|settings| settings.dialect = Dialect::ExternalGet, DAY, 1).await;
    assert_eq!(
        head[0],
        "GET /v1/external/conversations?startAt=2023-06-08T05%3A00%3A00.000Z&endAt=2023-06-09T04%3A59%3A59.999Z\
         &limit=50&page=1 HTTP/1.1"
    );
    assert_eq!(body, "");
    has(&head, "timezone: America/Guayaquil");
    assert!(!head.iter().any(|line| line.starts_with("content-type")));
}

#[tokio::test]
async fn raw_credentials() {
    let raw = |settings: &mut ApiSettings| {
        settings.auth = AuthScheme::Raw;
        settings.client_secret = Some(crate::config::secret::Secret::new("s3".to_owned()));
    };
    has(&asked(raw, DAY, 1).await.0, "authorization: the-id:s3");
}

#[tokio::test]
async fn no_credentials_no_header() {
    let (head, _) = asked(|settings| settings.client_id = None, DAY, 1).await;
    assert!(!head.iter().any(|line| line.starts_with("authorization")), "{head:?}");
}

#[tokio::test]
async fn path_and_page_size_are_settings() {
    let change = |settings: &mut ApiSettings| {
        settings.url.push_str("/proxied");
        settings.path = Some("/v9/list".to_owned());
        settings.page_size = 7;
    };
    assert_eq!(asked(change, DAY, 1).await.0[0], "POST /proxied/v9/list?limit=7&page=1 HTTP/1.1");
}

#[tokio::test]
async fn the_offset_is_the_one_of_the_day() {
    let new_york = |settings: &mut ApiSettings| {
        settings.timezone_name = "America/New_York".to_owned();
        settings.timezone = TimeZone::get(&settings.timezone_name).unwrap();
    };
    // From before the change of 2024-11-03 to after it, both at 01:30 on the clock on the wall.
    let (head, body) = asked(new_york, Range::new(1_730_611_800, 1_730_615_400), 1).await;
    assert_eq!(body, r#"{"endAt":"2024-11-03T01:30:00-05:00","getJson":true,"startAt":"2024-11-03T01:30:00-04:00"}"#);
    has(&head, "timezone: America/New_York");
}
