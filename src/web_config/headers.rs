//! `http_server_config`: HTTP/2, and the headers that may be added to every answer.

use hyper::header::{HeaderName, HeaderValue};

use super::section::{Findings, Section};

/// The headers that may be set, and the values that they may have if these are few.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-XSS-Protection", &[]),
    ("Strict-Transport-Security", &[]),
];

/// Whether HTTP/2 is offered by TLS, and the headers.
pub(super) fn read(mut http: Section, findings: &mut Findings) -> (bool, Vec<(HeaderName, HeaderValue)>) {
    let http2 = http.switch("http2", true, findings);
    let mut section = http.section("headers", &HEADERS.map(|(name, _)| name), findings);
    let mut headers = Vec::new();
    for (name, values) in HEADERS {
        let Some(text) = section.text(name, findings) else { continue };
        let key = section.key(name);
        if !values.is_empty() && !values.contains(&&*text) {
            findings.refuse(&key, Some(&text), format!("{} is wanted", values.join(" or ")));
            continue;
        }
        match HeaderValue::try_from(&text) {
            Ok(value) => headers.push((HeaderName::try_from(name).expect("the names above are header names"), value)),
            Err(_) => findings.refuse(&key, Some(&text), "a header is one line without control characters"),
        }
    }
    (http2, headers)
}
