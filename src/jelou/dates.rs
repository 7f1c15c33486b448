//! The upstream's dates: `YYYY-MM-DD HH:MM:SS[.fff]`, with a zone or without one.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use crate::domain::time::{Range, UnixMillis};

const DAY: i64 = 86_400_000;

/// Reads the dates of one answer: those without a zone in the configured one, never in the machine's own.
#[derive(Clone, Copy, Debug)]
pub struct Dates<'a> {
    zone: &'a TimeZone,
    range: Range,
    steady: Option<Steady>,
}

/// Local times, milliseconds, within which the zone keeps one offset and no clock change is near.
///
/// Asking the zone costs more than all the rest of reading a date, and the dates of an answer lie close together.
#[derive(Clone, Copy, Debug)]
struct Steady {
    from: i64,
    to: i64,
    offset_ms: i64,
}

impl<'a> Dates<'a> {
    /// Dates of an answer about `range`.
    pub fn new(zone: &'a TimeZone, range: Range) -> Self {
        Self { zone, range, steady: Steady::around(zone, range) }
    }

    /// Reads a `startAt` (rule **Time**): of two local times at a clock change the one inside the range that was asked
    /// for is meant; if both are, or neither is, the earlier.
    pub fn start(&self, text: &str) -> Option<UnixMillis> {
        self.read(
            text,
            |earlier, later| if !self.range.contains(earlier) && self.range.contains(later) { later } else { earlier },
        )
    }

    /// Reads an `endAt`: of two local times at a clock change the earlier that is not before the start. The range says
    /// nothing about ends, and the answer must not depend on which range happened to list the record.
    pub fn end(&self, text: &str, start: UnixMillis) -> Option<UnixMillis> {
        self.read(text, |earlier, later| if earlier < start { later } else { earlier })
    }

    fn read(&self, text: &str, choose: impl Fn(UnixMillis, UnixMillis) -> UnixMillis) -> Option<UnixMillis> {
        let text = text.trim().as_bytes();
        let Some(local) = Local::parse(text) else { return epoch_millis(text) };
        match local.zone {
            Zone::Offset(offset_ms) => Some(UnixMillis(local.millis - offset_ms)),
            Zone::Configured => {
                if let Some(steady) =
                    self.steady.filter(|steady| steady.from <= local.millis && local.millis < steady.to)
                {
                    return Some(UnixMillis(local.millis - steady.offset_ms));
                }
                let at = |offset: Offset| UnixMillis(local.millis - offset_ms(offset));
                Some(match self.zone.to_ambiguous_timestamp(civil(local.millis)?).offset() {
                    AmbiguousOffset::Unambiguous { offset } => at(offset),
                    // A local time that was skipped: read as if the clock had not been changed yet.
                    AmbiguousOffset::Gap { before, .. } => at(before),
                    AmbiguousOffset::Fold { before, after } => choose(at(before), at(after)),
                })
            }
        }
    }
}

impl Steady {
    /// The stretch around the middle of the range, if it is worth having: no clock change within two days of its ends,
    /// so that every local time in it is told once.
    fn around(zone: &TimeZone, range: Range) -> Option<Self> {
        let middle = jiff::Timestamp::from_second(range.start.midpoint(range.end)).ok()?;
        let now = middle.as_millisecond();
        let offset_ms = offset_ms(zone.to_offset(middle));
        // A zone without any change ahead is trusted for some years to either side, not for all time.
        let reach = 5 * 366 * DAY;
        let next = zone.following(middle).next().map_or(i64::MAX, |change| change.timestamp().as_millisecond());
        // jiff leaves a change at this very instant out of both directions.
        let last = zone
            .preceding(middle + jiff::SignedDuration::from_secs(1))
            .next()
            .map_or(i64::MIN, |change| change.timestamp().as_millisecond());
        let from = last.max(now - reach) + 2 * DAY;
        let to = next.min(now + reach) - 2 * DAY;
        (from < to).then_some(Self { from, to, offset_ms })
    }
}

fn offset_ms(offset: Offset) -> i64 {
    i64::from(offset.seconds()) * 1000
}

/// The civil time as jiff wants it; `None` outside of the years it knows.
fn civil(local_ms: i64) -> Option<DateTime> {
    let as_if_utc = jiff::Timestamp::from_millisecond(local_ms).ok()?;
    Some(Offset::UTC.to_datetime(as_if_utc))
}

/// A number where a date should be: milliseconds since the epoch, up to the year 9999.
fn epoch_millis(text: &[u8]) -> Option<UnixMillis> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (0..253_402_300_800_000).contains(&number).then_some(UnixMillis(number))
}

/// What is written, without a thought of what the zone makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Local {
    /// Milliseconds since 1970-01-01 on the clock on the wall.
    millis: i64,
    zone: Zone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Zone {
    Configured,
    Offset(i64),
}

