//! Instants and ranges as plain numbers.

use std::fmt;
use std::ops::{Add, Sub};

/// An instant: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The instant at the start of a whole second.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// The whole second that this instant lies in (rounded down, also before 1970).
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Seconds with their fraction, as Prometheus and OpenTelemetry want timestamps.
    pub fn as_seconds_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Nanoseconds since the epoch, as OTLP wants them; an instant before 1970 becomes 0, which OTLP reads as unknown.
    pub const fn as_nanos(self) -> u64 {
        if self.0 < 0 { 0 } else { (self.0 as u64).saturating_mul(1_000_000) }
    }

    /// Milliseconds from `earlier` to this instant; negative when it is not earlier.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for UnixMillis {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.seconds()) {
            Ok(at) => at.fmt(f),
            Err(_) => write!(f, "{} s from 1970 on", self.seconds()),
        }
    }
}

impl Add<i64> for UnixMillis {
    type Output = Self;
    /// Moves the instant by so many milliseconds.
    fn add(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }
}

impl Sub<i64> for UnixMillis {
    type Output = Self;
    fn sub(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_sub(milliseconds))
    }
}

/// A stretch of conversation starts that the upstream is asked for: whole seconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// First second, Unix time.
    pub start: i64,
    /// Last second, Unix time; never before `start`.
    pub end: i64,
}

impl Range {
    /// The range from `start` to `end`; the ends are swapped if they come in the wrong order.
    pub const fn new(start: i64, end: i64) -> Self {
        if start <= end { Self { start, end } } else { Self { start: end, end: start } }
    }

    /// How many seconds lie between the ends (0 for a range of one second).
    pub const fn width(self) -> i64 {
        self.end - self.start
    }

    /// Whether every second of `other` lies in this range.
    pub const fn covers(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// Whether the second of this instant lies in the range.
    pub const fn contains(self, instant: UnixMillis) -> bool {
        let second = instant.seconds();
        self.start <= second && second <= self.end
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As ISO 8601 writes an interval.
        write!(f, "{}/{}", UnixMillis::from_seconds(self.start), UnixMillis::from_seconds(self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_people_write_them() {
        assert_eq!(UnixMillis(1_767_225_600_999).to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(Range::new(1_767_225_600, 1_767_229_200).to_string(), "2026-01-01T00:00:00Z/2026-01-01T01:00:00Z");
        assert_eq!(UnixMillis(i64::MAX).to_string(), "9223372036854775 s from 1970 on");
    }
}
