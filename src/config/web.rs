//! Where and to whom the metrics are served.

use std::path::PathBuf;

use super::given::Source;
use super::reader::Reader;
use super::values::{listen_addresses, switch, url_path};
use crate::web_config;

/// Settings of the section `web`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSettings {
    /// Each `host:port`, ready to be bound; port 0 picks one. At least one.
    pub listen_addresses: Vec<String>,
    /// Whether to listen on what systemd has opened instead.
    pub systemd_socket: bool,
    /// The web configuration file, which could be used when the settings were read.
    pub config_file: Option<PathBuf>,
    /// Whether health is told to whoever asks.
    pub open_probes: bool,
    /// The path of the metrics; never one of the other endpoints.
    pub telemetry_path: String,
    /// Whether OpenMetrics tells start times in lines of their own.
    pub openmetrics_created: bool,
    /// Whether whoever reaches the port may have the configuration read again.
    pub enable_reload: bool,
}

/// Paths that serve something else.
const TAKEN: [&str; 4] = ["/", "/-/healthy", "/-/ready", "/-/reload"];

/// Reads the section, and the file that it names.
pub(super) fn read(from: &mut Reader<'_>) -> Option<WebSettings> {
    let listen_addresses = from.value("web.listen_address", listen_addresses);
    let systemd_socket = from.value("web.systemd_socket", switch);
    let config_file = from.optional("web.config_file", |text| Ok(PathBuf::from(text.trim())));
    let open_probes = from.value("web.open_probes", switch);
    let telemetry_path = from.value("web.telemetry_path", |text| match url_path(text)? {
        path if TAKEN.contains(&path.as_str()) => Err("something else is served there; /metrics is usual".to_owned()),
        path => Ok(path),
    });
    let openmetrics_created = from.value("web.openmetrics_created", switch);
    let asked = |given: &super::Given| !matches!(given.source, Source::Default | Source::Command);
    if systemd_socket == Some(true) && from.given("web.listen_address").is_some_and(asked) {
        from.warnings.push("web.listen_address is ignored: web.systemd_socket is on".to_owned());
    }
    if let (Some(Some(path)), Some(open_probes)) = (&config_file, open_probes) {
        let read_file = |path: &std::path::Path| from.file(path);
        match web_config::read(path, web_config::Reading { read_file: &read_file, open_probes }) {
            Ok(config) => from.warnings.extend(config.warnings),
            Err(problems) => from.problems.extend(problems),
        }
    }
    let enable_reload = from.value("web.enable_reload", switch);
    Some(WebSettings {
        listen_addresses: listen_addresses?,
        systemd_socket: systemd_socket?,
        config_file: config_file?,
        open_probes: open_probes?,
        telemetry_path: telemetry_path?,
        openmetrics_created: openmetrics_created?,
        enable_reload: enable_reload?,
    })
}
