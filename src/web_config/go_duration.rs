//! Durations as Go writes them, for the file is one that programs in Go read as well: `1s`, `1m30s`, `1.5h`, `100us`.

use std::time::Duration;

/// Units with their nanoseconds. The letter before the second is the micro sign or a Greek mu.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The longest that Go can hold, which is 292 years.
const LONGEST: u128 = i64::MAX as u128;

/// Reads such a duration, whole nanoseconds of it. One below zero, which Go knows, is none here.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = |what: &str| Err(format!("{what}; write a duration like 100us, 250ms, 1.5s, 1m30s or 1h"));
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return wrong("it is empty");
    }
    let mut sum = 0;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len()));
        let (unit, tail) = tail.split_at(tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len()));
        if !number.contains(|c: char| c.is_ascii_digit()) {
            return wrong("a number is wanted before each unit");
        }
        let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return wrong(if unit.is_empty() {
                "the unit is missing"
            } else {
                "the unit is none of ns, us, ms, s, m, h"
            });
        };
        let Some(part) = times(number, *nanos) else { return wrong("a number has one point at most, and an end") };
        sum += part;
        if sum > LONGEST {
            return Err("it is longer than three centuries".to_owned());
        }
        rest = tail;
    }
    // It is at most LONGEST.
    Ok(u64::try_from(sum).map_or(Duration::MAX, Duration::from_nanos))
}

/// So many of a unit, cut to whole nanoseconds.
fn times(number: &str, nanos: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.contains('.') || whole.len() > 19 {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // What is beyond the fifteenth digit is less than a nanosecond of an hour.
    let (mut part, mut scale) = (0, 1);
    for digit in fraction.bytes().take(15) {
        (part, scale) = (part * 10 + u128::from(digit - b'0'), scale * 10);
    }
    Some(whole * nanos + part * nanos / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go_are_read() {
        for (text, nanos) in [
            ("0", 0),
            ("0s", 0),
            ("1s", 1_000_000_000),
            ("+5s", 5_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("100us", 100_000),
            ("100\u{b5}s", 100_000),
            ("100\u{3bc}s", 100_000),
            ("7ns", 7),
            ("0.5ns", 0),
            ("250ms", 250_000_000),
            ("1m30s", 90_000_000_000),
            ("1h15m30.918s", 4_530_918_000_000),
            ("30s1h", 3_630_000_000_000),
            ("1m1m", 120_000_000_000),
            ("0.100000000000000000000h", 360_000_000_000),
            ("9223372036854775807ns", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_said() {
        for (text, why) in [
            ("", "it is empty"),
            ("+", "it is empty"),
            ("3", "the unit is missing"),
            ("1m30", "the unit is missing"),
            ("s", "a number is wanted"),
            (".s", "a number is wanted"),
            ("often", "a number is wanted"),
            ("-1s", "a number is wanted"),
            ("1d", "the unit is none of"),
            ("1S", "the unit is none of"),
            ("1 s", "the unit is none of"),
            ("1s ", "the unit is none of"),
            ("1.2.3s", "a number has one point at most"),
            ("99999999999999999999s", "a number has one point at most"),
            ("9223372036854775808ns", "it is longer"),
            ("2562048h", "it is longer"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC*|[0-9.hmsnu\u{b5}+ ]{0,40}") {
            let _ = parse(&text);
        }
    }
}
