//! Where the metrics are served.

use super::reader::Reader;
use super::values::{listen_address, switch, url_path};

/// Settings of the section `web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSettings {
    /// `host:port`, ready to be bound; port 0 picks one.
    pub listen_address: String,
    /// The path of the metrics; never one of the other endpoints.
    pub telemetry_path: String,
    /// Whether OpenMetrics tells start times in lines of their own.
    pub openmetrics_created: bool,
    /// Whether whoever reaches the port may have the configuration read again.
    pub enable_reload: bool,
}

/// Paths that serve something else.
const TAKEN: [&str; 4] = ["/", "/-/healthy", "/-/ready", "/-/reload"];

/// Reads the section.
pub(super) fn read(from: &mut Reader<'_>) -> Option<WebSettings> {
    let listen_address = from.value("web.listen_address", listen_address);
    let telemetry_path = from.value("web.telemetry_path", |text| match url_path(text)? {
        path if TAKEN.contains(&path.as_str()) => Err("something else is served there; /metrics is usual".to_owned()),
        path => Ok(path),
    });
    let openmetrics_created = from.value("web.openmetrics_created", switch);
    let enable_reload = from.value("web.enable_reload", switch);
    Some(WebSettings {
        listen_address: listen_address?,
        telemetry_path: telemetry_path?,
        openmetrics_created: openmetrics_created?,
        enable_reload: enable_reload?,
    })
}
