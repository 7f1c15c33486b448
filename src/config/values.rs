//! From text to values, one kind of value at a time. An error says what is wanted, not what was given.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use reqwest::Url;

use super::duration::{millis, parse_duration};
use super::given::quoted;

/// A whole number within limits.
pub(super) fn whole<T>(text: &str, limits: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let wanted = || format!("a whole number from {} to {} is wanted", limits.start(), limits.end());
    text.trim().parse().ok().filter(|number| limits.contains(number)).ok_or_else(wanted)
}

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("true or false is wanted".to_owned()),
    }
}

/// Text that fits on one line and says something.
pub(super) fn line(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".to_owned()),
        text if text.chars().any(char::is_control) => Err("control characters are not allowed".to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// What stands between commas; nothing when there is nothing.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    let text = text.trim();
    text.split(',').map(str::trim).take(if text.is_empty() { 0 } else { usize::MAX })
}

/// The most bounds of one histogram: every pair of bot and team has a series for each.
const MOST_BOUNDS: usize = 200;

/// Bucket bounds in milliseconds.
pub(super) fn bounds(text: &str) -> Result<Vec<u64>, String> {
    let mut bounds: Vec<u64> = Vec::new();
    for part in list(text) {
        let bound = millis(parse_duration(part).map_err(|why| format!("{}: {why}", quoted(part)))?);
        match bounds.last() {
            _ if bound == 0 => return Err("every bound must be longer than 0".to_owned()),
            Some(last) if *last >= bound => return Err(format!("{}: bounds must ascend", quoted(part))),
            _ => bounds.push(bound),
        }
    }
    match bounds.len() {
        0 => Err("at least one bound is wanted".to_owned()),
        1..=MOST_BOUNDS => Ok(bounds),
        count => Err(format!("{count} bounds are too many, {MOST_BOUNDS} at most: each is a series per bot and team")),
    }
}

/// An absolute http or https URL with a host and without credentials.
pub(super) fn url(text: &str) -> Result<Url, String> {
    const WANTED: &str = "an absolute URL like https://host:port is wanted";
    // `host:4318` would be parsed as a path in the scheme `host`.
    if !text.trim().is_empty() && !text.contains("://") {
        return Err(format!("{WANTED}; this one begins without https:// or http://"));
    }
    let url = Url::parse(text.trim()).map_err(|why| format!("{WANTED} ({why})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(WANTED.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong in the URL".to_owned());
    }
    Ok(url)
}

/// A URL that something can be appended to: no query, no fragment, no slash at the end.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    let url = url(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a base URL has neither query nor fragment".to_owned());
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Whether it leads to this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    // An IPv6 address stands in brackets.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

/// The path of a URL, from its first slash on.
pub(super) fn url_path(text: &str) -> Result<String, String> {
    let text = text.trim();
    if !text.starts_with('/') {
        return Err("it must begin with a slash".to_owned());
    }
    if text.starts_with("//") || text.chars().any(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#')) {
        return Err("a plain path is wanted: no query, no fragment, no spaces, one slash at the beginning".to_owned());
    }
    Ok(text.to_owned())
}

/// `host:port`, ready to be bound. `:10110` means all interfaces, as in Go.
pub(crate) fn listen_address(text: &str) -> Result<String, String> {
    const WANTED: &str = "host:port is wanted, like 0.0.0.0:10110, localhost:10110 or [::1]:10110";
    let (host, port) = text.trim().rsplit_once(':').ok_or(WANTED)?;
    let port: u16 = Some(port)
        .filter(|port| port.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|port| port.parse().ok())
        .ok_or_else(|| format!("{WANTED}; the port is a number from 0 to 65535"))?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_fine = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')),
    };
    match host {
        "" => Ok(format!("0.0.0.0:{port}")),
        host if host_is_fine => Ok(format!("{host}:{port}")),
        _ => Err(WANTED.to_owned()),
    }
}

/// One such address or more, none of them twice.
pub(super) fn listen_addresses(text: &str) -> Result<Vec<String>, String> {
    let several = list(text).nth(1).is_some();
    let which = |part, why| if several { format!("{}: {why}", quoted(part)) } else { why };
    let mut addresses = Vec::new();
    for part in list(text) {
        let address = listen_address(part).map_err(|why| which(part, why))?;
        // Port 0 is another one each time.
        if addresses.contains(&address) && !address.ends_with(":0") {
            return Err(format!("{} is given twice", quoted(part)));
        }
        addresses.push(address);
    }
    if addresses.is_empty() { Err("at least one host:port is wanted".to_owned()) } else { Ok(addresses) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_addresses_are_read() {
        let read = |text| listen_addresses(text);
        assert_eq!(read(":1, [::1]:2").unwrap(), ["0.0.0.0:1", "[::1]:2"]);
        assert_eq!(read("h:0,h:0").unwrap(), ["h:0", "h:0"]);
        assert_eq!(read(":1,0.0.0.0:1").unwrap_err(), "\"0.0.0.0:1\" is given twice");
        assert_eq!(read("").unwrap_err(), "at least one host:port is wanted");
        assert!(read("h:1,").unwrap_err().starts_with("\"\": host:port is wanted"));
        assert!(read("h:1,x").unwrap_err().starts_with("\"x\": host:port is wanted"));
    }

    #[test]
    fn addresses_are_read() {
        for (text, read) in [
            ("0.0.0.0:10110", "0.0.0.0:10110"),
            (":10110", "0.0.0.0:10110"),
            ("localhost:0", "localhost:0"),
            ("[::1]:10110", "[::1]:10110"),
        ] {
            assert_eq!(listen_address(text).as_deref(), Ok(read));
        }
        for text in
            ["", "10110", "localhost", "::1:10110", "host:", "host:+1", "host:65536", "[x]:1", "a b:1", "http://x:1"]
        {
            assert!(listen_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn base_urls_are_read() {
        for (text, read) in [
            ("https://api.jelou.ai", "https://api.jelou.ai"),
            ("HTTP://Host:8080/", "http://host:8080"),
            ("https://host/base/", "https://host/base"),
        ] {
            assert_eq!(base_url(text).as_deref(), Ok(read));
        }
        for text in [
            "",
            "api.jelou.ai",
            "/x",
            "ftp://x",
            "https://",
            "https://u@h",
            "https://h?x",
            "https://h#x",
            "https://h:x",
        ] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_are_split_at_commas() {
        assert_eq!(list(" a, b ").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(list("  ").count(), 0);
        assert_eq!(list("a,").collect::<Vec<_>>(), ["a", ""]);
    }

    #[test]
    fn bounds_ascend() {
        assert_eq!(bounds("250ms,1s"), Ok(vec![250, 1000]));
        assert_eq!(bounds("").unwrap_err(), "at least one bound is wanted");
        assert_eq!(bounds("1s,1s").unwrap_err(), "\"1s\": bounds must ascend");
        assert_eq!(bounds("0s").unwrap_err(), "every bound must be longer than 0");
        assert!(bounds("1s,").unwrap_err().starts_with("\"\": it is empty"));
        let many = (1..=201).map(|n| format!("{n}s")).collect::<Vec<_>>().join(",");
        assert!(bounds(&many).unwrap_err().starts_with("201 bounds are too many"));
    }
}
