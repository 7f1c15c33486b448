//! What the upstream says about a failure, made fit for a log line.

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

/// The message of an error's body, if it is JSON and has one. Pages of HTML say nothing worth a log line.
pub(super) fn in_body(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<Answer<'_, IgnoredAny>>(body).ok().and_then(|answer| in_answer(&answer))
}

/// The message of an answer: `message` (a text or several), then what `error` adds to it.
pub(super) fn in_answer<R>(answer: &Answer<'_, R>) -> Option<String> {
    let mut texts = Vec::new();
    for raw in [answer.message, answer.error].into_iter().flatten() {
        // What is longer says nothing that fits on a line, and would take many times as much when it is taken apart.
        if raw.get().len() > LONGEST_LOOKED_AT {
            continue;
        }
        if let Ok(value) = serde_json::from_str(raw.get()) {
            collect(&value, &mut texts);
        }
    }
    let message = one_line(&texts.join("; "));
    (!message.is_empty()).then_some(message)
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) if !text.trim().is_empty() && !texts.contains(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(object) => {
            ["code", "description", "message"]
                .iter()
                .filter_map(|key| object.get(*key))
                .for_each(|v| collect(v, texts));
        }
        _ => {}
    }
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
    fn messages_of_every_documented_form() {
        let said = |body: &str| in_body(body.as_bytes());
        assert_eq!(said(r#"{"message":"Authentication failed"}"#).as_deref(), Some("Authentication failed"));
        assert_eq!(
            said(
                r#"{"message":["No."],"statusMessage":"failed","status":0,
                   "error":{"code":"E1019","key":"K","description":"Range too wide"}}"#
            )
            .as_deref(),
            Some("No.; E1019; Range too wide")
        );
        assert_eq!(said(r#"{"error":"boom","message":"boom"}"#).as_deref(), Some("boom"));
        for silent in
            ["", "<html>502</html>", "[]", "{}", r#"{"message":[]}"#, r#"{"message":null,"error":{}}"#, "{\"a\""]
        {
            assert_eq!(said(silent), None, "{silent}");
        }
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