impl Local {
    fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_first_chunk::<19>()?;
        let [_, _, _, _, b'-', _, _, b'-', _, _, b'T' | b't' | b' ', _, _, b':', _, _, b':', _, _] = head else {
            return None;
        };
        let number = |from: usize| two_digits(head[from], head[from + 1]);
        let (year, month, day) = (number(0)? * 100 + number(2)?, number(5)?, number(8)?);
        let (hour, minute, second) = (number(11)?, number(14)?, number(17)?);
        if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            return None;
        }
        // 60 is a leap second: it counts as the one before it, as Unix time has no room for it.
        if hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (fraction, rest) = fraction(rest)?;
        let seconds = hour * 3600 + minute * 60 + second.min(59);
        Some(Self { millis: days(year, month, day) * DAY + seconds * 1000 + fraction, zone: Zone::parse(rest)? })
    }
}

impl Zone {
    fn parse(text: &[u8]) -> Option<Self> {
        let (sign, hours, minutes) = match text.trim_ascii_start() {
            [] => return Some(Self::Configured),
            b"Z" | b"z" | b"UTC" => return Some(Self::Offset(0)),
            [sign, a, b, b':', c, d] | [sign, a, b, c, d] => (*sign, two_digits(*a, *b)?, two_digits(*c, *d)?),
            [sign, a, b] => (*sign, two_digits(*a, *b)?, 0),
            _ => return None,
        };
        let offset = (hours * 60 + minutes) * 60_000;
        match sign {
            _ if hours > 23 || minutes > 59 => None,
            b'+' => Some(Self::Offset(offset)),
            b'-' => Some(Self::Offset(-offset)),
            _ => None,
        }
    }
}

