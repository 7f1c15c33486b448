//! The call as a whole: bodies as the upstream writes them, and a real server on the loopback interface.

mod answers;
mod bodies;
mod errors;
mod loopback;
mod questions;

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::client::Client;
use crate::clock::ManualClock;
use crate::config::api::{ApiSettings, AuthScheme, Dialect};
use crate::config::secret::Secret;
use crate::domain::time::{Range, UnixMillis};

/// The example of the upstream's documentation, byte for byte.
const DOCUMENTED: &str = r#"{"message":["Retrieving conversations succeeded"],"status":"success",
 "results":[{"_id":"111111aaaaaa","operator":{"names":"Jelou app"},"user":{"id":"111111111111"},
   "bot":{"name":"Jelou Dev WhatsApp"},"company":{"id":123},"assignationMethod":{"teamName":"Frontend"},
   "state":"expired","endedReason":"expired","startAt":"2023-06-08 15:52:41","endAt":"2023-06-08 23:07:56",
   "origin":"ticket","timeRepliedOperator":795880,"conversationDuration":26115953}],
 "pagination":{"limit":1,"total":61,"offset":0,"totalPages":61},
 "links":[{"number":1,"url":"/v1/metrics/conversations/attended/external?limit=1&page=1"}]}"#;

/// 2023-06-08 in Guayaquil.
const DAY: Range = Range { start: 1_686_200_400, end: 1_686_286_799 };
const NOW: UnixMillis = UnixMillis(1_700_000_000_123);

fn settings(url: &str) -> ApiSettings {
    ApiSettings {
        url: url.to_owned(),
        dialect: Dialect::MetricsPost,
        path: None,
        client_id: Some("the-id".to_owned()),
        client_secret: Some(Secret::new("the:sécret".to_owned())),
        client_secret_file: None,
        ca_file: None,
        client_certificate_file: None,
        client_key_file: None,
        auth: AuthScheme::Basic,
        timezone: TimeZone::get("America/Guayaquil").unwrap(),
        timezone_name: "America/Guayaquil".to_owned(),
        page_size: 50,
        timeout: Duration::from_secs(20),
        requests_per_second: 2.0,
        account: "default".to_owned(),
    }
}

fn client(settings: &ApiSettings) -> Client {
    Client::new(settings, Arc::new(ManualClock::new(NOW))).unwrap()
}
