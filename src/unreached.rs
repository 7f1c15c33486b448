//! Why no answer came from a server: what stood in the way, where, and the way out.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use rustls::{AlertDescription, CertificateError};

/// Where requests go, as it may be shown: neither user nor query, which may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    url: String,
    host: String,
    peer: String,
    /// `scheme://host:port` of the proxy that stands in between.
    proxy: Option<String>,
}

/// The settings that have to do with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    /// Where the server is.
    pub(crate) url: &'static str,
    /// The authorities that are trusted.
    pub(crate) authorities: &'static str,
    /// The certificate that the server is shown.
    pub(crate) certificate: &'static str,
    /// How long a request may take.
    pub(crate) timeout: &'static str,
}

/// How long a connection may take where the whole request may take so long: so it is told from an answer that does not come.
pub(crate) fn to_connect(timeout: Duration) -> Duration {
    timeout.mul_f64(0.9)
}

/// What stands in the way.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Obstacle {
    /// The host's name has no address.
    Name,
    /// Nobody listens.
    Refused,
    /// The network knows no way.
    NoRoute,
    /// No connection was made in time.
    TooSlow,
    /// No TLS, and why.
    Tls(rustls::Error),
    /// The proxy does not let it through.
    Tunnel,
    /// What came is not of the protocol that was spoken.
    OtherProtocol,
    /// The connection was closed before an answer.
    Closed,
    /// Something else.
    Other,
}

impl Place {
    /// That of a URL; `past_proxies` where the variables of the environment do not hold. Of its path only `known` is shown:
    /// what stands before it may be somebody's key to the server.
    pub(crate) fn new(url: &Url, known: &str, past_proxies: bool) -> Self {
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or_default();
        let peer = format!("{host}:{port}");
        let (path, known) = (url.path().trim_end_matches('/'), known.trim_end_matches('/'));
        let path = match path.strip_suffix(known) {
            Some("") => known.to_owned(),
            Some(_) => format!("/...{known}"),
            None => if path.is_empty() { "" } else { "/..." }.to_owned(),
        };
        let shown = format!("{}://{peer}{path}", url.scheme());
        let proxy = if past_proxies { None } else { proxy_of(url) };
        Self { url: shown, host, peer, proxy }
    }

    /// `scheme://host:port/path`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// `scheme://host:port` of the proxy that stands in between, if there is one.
    pub(crate) fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// Whether this is the port, that of the scheme where none is named.
    pub(crate) fn has_port(&self, port: u16) -> bool {
        self.peer.ends_with(&format!(":{port}"))
    }

    /// Why no answer came from here. `detail` is what the system or the library says.
    pub(crate) fn unreached(&self, obstacle: &Obstacle, detail: &str, keys: Keys) -> String {
        let Keys { url, authorities, certificate, timeout } = keys;
        let (host, peer) = (&self.host, &self.peer);
        // Whoever is asked first, the proxy or the server.
        let (first, check) = match &self.proxy {
            None => (peer.clone(), url),
            Some(proxy) => (format!("the proxy {proxy}"), "HTTPS_PROXY, HTTP_PROXY and NO_PROXY"),
        };
        match obstacle {
            Obstacle::Name => {
                let name = if self.proxy.is_some() { &first } else { host };
                format!("the name of {name} cannot be resolved ({detail}); check {check}, and the DNS of this machine")
            }
            Obstacle::Refused => {
                format!("{first} refuses the connection ({detail}); check {check}, and whether the server runs")
            }
            Obstacle::NoRoute => format!("no way leads to {first} ({detail}); check {check}, and the network"),
            Obstacle::TooSlow => format!(
                "no connection to {first} in time ({detail}); check {check}, and whether a firewall lies between; a slow \
                 network needs a longer {timeout}"
            ),
            Obstacle::Tunnel => format!(
                "{first} does not let the connection to {peer} through ({detail}); check {check}, and what the proxy allows"
            ),
            Obstacle::Closed => {
                let closed = format!("the connection to {first} was closed before an answer ({detail}); check {check}");
                // A server of TLS may do so with whoever begins without.
                if self.url.starts_with("http:") {
                    format!("{closed}, and whether it is to be https://")
                } else {
                    closed
                }
            }
            Obstacle::OtherProtocol => {
                format!("what answers at {peer} speaks another protocol ({detail}); check scheme and port in {url}")
            }
            Obstacle::Other => format!("{first} gave no answer ({detail}); check {check}"),
            Obstacle::Tls(error) => {
                let advice = advice(error, host, keys);
                format!(
                    "no TLS with {peer}: {error}; {advice}",
                    advice = advice.unwrap_or_else(|| { format!("check {url}, {authorities} and {certificate}") })
                )
            }
        }
    }
}

