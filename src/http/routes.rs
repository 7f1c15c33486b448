//! Which answer belongs to which request.

use bytes::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::HeaderValue;
use hyper::{HeaderMap, Method, Response, StatusCode};

use super::body::Pieces;
use super::negotiation::{self, Coding};
use super::{HttpState, NotReloaded, page};
use crate::render::exposition::Format;
use crate::render::page::not_ready;

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

/// The answer, counted.
pub(super) async fn answer(state: &HttpState, method: &Method, path: &str, headers: &HeaderMap) -> Response<Pieces> {
    let mut response = match route(state, path) {
        None => plain(StatusCode::NOT_FOUND, "Not found.\n"),
        Some(Route::Reload) if *method == Method::POST => reload(state).await,
        Some(Route::Reload) => not_allowed("Only POST is answered.\n", "POST"),
        Some(_) if *method != Method::GET && *method != Method::HEAD => {
            not_allowed("Only GET and HEAD are answered.\n", "GET, HEAD")
        }
        Some(Route::Metrics) => metrics(state, headers).await,
        Some(Route::Page) => status_page(state).await,
        Some(Route::Healthy) => plain(StatusCode::OK, "Healthy.\n"),
        Some(Route::Ready) => ready(state),
    };
    let length = response.body().bytes();
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    if *method == Method::HEAD {
        *response.body_mut() = Pieces::default();
    }
    state.live.count_answer(response.status().as_u16());
    response
}

#[derive(Clone, Copy)]
enum Route {
    Metrics,
    Page,
    Healthy,
    Ready,
    Reload,
}

fn route(state: &HttpState, path: &str) -> Option<Route> {
    match path {
        // First, so that metrics are served even where they were configured to be at one of the other paths.
        _ if path == state.telemetry_path => Some(Route::Metrics),
        "/" => Some(Route::Page),
        "/-/healthy" => Some(Route::Healthy),
        "/-/ready" => Some(Route::Ready),
        "/-/reload" => Some(Route::Reload),
        _ => None,
    }
}

async fn metrics(state: &HttpState, headers: &HeaderMap) -> Response<Pieces> {
    let chosen = negotiation::format(headers);
    let mut response = match negotiation::coding(headers) {
        None => plain(
            StatusCode::NOT_ACCEPTABLE,
            "Accept-Encoding refuses every packing there is: zstd, gzip and identity (none).\n",
        ),
        Some(coding) => match metrics_body(state, chosen.format, coding).await {
            Ok(body) => {
                let content_type = HeaderValue::try_from(chosen.content_type()).expect("it is made of plain letters");
                let mut response = respond(StatusCode::OK, content_type, body);
                if let Some(name) = coding.name() {
                    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(name));
                }
                response
            }
            Err(why) => {
                tracing::error!(error = why, "a scrape could not be answered");
                plain(StatusCode::INTERNAL_SERVER_ERROR, format!("Internal error: {why}.\n"))
            }
        },
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    response
}

async fn metrics_body(state: &HttpState, format: Format, coding: Coding) -> Result<Pieces, String> {
    let (snapshot, kept) = state.cache.kept(&state.snapshots, state.clock.now(), format, coding).await?;
    let fresh = state.fresh(format, &snapshot);
    kept.followed_by(fresh).map_err(|error| format!("the metrics could not be packed: {error}"))
}

async fn status_page(state: &HttpState) -> Response<Pieces> {
    let mut response = match page::rendered(state).await {
        Ok(html) => respond(StatusCode::OK, HeaderValue::from_static(HTML), Pieces::new(html)),
        Err(why) => {
            tracing::error!(error = why, "the status page could not be shown");
            plain(StatusCode::INTERNAL_SERVER_ERROR, format!("Internal error: {why}.\n"))
        }
    };
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, page::security_policy());
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn ready(state: &HttpState) -> Response<Pieces> {
    match not_ready(&state.snapshot()) {
        None => plain(StatusCode::OK, "Ready.\n"),
        Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("Not ready: {why}.\n")),
    }
}

async fn reload(state: &HttpState) -> Response<Pieces> {
    let Some(reload) = &state.reload else {
        let why = "Reloading by HTTP is off: set web.enable_reload to true and restart, or send SIGHUP.\n";
        return plain(StatusCode::FORBIDDEN, why);
    };
    match reload().await {
        Ok(said) => plain(StatusCode::OK, format!("{said}\n")),
        Err(NotReloaded::Refused(why)) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")),
        Err(NotReloaded::UnderWay(why)) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

fn not_allowed(why: &'static str, allowed: &'static str) -> Response<Pieces> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, why);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

pub(super) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Pieces> {
    respond(status, HeaderValue::from_static(PLAIN), Pieces::new([text.into()]))
}

/// Every answer is made here, those of the gate as well: nobody is to keep one, nor to take it for something else.
fn respond(status: StatusCode, content_type: HeaderValue, body: Pieces) -> Response<Pieces> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
