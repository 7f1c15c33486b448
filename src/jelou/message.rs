//! What the upstream says about a failure, made fit for a log line.
//!
//! Its free text may name a customer, or quote what they wrote, in words that nothing tells from others. So of an answer
//! only codes are taken over, and phrases that are known; the rest is nowhere, at no level of the log.

use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::wire::Answer;

/// Longest message that an error bears in the end, in characters.
const LONGEST: usize = 200;

/// Longest message that is taken in. It is cut only after the secret has been looked for, or half of it could stay.
const LONGEST_TAKEN_IN: usize = 4000;

/// Longest JSON that is looked through for a message, in bytes.
const LONGEST_LOOKED_AT: usize = 64 * 1024;

/// Whether a body's `status` says that the answer is a failure, whatever the HTTP status says.
pub(super) fn is_failure(status: &RawValue) -> bool {
    let text = status.get().trim_matches('"');
    ["failed", "failure", "fail", "error", "false"].iter().any(|failure| text.eq_ignore_ascii_case(failure))
        || text.parse::<f64>().is_ok_and(|number| number == 0.0)
}

/// What an error's body says, if it is JSON and says something. Pages of HTML say nothing worth a log line.
pub(super) fn in_body(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Answer<'_, IgnoredAny>>(body).ok().and_then(|answer| in_answer(&answer))
}

/// What an answer says by `message` (a text or several) and `error`: codes and known phrases, and whether there was more.
pub(super) fn in_answer<R>(answer: &Answer<'_, R>) -> Option<String> {
    let mut said = Said::default();
    for raw in [answer.message, answer.error].into_iter().flatten() {
        // What is longer says nothing that fits on a line, and would take many times as much when it is taken apart.
        if raw.get().len() > LONGEST_LOOKED_AT {
            said.hides = true;
        } else if let Ok(value) = serde_json::from_str(raw.get()) {
            said.collect(&value);
        }
    }
    said.hides.then(|| said.shown.push(NOT_SHOWN.to_owned()));
    (!said.shown.is_empty()).then(|| said.shown.join("; "))
}

/// Phrases that say something about a failure and nothing about a person. The first two are those of Jelou's documentation.
const PHRASES: [&str; 18] = [
    "Authentication failed",
    "Retrieving conversations succeeded",
    "Unauthorized",
    "Forbidden",
    "Access denied",
    "Invalid token",
    "Token expired",
    "Invalid credentials",
    "Not found",
    "Bad request",
    "Validation failed",
    "Too many requests",
    "Rate limit exceeded",
    "Internal server error",
    "Bad gateway",
    "Service unavailable",
    "Gateway timeout",
    "Timed out",
];

/// What stands for words that are not known.
const NOT_SHOWN: &str = "[words that may be of people are not shown]";

/// The most that is taken over of one answer, and how long a code may be, in characters.
const MOST: usize = 8;
const LONGEST_CODE: usize = 48;

#[derive(Default)]
struct Said {
    shown: Vec<String>,
    hides: bool,
}

impl Said {
    fn collect(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(values) => values.iter().for_each(|value| self.collect(value)),
            Value::Object(object) => {
                ["code", "key"].iter().filter_map(|key| object.get(*key)).for_each(|code| self.code(code));
                ["description", "message"].iter().filter_map(|key| object.get(*key)).for_each(|v| self.collect(v));
            }
            _ => {}
        }
    }

    fn show(&mut self, text: String) {
        if self.shown.len() < MOST && !self.shown.contains(&text) {
            self.shown.push(text);
        }
    }

    /// A name for the failure that a program would look at.
    fn code(&mut self, value: &Value) {
        match value {
            Value::String(text) if is_code(text) => self.show(text.clone()),
            Value::Number(number) if !is_personal(&number.to_string()) => self.show(number.to_string()),
            Value::Null => {}
            _ => self.hides = true,
        }
    }

    /// What is shown is the phrase as it stands here, not what was sent.
    fn text(&mut self, text: &str) {
        let text = text.trim().trim_end_matches('.');
        if text.is_empty() {
            return;
        }
        let lower = text.to_ascii_lowercase();
        for phrase in PHRASES.iter().filter(|phrase| lower.contains(&phrase.to_ascii_lowercase())) {
            self.show((*phrase).to_owned());
        }
        self.hides |= !PHRASES.iter().any(|phrase| phrase.eq_ignore_ascii_case(text));
    }
}

