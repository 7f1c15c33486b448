//! The web configuration file: TLS, client certificates, users, headers and a rate limit of the web server, in the form that
//! the exporters of Prometheus share (`docs/web-configuration.md` of prometheus/exporter-toolkit).
//!
//! ```text
//! file ─► section (keys, each with its problems) ─► tls, clients, users, headers, rate ─► WebConfig ─► source (read again on change)
//! ```
//!
//! Every problem is found in one reading and names its key and the file. Where this differs from the toolkit it is stricter:
//! what cannot have been meant is refused, and a re-read never opens what was closed.

mod clients;
mod go_duration;
mod headers;
mod rate;
mod section;
mod source;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
mod users;

use std::io;
use std::path::Path;

use hyper::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use crate::config::problem::Problem;
use crate::config::yaml::{self, Node};
use section::{Findings, Section};

pub use rate::Rate;
#[cfg(test)]
pub(crate) use source::Found;
pub use source::Source;
pub use tls::Tls;
pub use users::Users;

/// What a web configuration file says, ready to be used. The default is what holds without a file.
#[derive(Debug, Default)]
pub struct WebConfig {
    /// TLS; without it plain HTTP is spoken.
    pub tls: Option<Tls>,
    /// Whether HTTP/2 is switched off.
    pub http1_only: bool,
    /// Who is let in by password; without any, everybody is.
    pub users: Users,
    /// What every answer bears besides.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How many requests are answered in a time.
    pub rate: Option<Rate>,
    /// What is allowed and hardly meant.
    pub warnings: Vec<String>,
}

/// What a reading needs to know besides the file.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Reads a file: this one, and those that it names.
    pub read_file: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Whether health is told to whoever asks, so that a client certificate is demanded by request rather than by handshake.
    pub open_probes: bool,
}

/// Reads the file and all that it names.
///
/// # Errors
///
/// Everything that is wrong with it, at once.
pub fn read(path: &Path, reading: Reading<'_>) -> Result<WebConfig, Vec<Problem>> {
    let mut findings = Findings::new(path);
    let document = match (reading.read_file)(path) {
        // A private key may stand in it.
        Ok(text) => yaml::parse(&Zeroizing::new(text)).map_err(|why| format!("it is not YAML: {why}")),
        Err(error) => Err(format!("the file cannot be read: {error}")),
    };
    let config = match document {
        Ok(document) => config(document, path.parent().unwrap_or(Path::new("")), reading, &mut findings),
        Err(why) => {
            findings.refuse("web.config_file", None, why);
            None
        }
    };
    findings.into_result(config)
}

/// The sections of the file.
const SECTIONS: [&str; 4] = ["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"];

fn config(document: Node, folder: &Path, reading: Reading<'_>, findings: &mut Findings) -> Option<WebConfig> {
    let mut sections = Section::open("", document, &SECTIONS, findings)?;
    let http = sections.section("http_server_config", &["http2", "headers"], findings);
    let (http2, headers) = headers::read(http, findings);
    let tls = sections.section("tls_server_config", &tls::KEYS, findings);
    let tls = tls::read(tls, tls::Around { folder, reading, http2 }, findings);
    let users = users::read(sections.take("basic_auth_users"), findings);
    let rate = rate::read(sections.section("rate_limit", &["interval", "burst"], findings), findings);
    Some(WebConfig { tls, http1_only: !http2, users, headers, rate, warnings: Vec::new() })
}

impl WebConfig {
    /// What would be open by `other` that is closed now.
    fn opened_by(&self, other: &Self) -> Option<&'static str> {
        match (&self.tls, &other.tls) {
            (Some(_), None) => Some("tls_server_config would be gone: TLS is switched off only by a restart"),
            (Some(now), Some(then)) if now.demands_certificate() && !then.demands_certificate() => {
                Some("client certificates would no longer be demanded: that is switched off only by a restart")
            }
            (Some(now), Some(then)) if now.verifies_all() && !then.verifies_all() => {
                Some("client certificates would no longer be verified: that is switched off only by a restart")
            }
            (Some(now), Some(then)) if now.knows_names() && !then.knows_names() => {
                Some("client_allowed_sans would be gone: names of clients are switched off only by a restart")
            }
            _ if !self.users.is_empty() && other.users.is_empty() => {
                Some("basic_auth_users would be empty: passwords are switched off only by a restart")
            }
            _ if self.rate.is_some() && other.rate.is_none() => {
                Some("rate_limit would be gone: it is switched off only by a restart")
            }
            _ => None,
        }
    }
}
