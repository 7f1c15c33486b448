//! Every error, from a server that commits it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::loopback::{Server, answer, hang, listen};
use super::{DAY, DOCUMENTED, client, settings};
use crate::domain::label::Outcome;
use crate::jelou::client::BODY_LIMIT;
use crate::jelou::error::{ApiError, BodyError};
use crate::tls::tests::Authority;

async fn error_at(url: &str) -> ApiError {
    let error = client(&settings(url)).conversations(DAY, 1).await.unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(!text.contains("sécret") && !text.contains("dGhlLWlk"), "{text}");
    assert!(!text.contains('\n'), "{text}");
    error
}

async fn error_from(answer: impl Into<Vec<u8>>) -> ApiError {
    error_at(&Server::answering(answer).url).await
}

async fn error_by(handle: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> ApiError {
    error_at(&Server::start(handle).url).await
}

/// Outcome, whether it is retried, whether it is a refusal.
fn nature(error: &ApiError) -> (&'static str, bool, bool) {
    (error.outcome().as_str(), error.is_retryable(), error.is_refusal())
}

#[tokio::test]
async fn refusals() {
    for (status, outcome, retried, refusal) in [
        ("401 Unauthorized", Outcome::Unauthorized, false, true),
        ("403 Forbidden", Outcome::Unauthorized, false, true),
        ("404 Not Found", Outcome::InvalidRequest, false, true),
        ("422 Unprocessable Entity", Outcome::InvalidRequest, false, true),
        ("400 Bad Request", Outcome::InvalidRequest, false, false),
        ("408 Request Timeout", Outcome::InvalidRequest, true, false),
        ("405 Method Not Allowed", Outcome::InvalidRequest, false, false),
        ("418 I'm a teapot", Outcome::InvalidRequest, false, false),
    ] {
        let error = error_from(answer(status, "", r#"{"message":"Authentication failed"}"#)).await;
        assert_eq!(nature(&error), (outcome.as_str(), retried, refusal), "{status}");
        let text = error.to_string();
        assert!(
            text.contains(&status[..3]) && text.contains("\"Authentication failed\"") && text.contains("api."),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_error_says_what_the_upstream_says_without_what_it_was_sent() {
    let body = r#"{"message":["Invalid token Basic dGhlLWlkOnRoZTpzw6ljcmV0","or the:sécret"],"status":0,
        "error":{"code":"E1019","key":"dGhlLWlkOnRoZTpzw6ljcmV0","description":"for Ana (ana@example.com), who said hola"}}"#;
    for status in ["401 Unauthorized", "200 OK"] {
        let text = error_from(answer(status, "", body)).await.to_string();
        let said = "\"Invalid token; E1019; <secret>; [words that may be of people are not shown]\"";
        assert!(text.contains(said), "{text}");
        for sent in ["dGhl", "sécret", "Ana", "ana@", "hola"] {
            assert!(!text.contains(sent), "{text}");
        }
    }
    // It is cut after the secret was looked for, or half of it could stay.
    let location = format!("location: http://localhost/{}dGhlLWlkOnRoZTpzw6ljcmV0\r\n", "x".repeat(179));
    let text = error_from(answer("302 Found", &location, "")).await.to_string();
    assert!(text.contains("x<sec…"), "{text}");
}

#[tokio::test]
async fn asked_too_often() {
    let after = async |headers: &str| {
        let error = error_from(answer("429 Too Many Requests", headers, "")).await;
        assert_eq!(nature(&error), ("rate_limited", true, false));
        error.retry_after().map(|wait| wait.as_secs())
    };
    assert_eq!(after("").await, None);
    assert_eq!(after("retry-after: 7\r\n").await, Some(7));
    assert_eq!(after("retry-after: soon\r\n").await, None);
    assert_eq!(after("retry-after: -1\r\n").await, None);
    // The clock of these tests stands at 2023-11-14T22:13:20.123Z.
    assert_eq!(after("retry-after: Tue, 14 Nov 2023 22:14:21 GMT\r\n").await, Some(60));
    assert_eq!(after("retry-after: Tue, 14 Nov 2023 22:00:00 GMT\r\n").await, Some(0));
    // By the clock that told the date, if that is known: it may differ from ours.
    let both = "date: Wed, 15 Nov 2023 00:00:00 GMT\r\nretry-after: Wed, 15 Nov 2023 00:00:09 GMT\r\n";
    assert_eq!(after(both).await, Some(9));
}

#[tokio::test]
async fn errors_of_the_server() {
    let error = error_from(answer("502 Bad Gateway", "content-type: text/html\r\n", "<html>oh no</html>")).await;
    assert_eq!(error, ApiError::ServerError { status: 502, retry_after: None, message: None });
    assert_eq!(nature(&error), ("server_error", true, false));

    let error =
        error_from(answer("503 Service Unavailable", "retry-after: 120\r\n", r#"{"error":{"code":"busy"}}"#)).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(120)));
    assert_eq!(error.to_string(), "the API has an error of its own (HTTP 503): \"busy\"; it asks to wait 120 s");
}

#[tokio::test]
async fn credentials_without_a_company() {
    let body = r#"{"message":"The Authorization token does not have an assigned company"}"#;
    let error = error_from(answer("500 Internal Server Error", "", body)).await;
    assert_eq!(error, ApiError::NoCompany);
    assert_eq!(nature(&error), ("server_error", false, false));
    assert!(error.to_string().contains("api.client_id"));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let there = Server::answering(answer("200 OK", "", DOCUMENTED));
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("location: {}/login?token=abc\r\n", there.url);
        let error = error_from(answer(status, &location, "")).await;
        let location = Some(format!("{}/login", there.url));
        assert_eq!(error, ApiError::Redirected { status: status[..3].parse().unwrap(), location });
        assert_eq!(nature(&error), ("bad_body", false, false));
        assert!(error.to_string().contains("api.url"));
    }
    assert!(there.requests.try_recv().is_err());
}

#[tokio::test]
async fn hanging_connections_time_out() {
    let begun = format!("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n{DOCUMENTED}");
    for beginning in [String::new(), begun] {
        let server = Server::start(move |stream| {
            let _ = stream.write_all(beginning.as_bytes());
            hang(stream);
        });
        let mut settings = settings(&server.url);
        settings.timeout = Duration::from_millis(150);
        let error = client(&settings).conversations(DAY, 1).await.unwrap_err();
        assert_eq!(error, ApiError::Timeout { after: settings.timeout });
        assert_eq!(nature(&error), ("timeout", true, false));
        assert!(error.to_string().contains("within 150ms") && error.to_string().contains("api.timeout"));
    }
}

#[tokio::test]
async fn connections_that_bring_no_answer() {
    let closed_port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let refused = error_at(&closed_port).await;
    assert!(refused.to_string().contains("Connection refused"), "{refused}");
    let closed = error_by(|_| {}).await;
    // Closing with unread bytes in the queue makes the system send a reset.
    let reset = error_at(&listen(|mut stream| drop(stream.read(&mut [0])))).await;
    let no_tls = listen(|mut stream| drop(stream.write_all(&answer("400 Bad Request", "", "speak HTTP"))));
    let no_tls = error_at(&no_tls.replace("http", "https")).await;
    assert!(no_tls.to_string().contains("no TLS is spoken there"), "{no_tls}");
    let no_name = error_at("http://no-such-host.invalid").await;
    assert!(no_name.to_string().contains("the name of no-such-host.invalid cannot be resolved"), "{no_name}");
    for error in [refused, closed, reset, no_tls, no_name] {
        assert!(matches!(&error, ApiError::Connect { why } if !why.is_empty()), "{error:?}");
        assert_eq!(nature(&error), ("connect", true, false));
        assert!(error.to_string().contains("api.url"), "{error}");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_told_from_an_answer_that_does_not_come() {
    // The greeting of TLS belongs to the connection.
    let url = listen(|mut stream| hang(&mut stream)).replace("http", "https");
    let mut settings = settings(&url);
    settings.timeout = Duration::from_millis(300);
    let error = client(&settings).conversations(DAY, 1).await.unwrap_err();
    assert_eq!(nature(&error), ("connect", true, false));
    assert!(error.to_string().contains("no connection to 127.0.0.1:"), "{error}");
    assert!(error.to_string().contains("api.timeout"), "{error}");
}

#[tokio::test]
async fn failures_of_tls_name_what_to_do() {
    let (authority, other) = (Authority::new(), Authority::new());
    let file = std::env::temp_dir().join(format!("jelou-exporter-{}", uuid::Uuid::new_v4()));
    std::fs::write(&file, authority.pem()).unwrap();
    for (name, issuer, trusted, told) in [
        ("localhost", &authority, None, "UnknownIssuer; if the authority is your own"),
        ("localhost", &other, Some(&file), "name its file in api.ca_file"),
        ("elsewhere.example", &authority, Some(&file), "another name than localhost: check the host in api.url"),
    ] {
        let config = Arc::new(issuer.server(name, None));
        let url = listen(move |mut stream| {
            let mut tls = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            // It fails, as it is to.
            let _ = tls.complete_io(&mut stream);
        });
        let mut settings = settings(&url.replace("http://127.0.0.1", "https://localhost"));
        settings.ca_file = trusted.cloned();
        let error = client(&settings).conversations(DAY, 1).await.unwrap_err();
        assert!(error.to_string().contains("no TLS with localhost:") && error.to_string().contains(told), "{error}");
    }
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn bodies_that_are_cut() {
    let half = &DOCUMENTED[..DOCUMENTED.len() / 2];
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(DOCUMENTED.as_bytes()).unwrap();
    let mut packed = packer.finish().unwrap();
    packed.truncate(100);
    for cut in [
        // Fewer bytes than were promised, by length and by chunks.
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{half}", DOCUMENTED.len()).into_bytes(),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n", half.len()).into_bytes(),
        // As many as were promised, and still half an answer.
        answer("200 OK", "", half),
        answer("200 OK", "content-encoding: gzip\r\n", packed),
        answer("200 OK", "content-encoding: gzip\r\n", "not packed at all"),
        answer("204 No Content", "", ""),
    ] {
        let error = error_from(cut.clone()).await;
        assert_eq!(error, ApiError::BadBody(BodyError::Cut), "{}", String::from_utf8_lossy(&cut));
        assert_eq!(nature(&error), ("bad_body", true, false));
    }
}

#[tokio::test]
async fn bodies_that_are_no_pages() {
    let html = error_from(answer("200 OK", "", "<html><body>Sign in</body></html>")).await;
    assert_eq!(html, ApiError::BadBody(BodyError::Html));
    let failed = error_from(answer("200 OK", "", r#"{"status":"failed","error":{"code":"no"}}"#)).await;
    assert_eq!(failed.to_string(), "the API answers with a failure, though with HTTP status 200: \"no\"");
    let empty = error_from(answer("200 OK", "", r#"{"status":1}"#)).await;
    assert_eq!(empty, ApiError::BadBody(BodyError::NoResults(None)));
    for error in [html, failed, empty] {
        assert_eq!(nature(&error), ("bad_body", true, false));
    }
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    let too_large = ApiError::BadBody(BodyError::TooLarge { limit: BODY_LIMIT });
    let announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", BODY_LIMIT + 1);
    assert_eq!(error_from(announced).await, too_large);

    let endless = error_by(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
        while stream.write_all(chunk.as_bytes()).is_ok() {}
    });
    assert_eq!(endless.await, too_large);

    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..=BODY_LIMIT / 0x10000 {
        packer.write_all(&[b' '; 0x10000]).unwrap();
    }
    let packed = packer.finish().unwrap();
    assert!(packed.len() < BODY_LIMIT / 50);
    let bomb = error_from(answer("200 OK", "content-encoding: gzip\r\n", packed)).await;
    assert_eq!(bomb, too_large);
    assert_eq!(nature(&bomb), ("bad_body", false, false));
}

#[test]
fn every_outcome_has_a_name_of_its_own() {
    let names: Vec<_> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
    let contract =
        ["ok", "unauthorized", "rate_limited", "invalid_request", "server_error", "timeout", "connect", "bad_body"];
    assert_eq!(names, contract);
}