fn is_code(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '=');
    !text.is_empty() && text.len() <= LONGEST_CODE && text.chars().all(fits) && !is_personal(text)
}

/// The message as an error bears it.
pub(super) fn shorten(line: String) -> String {
    match line.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// One line of bounded length without control characters, and without what looks like a person: an upstream may well
/// quote the phone number or the address that it stumbled over.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::new();
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    let mut rest = &words[..];
    while let [word, ..] = rest
        && line.len() <= LONGEST_TAKEN_IN
    {
        if !line.is_empty() {
            line.push(' ');
        }
        let number = words_of_a_number(rest);
        line.push_str(if number > 0 || is_personal(word) { "<redacted>" } else { word });
        rest = &rest[number.max(1)..];
    }
    if let Some((cut, _)) = line.char_indices().nth(LONGEST_TAKEN_IN) {
        line.truncate(cut);
    }
    line
}

/// The fewest digits that are taken for a phone number.
const FEWEST_DIGITS: usize = 7;

/// An address, or the digits of a phone number, in a row or set apart.
fn is_personal(word: &str) -> bool {
    let is_number = |part: &str| digits(part) >= FEWEST_DIGITS && !is_harmless(part);
    word.contains('@')
        || word.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= FEWEST_DIGITS)
        || word.split(|c| !is_of_a_number(c)).any(is_number)
}

/// How many of the first words make up one phone number, as in `+593 99 123 4567`; 0 when they do not.
fn words_of_a_number(words: &[&str]) -> usize {
    let (mut count, mut found) = (0, 0);
    for word in words {
        let inner = word.trim_end_matches([',', ';', ':', '!', '?']);
        if !inner.chars().all(is_of_a_number) || is_harmless(inner) || (count == 0 && digits(inner) == 0) {
            break;
        }
        count += 1;
        found += digits(inner);
        if inner.len() < word.len() {
            break;
        }
    }
    if found >= FEWEST_DIGITS { count } else { 0 }
}

fn digits(text: &str) -> usize {
    text.chars().filter(char::is_ascii_digit).count()
}

/// What phone numbers are written with; the last are the hyphens and dashes of Unicode.
fn is_of_a_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | '(' | ')' | '\u{2010}'..='\u{2015}')
}