/// The proxy that the environment names for this URL.
fn proxy_of(url: &Url) -> Option<String> {
    let proxy = Matcher::from_env().intercept(&url.as_str().parse().ok()?)?;
    let uri = proxy.uri();
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", uri.scheme_str().unwrap_or("http"), uri.host()?))
}

/// What to do about a failure of TLS, where that is known.
fn advice(error: &rustls::Error, host: &str, keys: Keys) -> Option<String> {
    let Keys { url, authorities, certificate, .. } = keys;
    Some(match error {
        rustls::Error::InvalidCertificate(why) => match why {
            // The latter where an authority that is trusted has the same name, as an older one of its own.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                format!(
                    "if the authority is your own, or that of a proxy that opens TLS, name its file in {authorities}"
                )
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("the certificate is for another name than {host}: check the host in {url}")
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                "the server needs another certificate, or the clock of this machine is wrong".to_owned()
            }
            CertificateError::Other(why) if why.to_string().contains("CaUsedAsEndEntity") => {
                "the server shows the certificate of an authority as its own, as `openssl req -x509` makes it; it needs one \
                 of a server (basicConstraints CA:FALSE)"
                    .to_owned()
            }
            _ => return None,
        },
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure,
        ) => format!("the server may want a client's certificate, or another one: check {certificate}"),
        rustls::Error::InvalidMessage(_) => {
            format!("no TLS is spoken there: check the port, or write http:// in {url} if that is meant")
        }
        _ => return None,
    })
}

