//! The bytes of the push's part, from schema 3 on.

use serde::{Deserialize, Serialize};

use super::{Unreadable, amendments};
use crate::domain::snapshot::Tallies;
use crate::domain::time::UnixMillis;

/// How the push of deltas stands: up to when it has told, how many requests of the last export were answered for good, and
/// the counts that are not of pairs.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct PushBytes {
    until: Option<i64>,
    answered: u32,
    tallies: Option<TalliesBytes>,
}

#[derive(Serialize, Deserialize)]
struct TalliesBytes {
    start: i64,
    amendments: Vec<u64>,
    outside_window: u64,
    vanished: u64,
    aged_out: u64,
    overflowed: u64,
}

impl PushBytes {
    pub(in crate::store) fn new(until: Option<UnixMillis>, answered: u32, tallies: Option<&Tallies>) -> Self {
        let tallies = tallies.map(|tallies| TalliesBytes {
            start: tallies.start.0,
            amendments: tallies.amendments.iter().map(|(_, count)| count).collect(),
            outside_window: tallies.outside_window,
            vanished: tallies.vanished,
            aged_out: tallies.aged_out,
            overflowed: tallies.overflowed,
        });
        Self { until: until.map(|until| until.0), answered, tallies }
    }

    pub(in crate::store) fn parts(self) -> Result<(Option<UnixMillis>, u32, Option<Tallies>), Unreadable> {
        let tallies = |bytes: TalliesBytes| {
            Ok(Tallies {
                start: UnixMillis(bytes.start),
                amendments: amendments(bytes.amendments)?,
                outside_window: bytes.outside_window,
                vanished: bytes.vanished,
                aged_out: bytes.aged_out,
                overflowed: bytes.overflowed,
            })
        };
        Ok((self.until.map(UnixMillis), self.answered, self.tallies.map(tallies).transpose()?))
    }
}
