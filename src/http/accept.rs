//! The lists with weights that a client sends: `Accept` and `Accept-Encoding` (RFC 9110, sections 12.4.2 and 5.6).

use hyper::HeaderMap;
use hyper::header::HeaderName;

/// One member of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The media range or coding, in lower case.
    pub(super) what: String,
    /// Its parameters but for the weight; names in lower case, values unquoted and as they came.
    pub(super) parameters: Vec<(String, String)>,
    /// How much it is wanted, in thousandths; 0: not at all.
    pub(super) weight: u16,
}

/// Every member of every header of this name that can be understood, in order. `None` when there is no such header.
///
/// A member that is malformed is no wish: it is passed over, and the others stand.
pub(super) fn wanted(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<Wanted>> {
    let mut lines = headers.get_all(name).iter().peekable();
    lines.peek()?;
    // Letters beyond ASCII have no place here; a line that has them is passed over like any other nonsense.
    let lines = lines.filter_map(|line| line.to_str().ok());
    Some(lines.flat_map(|line| split(line, ',')).filter_map(member).collect())
}

fn member(text: &str) -> Option<Wanted> {
    let mut parts = split(text, ';');
    let what = parts.next()?.trim().to_ascii_lowercase();
    if what.is_empty() || what.contains(|c: char| c.is_whitespace() || c == '"') {
        return None;
    }
    let (mut parameters, mut weight) = (Vec::new(), 1000);
    for part in parts.filter(|part| !part.trim().is_empty()) {
        let (name, value) = part.split_once('=')?;
        let (name, value) = (name.trim().to_ascii_lowercase(), unquoted(value.trim())?);
        if name == "q" {
            weight = thousandths(&value)?;
        } else {
            parameters.push((name, value));
        }
    }
    Some(Wanted { what, parameters, weight })
}

/// A weight from 0 to 1. More digits than the three that are allowed do no harm.
fn thousandths(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let weight = text.parse::<f64>().ok().filter(|weight| plain && (0.0..=1.0).contains(weight))?;
    // What is wanted ever so little is wanted.
    Some((weight * 1000.0).ceil() as u16)
}

/// A token as it is, or what a quoted string says.
fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        return (!text.is_empty() && !text.contains('"')).then(|| text.to_owned());
    };
    let (mut value, mut chars) = (String::new(), inner.chars());
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(value),
            '\\' => value.push(chars.next()?),
            char => value.push(char),
        }
    }
}

/// The parts between separators that do not stand within quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |char| {
        match char {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return char == separator && !quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::{ACCEPT, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&[u8]]) -> Option<Vec<Wanted>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(ACCEPT, HeaderValue::from_bytes(line).unwrap());
        }
        wanted(&headers, &ACCEPT)
    }

    /// `what;name=value@weight` for each.
    fn told(line: &str) -> Vec<String> {
        let members = read(&[line.as_bytes()]).unwrap();
        let told = members.iter().map(|member| {
            let parameters: String = member.parameters.iter().map(|(name, value)| format!(";{name}={value}")).collect();
            format!("{}{parameters}@{}", member.what, member.weight)
        });
        told.collect()
    }

    #[test]
    fn weights_and_parameters_are_read() {
        assert_eq!(told("Text/Plain; Version=0.0.4 ;q=0.5 , */*;Q=0"), ["text/plain;version=0.0.4@500", "*/*@0"]);
        assert_eq!(told("a/b;q=1.000,c/d;q=0.001,e/f;q=0.0001,g/h;q=.2"), ["a/b@1000", "c/d@1", "e/f@1", "g/h@200"]);
        assert_eq!(told("a/b;x=\"1,2;3\\\"4\";q=\"0.5\",c/d"), ["a/b;x=1,2;3\"4@500", "c/d@1000"]);
        assert_eq!(told("a/b;q=0.5;x=1;"), ["a/b;x=1@500"]);
    }

    #[test]
    fn what_is_malformed_is_passed_over() {
        for bad in [
            "",
            ",",
            ";",
            "a/b;q=",
            "a/b;q=2",
            "a/b;q=-1",
            "a/b;q=nan",
            "a/b;q=1e-1",
            "a/b;q",
            "a/b;x=\"1",
            "a/b;x=1\"",
            "a b",
            "a/b;q=0.5x",
            "a/b;x=\"1\"2",
            "\"a/b\"",
        ] {
            assert_eq!(told(bad), [""; 0], "{bad}");
        }
        assert_eq!(told("a/b;q=high, ,c/d;q=0.1"), ["c/d@100"]);
        assert_eq!(read(&[b"caf\xe9", b"a/b"]).unwrap().len(), 1);
        assert_eq!(read(&[]), None);
    }

    proptest! {
        #[test]
        fn nothing_breaks_it(line in prop::collection::vec(prop::sample::select(&b"ab/*;=,\"\\ q.01\t"[..]), 0..40)) {
            for member in read(&[&line]).unwrap() {
                prop_assert!(member.weight <= 1000 && !member.what.is_empty());
            }
        }
    }
}
