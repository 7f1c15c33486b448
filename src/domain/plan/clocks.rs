//! Two clocks, of which either may be wrong.

use crate::domain::time::UnixMillis;

/// Within how many milliseconds two clocks agree (rule **floor**).
pub const AGREEMENT: i64 = 5 * 60 * 1000;

/// The two clocks: the local one, and the upstream's as far as its `Date` header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The local clock.
    pub now: UnixMillis,
    /// The upstream's clock less the local one, milliseconds.
    pub offset: Option<i64>,
}

impl Clocks {
    /// The instant that both clocks have passed: no range is complete beyond it.
    pub fn earlier(self) -> UnixMillis {
        self.now + self.offset().min(0)
    }

    /// The instant that the clock shows which is ahead: nothing lies beyond it.
    pub fn later(self) -> UnixMillis {
        self.now + self.offset().max(0)
    }

    /// Whether the upstream's clock is known and within five minutes of the local one.
    pub fn agree(self) -> bool {
        self.offset.is_some_and(|offset| offset.abs() <= AGREEMENT)
    }

    fn offset(self) -> i64 {
        // The header is cut to the second and was written on the way: less than two seconds says nothing.
        self.offset.filter(|offset| offset.abs() >= 2000).unwrap_or(0)
    }
}
