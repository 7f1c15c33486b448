//! Numbers and times as people say them.

use jiff::Timestamp;

use crate::domain::time::UnixMillis;

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A whole number, by thousands.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut told = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// So many of a thing, by its name for one.
pub(super) fn many(count: u64, one: &str) -> String {
    format!("{} {one}{}", number(count), if count == 1 { "" } else { "s" })
}

/// A time of so many milliseconds, in its two greatest units.
pub(super) fn duration(millis: u64) -> String {
    let two = |great: u64, great_name: &str, small: u64, small_name: &str| match millis % great / small {
        0 => format!("{} {great_name}", number(millis / great)),
        rest => format!("{} {great_name} {rest} {small_name}", number(millis / great)),
    };
    match millis {
        0..SECOND => format!("{millis} ms"),
        SECOND..10_000 if millis % SECOND >= 100 => format!("{}.{} s", millis / SECOND, millis % SECOND / 100),
        SECOND..MINUTE => format!("{} s", millis / SECOND),
        MINUTE..HOUR => two(MINUTE, "min", SECOND, "s"),
        HOUR..DAY => two(HOUR, "h", MINUTE, "min"),
        _ => two(DAY, "d", HOUR, "h"),
    }
}

/// How long before `now`, in seconds and more; what lies ahead is just now.
pub(super) fn since(at: UnixMillis, now: UnixMillis) -> u64 {
    let passed = u64::try_from(now.since(at)).unwrap_or(0);
    passed - passed % SECOND
}

/// `3 min 20 s ago`.
pub(super) fn ago(at: UnixMillis, now: UnixMillis) -> String {
    match since(at, now) {
        0 => "just now".to_owned(),
        passed => format!("{} ago", duration(passed)),
    }
}

/// A part of a whole, with one decimal; never rounded up to all or down to nothing. `None` of nothing.
pub(super) fn percent(part: u64, whole: u64) -> Option<String> {
    let tenths = u128::from(part) * 1000 / u128::from(whole.max(part)).max(1);
    (whole > 0).then(|| match tenths {
        1000 => "100 %".to_owned(),
        0 if part > 0 => "< 0.1 %".to_owned(),
        _ => format!("{}.{} %", tenths / 10, tenths % 10),
    })
}

/// As machines read it.
pub(super) fn rfc3339(at: UnixMillis) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| format!("{at:.0}"))
}

/// The time of day within a day of `now`, else with the date; UTC.
pub(super) fn instant(at: UnixMillis, now: UnixMillis) -> String {
    let Ok(stamp) = Timestamp::from_millisecond(at.0) else { return "far away".to_owned() };
    let format = match u64::try_from(now.since(at).abs()).unwrap_or(u64::MAX) {
        0..DAY => "%H:%M:%S",
        DAY..31_536_000_000 => "%-d %b %H:%M",
        _ => "%-d %b %Y",
    };
    stamp.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([many(1, "poll"), many(2000, "poll")], ["1 poll", "2,000 polls"]);
    }

    #[test]
    fn times_have_two_units_at_most() {
        let told =
            [0, 999, 1250, 9999, 45_900, 60_000, 61_500, 3_600_000, 3_725_000, 90_000_000, u64::MAX].map(duration);
        let expected = [
            "0 ms",
            "999 ms",
            "1.2 s",
            "9.9 s",
            "45 s",
            "1 min",
            "1 min 1 s",
            "1 h",
            "1 h 2 min",
            "1 d 1 h",
            "213,503,982,334 d 14 h",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_past_is_told_in_whole_seconds() {
        let now = UnixMillis(1_000_000);
        assert_eq!([900, -5000].map(|before| ago(now - before, now)), ["just now", "just now"]);
        assert_eq!([2400, 75_000].map(|before| ago(now - before, now)), ["2 s ago", "1 min 15 s ago"]);
    }

    #[test]
    fn a_part_is_neither_all_nor_nothing_unless_it_is() {
        let told = [(0, 0), (0, 5), (1, 100_000), (2, 3), (99_999, 100_000), (7, 7), (u64::MAX, u64::MAX)];
        let told = told.map(|(part, whole)| percent(part, whole).unwrap_or_default());
        assert_eq!(told, ["", "0.0 %", "< 0.1 %", "66.6 %", "99.9 %", "100 %", "100 %"]);
    }

    #[test]
    fn instants_are_as_short_as_they_may_be() {
        let now = UnixMillis::from_seconds(1_767_225_600);
        assert_eq!(instant(now - 61_000, now), "23:58:59");
        assert_eq!(instant(now - 90_000_000, now), "30 Dec 23:00");
        assert_eq!(instant(UnixMillis(0), now), "1 Jan 1970");
        assert_eq!(instant(UnixMillis(i64::MIN), now), "far away");
        assert_eq!(rfc3339(now), "2026-01-01T00:00:00Z");
    }
}