/// A date of these centuries, or the address of a machine.
fn is_harmless(text: &str) -> bool {
    let text = text.trim_matches(['(', ')', '.']);
    let is_date = matches!(text.as_bytes(), [b'1', b'9', ..] | [b'2', b'0', ..])
        && jiff::civil::Date::strptime("%Y-%m-%d", text).is_ok();
    is_date || text.parse::<std::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_known_phrases_of_every_documented_form() {
        let said = |body: &str| in_body(body.as_bytes());
        for phrase in ["Authentication failed", "authentication failed."] {
            let body = format!(r#"{{"message":"{phrase}"}}"#);
            assert_eq!(said(&body).as_deref(), Some("Authentication failed"));
        }
        assert_eq!(
            said(
                r#"{"message":["Not found"],"statusMessage":"failed","status":0,
                   "error":{"code":"E1019","key":"RANGE_TOO_WIDE","description":""}}"#
            )
            .as_deref(),
            Some("Not found; E1019; RANGE_TOO_WIDE")
        );
        assert_eq!(
            said(r#"{"error":{"code":1019,"message":"E1019"},"message":null}"#).unwrap(),
            format!("1019; {NOT_SHOWN}")
        );
        for silent in
            ["", "<html>502</html>", "[]", "{}", r#"{"message":[]}"#, r#"{"message":null,"error":{}}"#, "{\"a\""]
        {
            assert_eq!(said(silent), None, "{silent}");
        }
    }

    #[test]
    fn nothing_of_what_is_not_known_is_shown() {
        let said = |body: &str| in_body(body.as_bytes()).unwrap();
        for (body, shown) in [
            (r#"{"message":"El cliente Ada Hunter (+593 99 123 4567, ada@example.com) dijo hola"}"#, ""),
            (r#"{"message":["Ada"],"error":"Ada Hunter"}"#, ""),
            (r#"{"message":"Ada Hunter not found; try again"}"#, "Not found; "),
            (r#"{"error":{"code":"Ada Hunter","key":"ada@example.com","description":"hola"}}"#, ""),
            (r#"{"error":{"code":"E1019","key":593991234567,"description":"Ada Hunter"}}"#, "E1019; "),
            (r#"{"error":{"code":"u-593991234567","key":["Ada"]}}"#, ""),
            (r#"{"error":{"code":{"message":"hola"},"key":"K"}}"#, "K; "),
        ] {
            assert_eq!(said(body), format!("{shown}{NOT_SHOWN}"), "{body}");
        }
        let much = format!(r#"{{"message":"{}"}}"#, "not found ".repeat(LONGEST_LOOKED_AT / 10 + 1));
        assert_eq!(said(&much), NOT_SHOWN);
        let many: Vec<_> = (0..100).map(|code| format!(r#"{{"code":"E{code}"}}"#)).collect();
        assert_eq!(said(&format!(r#"{{"error":[{}]}}"#, many.join(","))).split("; ").count(), MOST);
    }

    #[test]
    fn a_failure_has_many_spellings() {
        for (status, failure) in [
            ("0", true),
            ("0.0", true),
            (r#""0""#, true),
            (r#""failed""#, true),
            (r#""ERROR""#, true),
            ("false", true),
            ("1", false),
            (r#""success""#, false),
            ("true", false),
            ("{}", false),
            (r#""""#, false),
        ] {
            let raw: &RawValue = serde_json::from_str(status).unwrap();
            assert_eq!(is_failure(raw), failure, "{status}");
        }
    }

    #[test]
    fn one_line_of_bounded_length_without_people() {
        assert_eq!(one_line(" a\r\n\tb\u{2028}c\u{1b}[31m\u{0}"), "a b c [31m");
        assert_eq!(one_line("no user +593991234567 (ana@example.com) today"), "no user <redacted> <redacted> today");
        assert_eq!(one_line("from 2025-01-01T00:00:00-05:00"), "from 2025-01-01T00:00:00-05:00");
        for (said, shown) in [
            ("no user +593 99 123 4567 today", "no user <redacted> today"),
            ("no user 099-123-4567, sorry", "no user <redacted> sorry"),
            ("no user (593) 99 - 123.45.67; sorry", "no user <redacted> sorry"),
            ("number=+593-99-123-4567", "<redacted>"),
            ("call tel:099 123 4567", "call tel:099 <redacted>"),
            ("call 099\u{2011}123\u{2011}4567", "call <redacted>"),
            ("call 099\u{a0}1234567", "call <redacted>"),
            ("E1019 at 2025-01-01 00:00:00", "E1019 at 2025-01-01 00:00:00"),
            ("(2025-01-01). 12 of 500", "(2025-01-01). 12 of 500"),
            ("from 192.168.100.200 after 30 s", "from 192.168.100.200 after 30 s"),
            ("10.0.123.200:8443 says 503", "10.0.123.200:8443 says 503"),
            ("page 1, 2, 3 - 4 of 5", "page 1, 2, 3 - 4 of 5"),
        ] {
            assert_eq!(one_line(said), shown);
        }
        assert_eq!(one_line(&"é".repeat(5000)).chars().count(), LONGEST_TAKEN_IN);
        assert!(one_line(&"é ".repeat(5000)).chars().count() < LONGEST_TAKEN_IN);
        assert_eq!(shorten("é".repeat(LONGEST)), "é".repeat(LONGEST));
        assert_eq!(shorten("é".repeat(LONGEST + 1)), format!("{}…", "é".repeat(LONGEST)));
    }
}