fn two_digits(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// `.123` as milliseconds (further digits are cut off), and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.' | b',', rest)) = text.split_first() else { return Some((0, text)) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(length);
    let millis = (0..3).fold(0, |sum, at| sum * 10 + digits.get(at).map_or(0, |digit| i64::from(digit - b'0')));
    (length > 0).then_some((millis, rest))
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the Gregorian calendar, years beginning in March so that the leap day comes last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANY: Range = Range { start: 1_686_182_400, end: 1_686_268_799 };

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn utc(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap_or_else(|error| panic!("{text}: {error}")).as_second()
    }

    fn start(text: &str, name: &str, range: Range) -> Option<String> {
        let read = Dates::new(&zone(name), range).start(text)?;
        Some(jiff::Timestamp::from_millisecond(read.0).unwrap().to_string())
    }

    #[test]
    fn zone_less_dates_are_read_in_the_configured_zone() {
        let read = |text| start(text, "America/Guayaquil", ANY);
        assert_eq!(read("2023-06-08 15:52:41").as_deref(), Some("2023-06-08T20:52:41Z"));
        assert_eq!(read("2023-06-08 15:52:41.5").as_deref(), Some("2023-06-08T20:52:41.5Z"));
        assert_eq!(read("2023-06-08T15:52:41.123456").as_deref(), Some("2023-06-08T20:52:41.123Z"));
        assert_eq!(read(" 2023-06-08 15:52:41,007\n").as_deref(), Some("2023-06-08T20:52:41.007Z"));
    }

    #[test]
    fn a_stated_zone_is_obeyed() {
        let read = |text| start(text, "America/Guayaquil", ANY);
        for same in [
            "2023-06-08T20:52:41Z",
            "2023-06-08 20:52:41z",
            "2023-06-08 20:52:41 UTC",
            "2023-06-08T20:52:41.000Z",
            "2023-06-08T15:52:41-05:00",
            "2023-06-08T15:52:41.000-0500",
            "2023-06-08 15:52:41 -05",
            "2023-06-09T02:22:41+05:30",
            "1686257561000",
        ] {
            assert_eq!(read(same).as_deref(), Some("2023-06-08T20:52:41Z"), "{same}");
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "soon",
            "2023-06-08",
            "0000-00-00 00:00:00",
            "2023-13-01 00:00:00",
            "2023-02-29 00:00:00",
            "2023-06-31 00:00:00",
            "2023-06-08 24:00:00",
            "2023-06-08 15:60:41",
            "2023-06-08 15:52:61",
            "2023-06-08 15:52:41.",
            "2023-06-08 15:52:41 PST",
            "2023-06-08 15:52:41+25:00",
            "2023-06-08 15:52:41*05:00",
            "2023/06/08 15:52:41",
            "2023-06-08 15:52:4x",
            "+023-06-08 15:52:41",
            "-5",
            "99999999999999999",
            "1e12",
        ] {
            assert_eq!(start(text, "UTC", ANY), None, "{text}");
        }
    }

    /// New York, 2024-11-03: 01:00 to 02:00 is told twice, first at -04:00, then at -05:00.
    #[test]
    fn of_two_local_times_the_one_inside_the_range_is_meant() {
        let read = |range| start("2024-11-03 01:30:00", "America/New_York", range);
        let (earlier, later) = ("2024-11-03T05:30:00Z", "2024-11-03T06:30:00Z");
        let first = Range::new(utc("2024-11-03T05:20:00Z"), utc("2024-11-03T05:40:00Z"));
        let second = Range::new(utc("2024-11-03T06:30:00Z"), utc("2024-11-03T06:40:00Z"));
        assert_eq!(read(first).as_deref(), Some(earlier));
        assert_eq!(read(second).as_deref(), Some(later));
        assert_eq!(read(Range::new(first.start, second.end)).as_deref(), Some(earlier));
        assert_eq!(read(Range::new(first.start - 86_400, first.start - 80_000)).as_deref(), Some(earlier));
    }

    #[test]
    fn an_end_is_the_earlier_local_time_that_is_not_before_the_start() {
        let new_york = zone("America/New_York");
        let at = |text| UnixMillis::from_seconds(utc(text));
        let second = Range::new(utc("2024-11-03T06:00:00Z"), utc("2024-11-03T06:59:59Z"));
        for range in [second, Range::new(second.start - 7200, second.end), Range::new(0, 1)] {
            let dates = Dates::new(&new_york, range);
            let end = |start| dates.end("2024-11-03 01:30:00", at(start));
            assert_eq!(end("2024-11-03T05:10:00Z"), Some(at("2024-11-03T05:30:00Z")));
            assert_eq!(end("2024-11-03T05:30:00Z"), Some(at("2024-11-03T05:30:00Z")));
            assert_eq!(end("2024-11-03T05:50:00Z"), Some(at("2024-11-03T06:30:00Z")));
        }
    }

    /// New York, 2024-03-10: 02:00 to 03:00 does not exist.
    #[test]
    fn a_skipped_local_time_is_read_as_if_the_clock_had_not_been_changed() {
        let day = Range::new(utc("2024-03-10T05:00:00Z"), utc("2024-03-11T04:00:00Z"));
        assert_eq!(start("2024-03-10 02:30:00", "America/New_York", day).as_deref(), Some("2024-03-10T07:30:00Z"));
        assert_eq!(start("2024-03-10 01:59:59", "America/New_York", day).as_deref(), Some("2024-03-10T06:59:59Z"));
        assert_eq!(start("2024-03-10 03:00:00", "America/New_York", day).as_deref(), Some("2024-03-10T07:00:00Z"));
    }

    proptest! {
        /// The short cut and the hand-made calendar agree with jiff wherever a date and a range may lie.
        #[test]
        fn agrees_with_jiff(
            name in prop::sample::select(vec!["America/New_York", "America/Guayaquil", "Australia/Lord_Howe", "UTC"]),
            anywhere in -2_208_988_800_000_i64..4_102_444_800_000,
            near_change in any::<bool>(),
            quarters in -24_i64..24,
            (before, after) in (0_i64..24, 0_i64..24),
            far in prop::sample::select(vec![0_i64, 1_000, 400_000, -50_000_000]),
        ) {
            // Whole quarters of an hour meet the borders of a change.
            let zone = zone(name);
            let change = zone.following(jiff::Timestamp::from_millisecond(anywhere).unwrap()).next();
            let local = match change.filter(|_| near_change) {
                Some(change) => {
                    change.timestamp().as_millisecond() + offset_ms(change.offset()) + quarters * 900_000
                }
                None => anywhere,
            };
            let written = civil(local).unwrap();
            let offset = zone.to_offset(jiff::Timestamp::from_millisecond(local).unwrap());
            let middle = (local - offset_ms(offset)) / 1000 + far;
            let range = Range::new(middle - before * 900, middle + after * 900);
            let text = written.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string();
            let expected = match zone.to_ambiguous_timestamp(written).offset() {
                AmbiguousOffset::Fold { before, after } => {
                    let instants = [before, after].map(|offset| UnixMillis(local - offset_ms(offset)));
                    instants.into_iter().find(|instant| range.contains(*instant)).unwrap_or(instants[0])
                }
                _ => UnixMillis(written.to_zoned(zone.clone()).unwrap().timestamp().as_millisecond()),
            };
            prop_assert_eq!(Dates::new(&zone, range).start(&text), Some(expected), "{}", text);
        }

        #[test]
        fn never_panics(text in ".{0,40}", bytes in "[0-9TZ:.+ -]{15,35}") {
            let zone = zone("America/New_York");
            let dates = Dates::new(&zone, ANY);
            let _ = dates.start(&text);
            let _ = dates.end(&bytes, UnixMillis(0));
        }
    }
}
