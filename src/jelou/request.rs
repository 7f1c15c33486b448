//! The question, in either dialect.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::Serialize;

use super::client::SetupError;
use crate::config::api::{ApiSettings, Dialect};
use crate::config::values::is_loopback;
use crate::domain::time::Range;

const TIMEZONE: HeaderName = HeaderName::from_static("timezone");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Where the listing is, and how it wants to be asked.
pub(super) struct Listing {
    url: Url,
    dialect: Dialect,
    zone: TimeZone,
    zone_name: HeaderValue,
    page_size: u32,
}

#[derive(Serialize)]
struct Question<'a> {
    #[serde(rename = "startAt")]
    start: &'a str,
    #[serde(rename = "endAt")]
    end: &'a str,
    #[serde(rename = "getJson")]
    get_json: bool,
}

impl Listing {
    /// The listing that the settings name.
    pub(super) fn new(settings: &ApiSettings) -> Result<Self, SetupError> {
        let path = settings.path.as_deref().unwrap_or(settings.dialect.default_path());
        let address = format!("{}/{}", settings.url.trim_end_matches('/'), path.trim_start_matches('/'));
        let url = Url::parse(&address).map_err(|error| SetupError::Url(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(SetupError::Url("neither http nor https".to_owned()));
        }
        let zone_name = HeaderValue::from_str(&settings.timezone_name).map_err(|_| SetupError::Timezone)?;
        let (dialect, zone, page_size) = (settings.dialect, settings.timezone.clone(), settings.page_size);
        Ok(Self { url, dialect, zone, zone_name, page_size })
    }

    /// Where it is.
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the upstream is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// The zone in which dates without one are read.
    pub(super) const fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Asks for one page (the first is 1) of the conversations that started within `range`.
    pub(super) fn request(&self, range: Range, page: u32) -> Request {
        let mut url = self.url.clone();
        let (page, limit) = (page.to_string(), self.page_size.to_string());
        let mut request = match self.dialect {
            Dialect::MetricsPost => {
                url.query_pairs_mut().append_pair("limit", &limit).append_pair("page", &page);
                let mut request = Request::new(Method::POST, url);
                request.headers_mut().insert(CONTENT_TYPE, JSON);
                *request.body_mut() = Some(self.body(range).into());
                request
            }
            Dialect::ExternalGet => {
                // The range's last second belongs to it, to its last millisecond.
                let (start, end) = (utc(range.start, "000"), utc(range.end, "999"));
                url.query_pairs_mut()
                    .append_pair("startAt", &start)
                    .append_pair("endAt", &end)
                    .append_pair("limit", &limit)
                    .append_pair("page", &page);
                Request::new(Method::GET, url)
            }
        };
        request.headers_mut().insert(ACCEPT, JSON);
        request.headers_mut().insert(TIMEZONE, self.zone_name.clone());
        request
    }

    fn body(&self, range: Range) -> String {
        let local =
            |seconds| timestamp(seconds).to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
        let (start, end) = (local(range.start), local(range.end));
        serde_json::json!(Question { start: &start, end: &end, get_json: true }).to_string()
    }
}

fn utc(seconds: i64, millis: &str) -> String {
    format!("{}.{millis}Z", timestamp(seconds).strftime("%Y-%m-%dT%H:%M:%S"))
}

/// The instant, kept within the years that can be written.
fn timestamp(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}
