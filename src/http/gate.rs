//! Who gets an answer: the rate, the client's certificate, the user's password, and the headers that every answer bears.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{AUTHORIZATION, CONTENT_SECURITY_POLICY, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::http::HeaderValue;
use hyper::{HeaderMap, Method, Response, StatusCode};
use rustls::pki_types::CertificateDer;

use super::body::Pieces;
use super::bucket::Bucket;
use super::drops::Drops;
use super::passwords::{Passwords, Verdict};
use super::{Access, HttpState, routes};
use crate::web_config::WebConfig;

/// What `web.open_probes` opens.
const PROBES: [&str; 2] = ["/-/healthy", "/-/ready"];

/// What the web configuration asks of every request.
pub(super) struct Gate {
    pub(super) access: Access,
    passwords: Passwords,
    bucket: Bucket,
}

/// How a connection began.
pub(super) struct Greeting {
    /// What held then.
    pub(super) config: Arc<WebConfig>,
    /// The client's certificate and those between it and its root; nothing when none was shown.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// Where it comes from.
    pub(super) peer: IpAddr,
}

/// A request as the gate sees it.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    pub(super) greeting: &'a Greeting,
    /// Whether there is room to answer it.
    pub(super) has_room: bool,
}

impl Gate {
    pub(super) fn new(access: Access) -> Self {
        Self { access, passwords: Passwords::new(), bucket: Bucket::default() }
    }

    /// The answer of the routes, or a refusal.
    pub(super) async fn answer(&self, state: &HttpState, drops: &Drops, request: Request<'_>) -> Response<Pieces> {
        let config = self.access.source.current().await;
        let mut response = match self.refusal(&config, drops, request).await {
            None => routes::answer(state, request.method, request.path, request.headers).await,
            Some(mut refusal) => {
                if *request.method == Method::HEAD {
                    *refusal.body_mut() = Pieces::default();
                }
                state.live.count_answer(refusal.status().as_u16());
                refusal
            }
        };
        for (name, value) in &config.headers {
            // A policy of ours holds beside the one that was asked for: what either forbids is forbidden.
            if *name == CONTENT_SECURITY_POLICY {
                response.headers_mut().append(name, value.clone());
            } else {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }

    async fn refusal(&self, config: &Arc<WebConfig>, drops: &Drops, request: Request<'_>) -> Option<Response<Pieces>> {
        if !request.has_room {
            drops.busy("answers");
            return Some(later(StatusCode::SERVICE_UNAVAILABLE, "Too many requests are being answered; try again.\n"));
        }
        // The configuration may be another than the one that the connection was greeted by, and binds it all the same.
        if config.tls.is_some() && request.greeting.config.tls.is_none() {
            return Some(routes::plain(StatusCode::BAD_REQUEST, "HTTPS is spoken here, and this was plain HTTP.\n"));
        }
        if self.access.open_probes && PROBES.contains(&request.path) {
            return None;
        }
        if config.rate.is_some_and(|rate| !self.bucket.take(rate)) {
            drops.busy("rate_limit");
            return Some(later(StatusCode::TOO_MANY_REQUESTS, "More requests than rate_limit allows; try again.\n"));
        }
        let Greeting { config: greeted_by, certificates, peer } = request.greeting;
        let is_new = !Arc::ptr_eq(config, greeted_by);
        if config.tls.as_ref().is_some_and(|tls| !tls.admits(certificates, is_new)) {
            return Some(routes::plain(StatusCode::FORBIDDEN, "A client certificate is wanted.\n"));
        }
        if config.users.is_empty() {
            return None;
        }
        match self.passwords.check(&config.users, request.headers.get(AUTHORIZATION), *peer).await {
            Verdict::Known => None,
            Verdict::Unknown => {
                // A browser first asks without, to be told that a password is wanted.
                if request.headers.contains_key(AUTHORIZATION) {
                    drops.unauthorized();
                }
                let mut response = routes::plain(StatusCode::UNAUTHORIZED, "A known user and password are wanted.\n");
                let challenge = HeaderValue::from_static("Basic realm=\"jelou-exporter\", charset=\"UTF-8\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                Some(response)
            }
            Verdict::Busy => {
                drops.busy("passwords");
                let text = "Too many passwords wait to be checked; try again.\n";
                Some(later(StatusCode::SERVICE_UNAVAILABLE, text))
            }
        }
    }
}

fn later(status: StatusCode, text: &'static str) -> Response<Pieces> {
    let mut response = routes::plain(status, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}
