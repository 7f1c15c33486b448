//! The pure core: what a conversation is, when each number moves, what to ask the upstream next.
//!
//! Everything here takes values and the present time and returns values. No socket, file, clock, lock or random number
//! is touched, so every rule can be tested by calling a function. In reading order:
//!
//! * [`time`]: instants in milliseconds, ranges in seconds
//! * [`conversation`]: one record as the upstream listed it, and the closed sets of label values
//! * [`reading`]: a page of such records, and when it was asked for
//! * [`distribution`]: an HDR histogram beside an exact sum and exact bucket counts
//! * [`pair`]: the counters and distributions of one (bot, team)
//! * [`retry`]: how long to wait before asking again

pub mod conversation;
pub mod distribution;
pub mod pair;
pub mod reading;
pub mod retry;
pub mod time;
