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
//! * [`label`]: closed sets of label values, and counts kept for each
//! * [`walk`]: the reading of all pages of one range
//! * [`ledger`]: each conversation counted once
//! * [`coverage`]: which starts have been read completely
//! * [`retry`]: how long to wait before a request is sent again
//! * [`plan`]: what to ask for next
//! * [`history`]: the polls of late
//! * [`catalog`]: every metric family, declared once
//! * [`snapshot`]: everything that is shown, at one instant
//! * [`delta`]: what was counted between two of these
//! * [`gone`]: series that were shown, and are no longer

pub mod catalog;
pub mod conversation;
pub mod coverage;
pub mod delta;
pub mod distribution;
pub mod gone;
pub mod history;
pub mod label;
pub mod ledger;
pub mod pair;
pub mod plan;
pub mod reading;
pub mod retry;
#[cfg(test)]
pub(crate) mod sample;
pub mod snapshot;
pub mod time;
pub mod walk;
