//! Numbers in as little room as they need: a ledger holds a million of each.

use std::fmt;
use std::num::NonZeroU32;

use crate::domain::time::{Range, UnixMillis};

/// Milliseconds that may be missing, in the room of a plain number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SlimMillis(i64);

/// No date and no duration that can be worked with: [`UnixMillis`] stops before it.
const MISSING: i64 = i64::MIN;

impl SlimMillis {
    /// Nothing.
    pub const NONE: Self = Self(MISSING);

    const fn new(millis: i64) -> Self {
        Self(if millis == MISSING { MISSING + 1 } else { millis })
    }

    /// Whether there is none.
    pub const fn is_none(self) -> bool {
        self.0 == MISSING
    }

    /// As an instant.
    pub fn instant(self) -> Option<UnixMillis> {
        (!self.is_none()).then_some(UnixMillis(self.0))
    }

    /// As the time that something took.
    pub fn duration(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

impl From<Option<UnixMillis>> for SlimMillis {
    fn from(instant: Option<UnixMillis>) -> Self {
        instant.map_or(Self::NONE, |instant| Self::new(instant.0))
    }
}

impl From<Option<u64>> for SlimMillis {
    /// What no `i64` holds becomes the greatest one: far beyond what is told apart when it is counted.
    fn from(duration: Option<u64>) -> Self {
        duration.map_or(Self::NONE, |millis| Self::new(i64::try_from(millis).unwrap_or(i64::MAX)))
    }
}

impl fmt::Debug for SlimMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (!self.is_none()).then_some(self.0).fmt(f)
    }
}

/// A range, in less room: its last second, and how many seconds before that it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(C, packed(4))]
pub struct SlimRange {
    end: i64,
    width: u32,
}

impl SlimRange {
    /// The range.
    pub const fn get(self) -> Range {
        let (end, width) = (self.end, self.width as i64);
        Range::new(end.saturating_sub(width), end)
    }
}

impl From<Range> for SlimRange {
    /// A range that is wider than 136 years loses its beginning.
    fn from(range: Range) -> Self {
        Self { end: range.end, width: u32::try_from(range.width()).unwrap_or(u32::MAX) }
    }
}

impl fmt::Debug for SlimRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// The number of a poll, from 1. At a poll a second they last for 136 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PollNumber(NonZeroU32);

impl PollNumber {
    /// That of a ledger that has not polled yet.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The poll of this number; `None` for 0 and for numbers that no poll ever bore.
    pub fn new(number: u64) -> Option<Self> {
        u32::try_from(number).ok().and_then(NonZeroU32::new).map(Self)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0.get() as u64
    }

    pub(super) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
