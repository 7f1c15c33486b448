//! Durations as people write them: `250ms`, `30s`, `5m`, `24h`, `7d`, `1h30m`.

use std::time::Duration;

/// Units with their milliseconds, the largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A century. Whatever is longer is a slip of the pen, and sums of what is shorter cannot overflow.
const LONGEST_MILLIS: u64 = 36_525 * 86_400_000;

/// Reads a duration. The error says what is wrong with it and how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = |what: &str| Err(format!("{what}; write a duration like 250ms, 30s, 5m, 24h, 7d or 1h30m"));
    let mut rest = text.trim();
    if rest.is_empty() {
        return wrong("it is empty");
    }
    let mut millis: u64 = 0;
    // Units go from large to small, so that a unit given twice is noticed.
    let mut allowed = 0;
    while !rest.is_empty() {
        let (digits, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        if digits.is_empty() {
            return wrong("a whole number is wanted before each unit");
        }
        let (unit, tail) = tail.split_at(tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len()));
        if unit.is_empty() {
            return wrong(if tail.is_empty() { "the unit is missing" } else { "a whole number and a unit are wanted" });
        }
        let Some(index) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return wrong("the unit is none of ms, s, m, h, d");
        };
        if index < allowed {
            return wrong("units go from large to small, each once");
        }
        allowed = index + 1;
        let part = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(UNITS[index].1));
        match part.and_then(|part| millis.checked_add(part)).filter(|sum| *sum <= LONGEST_MILLIS) {
            Some(sum) => millis = sum,
            None => return Err("it is longer than a century".to_owned()),
        }
        rest = tail;
    }
    Ok(Duration::from_millis(millis))
}

/// Writes a duration so that [`parse_duration`] reads it back: the units that it needs, the largest first.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (name, millis) in UNITS {
        if rest >= millis {
            text.push_str(&format!("{}{name}", rest / millis));
            rest %= millis;
        }
    }
    text
}

/// A duration in whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("7d", 604_800_000),
            (" 1h30m ", 5_400_000),
            ("1d12h", 129_600_000),
            ("1s500ms", 1_500),
            ("0s", 0),
            ("90s", 90_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_said() {
        for (text, why) in [
            ("", "it is empty"),
            ("60", "the unit is missing"),
            ("0", "the unit is missing"),
            ("1h30", "the unit is missing"),
            ("1.5h", "a whole number and a unit are wanted"),
            ("-5s", "a whole number is wanted"),
            ("s", "a whole number is wanted"),
            ("5 s", "a whole number and a unit are wanted"),
            ("5w", "the unit is none of"),
            ("5M", "the unit is none of"),
            ("5mins", "the unit is none of"),
            ("30m1h", "from large to small"),
            ("1m1m", "from large to small"),
            ("40000d", "longer than a century"),
            ("99999999999999999999s", "longer than a century"),
            ("９s", "a whole number is wanted"),
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.starts_with(why) || error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(millis in 0..=LONGEST_MILLIS) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC*|[0-9dhms. ]{0,30}") {
            let _ = parse_duration(&text);
            let _ = format_duration(Duration::MAX);
        }
    }
}