/// An error and what it comes from.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        // An I/O error names as its source that of what it wraps, and not what it wraps.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// What stood in the way, by an error of any of the libraries that speak HTTP.
pub(crate) fn obstacle(error: &(dyn Error + 'static)) -> Obstacle {
    // The outer ones know what was tried, the inner ones why it failed.
    let mut found = Obstacle::Other;
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<rustls::Error>() {
            return Obstacle::Tls(error.clone());
        }
        // These have no types that can be named.
        let text = cause.to_string();
        if text == "dns error" {
            return Obstacle::Name;
        }
        if text.starts_with("tunnel error") && !text.ends_with("failed to create underlying connection") {
            return Obstacle::Tunnel;
        }
        if text.starts_with("http2 error") && found == Obstacle::Other {
            found = Obstacle::OtherProtocol;
        }
        // A server of HTTP/1.1 never speaks first.
        if text == "received unexpected message from connection" {
            return Obstacle::OtherProtocol;
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>() {
            if error.is_parse() {
                return Obstacle::OtherProtocol;
            }
            if error.is_incomplete_message() {
                found = Obstacle::Closed;
            }
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            match error.kind() {
                io::ErrorKind::ConnectionRefused => return Obstacle::Refused,
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => return Obstacle::NoRoute,
                io::ErrorKind::TimedOut => return Obstacle::TooSlow,
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof
                    if found == Obstacle::Other =>
                {
                    found = Obstacle::Closed;
                }
                _ => {}
            }
        }
    }
    found
}

/// The two innermost reasons, which say most. The outer ones name the URL, and with it what may be secret in it.
pub(crate) fn reason(error: &(dyn Error + 'static)) -> String {
    let mut chain: Vec<String> = causes(error).skip(1).map(ToString::to_string).collect();
    chain.dedup();
    let innermost = &chain[chain.len().saturating_sub(2)..];
    match innermost {
        [] => "the request failed".to_owned(),
        // Many errors already end with their cause.
        [outer, inner] if outer.ends_with(inner.as_str()) => outer.clone(),
        innermost => innermost.join(": "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: Keys =
        Keys { url: "api.url", authorities: "api.ca_file", certificate: "the certificate", timeout: "api.timeout" };

    fn place(url: &str) -> Place {
        Place::new(&Url::parse(url).unwrap(), "/v1/x", true)
    }

    #[test]
    fn a_place_is_shown_without_what_may_be_secret() {
        for (url, shown) in [
            ("https://ada:hunter2@api.example/v1/x?token=hunter2#hunter2", "https://api.example:443/v1/x"),
            ("http://[::1]:4317/", "http://[::1]:4317"),
            ("https://api.example/hunter2/v1/x/", "https://api.example:443/.../v1/x"),
            ("https://api.example/hunter2", "https://api.example:443/..."),
        ] {
            assert_eq!(place(url).url(), shown);
        }
    }

    #[test]
    fn each_obstacle_is_told_with_its_place_and_the_way_out() {
        let (place, without_tls) = (place("https://api.example/v1"), place("http://x"));
        let certificate = |why| Obstacle::Tls(rustls::Error::InvalidCertificate(why));
        let alert = |alert| Obstacle::Tls(rustls::Error::AlertReceived(alert));
        for (obstacle, told) in [
            (Obstacle::Name, ["api.example cannot be resolved (why)", "api.url", "DNS"]),
            (Obstacle::Refused, ["api.example:443 refuses", "api.url", "(why)"]),
            (Obstacle::NoRoute, ["no way leads to api.example:443", "network", "api.url"]),
            (Obstacle::TooSlow, ["no connection to api.example:443 in time", "firewall", "api.timeout"]),
            (Obstacle::Closed, ["api.example:443 was closed", "api.url", "(why)"]),
            (Obstacle::OtherProtocol, ["api.example:443 speaks another protocol", "scheme and port", "api.url"]),
            (Obstacle::Other, ["api.example:443 gave no answer", "api.url", "(why)"]),
            (certificate(CertificateError::UnknownIssuer), ["no TLS with api.example:443", "authority", "api.ca_file"]),
            (
                certificate(CertificateError::NotValidForName),
                ["api.example:443", "another name than api.example", "api.url"],
            ),
            (certificate(CertificateError::Expired), ["api.example:443", "another certificate", "clock"]),
            (alert(AlertDescription::CertificateRequired), ["api.example:443", "client", "the certificate"]),
            (
                Obstacle::Tls(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)),
                ["api.example:443", "no TLS is spoken there", "http://"],
            ),
            (Obstacle::Tls(rustls::Error::DecryptError), ["api.example:443", "api.ca_file", "the certificate"]),
        ] {
            let text = place.unreached(&obstacle, "why", KEYS);
            assert!(told.iter().all(|told| text.contains(told)), "{told:?} of {text}");
            assert!(!text.contains("https://"), "{text}");
        }
        assert!(without_tls.unreached(&Obstacle::Closed, "why", KEYS).contains("to be https://"));
        let by_proxy = Place { proxy: Some("http://proxy:3128".to_owned()), ..place };
        for obstacle in [Obstacle::Name, Obstacle::Refused, Obstacle::TooSlow, Obstacle::Tunnel] {
            let text = by_proxy.unreached(&obstacle, "why", KEYS);
            assert!(text.contains("the proxy http://proxy:3128") && text.contains("NO_PROXY"), "{text}");
        }
    }

    #[test]
    fn what_an_error_wraps_is_found() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(obstacle(&refused()), Obstacle::Refused);
        assert_eq!(obstacle(&io::Error::other(refused())), Obstacle::Refused);
        let tls = io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError);
        assert_eq!(obstacle(&io::Error::other(tls)), Obstacle::Tls(rustls::Error::DecryptError));
        assert_eq!(obstacle(&io::Error::other("dns error")), Obstacle::Name);
        assert_eq!(obstacle(&io::Error::other("tunnel error: unsuccessful")), Obstacle::Tunnel);
        assert_eq!(obstacle(&io::Error::other("something")), Obstacle::Other);
    }
}
