//! The bytes of the checkpoint: plain twins of the domain's types, written by postcard.
//!
//! These types are frozen, for a file with any of these schemas must open for ever: a change needs a new schema, and a way
//! to it in `upgrade`.
//!
//! * Schema 1: [`EntryBytes`], [`PairBytes`], [`StateBytes`].
//! * Schema 2: pairs are [`KnownBytes`]: they remember when something was last counted, and may be forgotten.
//! * Schema 3: [`PushBytes`], beside the pairs that deltas have told, as [`KnownBytes`] without percentiles, and the requests
//!   that nobody has acknowledged, as the push packs them. None of it is there where no deltas are sent.
//! * Schema 4: [`EntryBytes`] tell a conversation whose date is wrong from one whose date was; a byte that was 0 or 1 may be 2.

mod push;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::conversation::{Origin, Reason, State};
use crate::domain::distribution::{Distribution, DistributionParts, Layout};
use crate::domain::label::{AmendedField, LabelValue, Tally};
use crate::domain::ledger::{Decision, Entry, Kept, Known, Narrow, Once, Outside, PairId, PollNumber};
use crate::domain::pair::{Counter, Pair, PairLabels};
use crate::domain::plan::{KeptPlan, Sweep};
use crate::domain::snapshot::Tallies;
use crate::domain::time::{Range, UnixMillis};
pub(super) use push::PushBytes;

/// Bytes that are none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// A value's bytes.
pub(super) fn write(value: &impl Serialize) -> Vec<u8> {
    // It fails only for sequences of unknown length and for full buffers; there are neither.
    postcard::to_stdvec(value).expect("plain values can always be written")
}

/// The value of these bytes, all of them.
pub(super) fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Unreadable> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(Unreadable),
    }
}

/// A label value by its place in the enum: places never change, new values go to the end.
fn place<K: LabelValue>(value: K) -> u8 {
    u8::try_from(value.index()).unwrap_or(u8::MAX)
}

fn at_place<K: LabelValue>(place: u8) -> Result<K, Unreadable> {
    K::ALL.get(usize::from(place)).copied().ok_or(Unreadable)
}

/// Schema 1 called a ledger's time before its first poll 0.
fn poll_number(number: u64) -> Result<PollNumber, Unreadable> {
    PollNumber::new(number.max(1)).ok_or(Unreadable)
}

#[derive(Serialize, Deserialize)]
pub(super) struct EntryBytes {
    start: i64,
    end: Option<i64>,
    state: u8,
    reason: u8,
    origin: u8,
    pair: u32,
    reply: Option<u64>,
    duration: Option<u64>,
    /// Met.
    decision: Option<bool>,
    listed_in: (i64, i64),
    read_in: u64,
    ended_in: Option<u64>,
    /// Started, ended, replied, lasted, decided, reopened: 0 unseen, 1 seen, 2 counted.
    once: [u8; 6],
    /// 0 untried, 1 proven, 2 failed.
    narrow: u8,
    folded: bool,
    /// 0 never, 1 now, 2 before; up to schema 3 whether ever, which is taken for now.
    outside: u8,
    vanished: bool,
    settled: bool,
}

impl From<&Entry> for EntryBytes {
    fn from(entry: &Entry) -> Self {
        let listed_in = entry.listed_in.get();
        let once = [entry.started, entry.ended, entry.replied, entry.lasted, entry.decided, entry.reopened];
        Self {
            start: entry.start.0,
            end: entry.end.instant().map(|end| end.0),
            state: place(entry.state),
            reason: place(entry.reason),
            origin: place(entry.origin),
            pair: entry.pair.0,
            reply: entry.reply.duration(),
            duration: entry.duration.duration(),
            decision: entry.decision.map(|decision| decision == Decision::Met),
            listed_in: (listed_in.start, listed_in.end),
            read_in: entry.read_in.get(),
            ended_in: entry.ended_in.map(PollNumber::get),
            once: once.map(|once| match once {
                Once::Unseen => 0,
                Once::Seen => 1,
                Once::Counted => 2,
            }),
            narrow: match entry.narrow {
                Narrow::Untried => 0,
                Narrow::Proven => 1,
                Narrow::Failed => 2,
            },
            folded: entry.folded,
            outside: match entry.outside {
                Outside::Never => 0,
                Outside::Now => 1,
                Outside::Before => 2,
            },
            vanished: entry.vanished,
            settled: entry.settled,
        }
    }
}

impl TryFrom<EntryBytes> for Entry {
    type Error = Unreadable;

    fn try_from(bytes: EntryBytes) -> Result<Self, Unreadable> {
        let once = |place: usize| match bytes.once[place] {
            0 => Ok(Once::Unseen),
            1 => Ok(Once::Seen),
            2 => Ok(Once::Counted),
            _ => Err(Unreadable),
        };
        Ok(Self {
            start: UnixMillis(bytes.start),
            end: bytes.end.map(UnixMillis).into(),
            state: at_place::<State>(bytes.state)?,
            reason: at_place::<Reason>(bytes.reason)?,
            origin: at_place::<Origin>(bytes.origin)?,
            pair: PairId(bytes.pair),
            reply: bytes.reply.into(),
            duration: bytes.duration.into(),
            decision: bytes.decision.map(|met| if met { Decision::Met } else { Decision::Missed }),
            listed_in: Range::new(bytes.listed_in.0, bytes.listed_in.1).into(),
            read_in: poll_number(bytes.read_in)?,
            ended_in: bytes.ended_in.map(poll_number).transpose()?,
            started: once(0)?,
            ended: once(1)?,
            replied: once(2)?,
            lasted: once(3)?,
            decided: once(4)?,
            reopened: once(5)?,
            narrow: match bytes.narrow {
                0 => Narrow::Untried,
                1 => Narrow::Proven,
                2 => Narrow::Failed,
                _ => return Err(Unreadable),
            },
            folded: bytes.folded,
            outside: match bytes.outside {
                0 => Outside::Never,
                1 => Outside::Now,
                2 => Outside::Before,
                _ => return Err(Unreadable),
            },
            vanished: bytes.vanished,
            settled: bytes.settled,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct DistributionBytes {
    start: i64,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
    zeros: u64,
    bounds: Vec<u64>,
    at_bound: Vec<u64>,
    pub(super) schema: i8,
    exponential: Vec<(i32, u64)>,
    hdr: Vec<(u64, u32)>,
}

impl From<&Distribution> for DistributionBytes {
    fn from(distribution: &Distribution) -> Self {
        let DistributionParts { start, count, sum, min, max, zeros, bounds, at_bound, schema, exponential, hdr } =
            distribution.parts();
        Self { start: start.0, count, sum, min, max, zeros, bounds, at_bound, schema, exponential, hdr }
    }
}

impl TryFrom<DistributionBytes> for Distribution {
    type Error = Unreadable;

    fn try_from(bytes: DistributionBytes) -> Result<Self, Unreadable> {
        let DistributionBytes { start, count, sum, min, max, zeros, bounds, at_bound, schema, exponential, hdr } =
            bytes;
        let ascending = bounds.windows(2).all(|pair| pair[0] < pair[1]);
        let counted = at_bound.iter().try_fold(0u64, |sum, count| sum.checked_add(*count));
        if !ascending
            || bounds.len() != at_bound.len()
            || counted.is_none_or(|counted| counted > count)
            || !(-4..=8).contains(&schema)
        {
            return Err(Unreadable);
        }
        let layout = Arc::new(Layout::new(bounds.iter().copied(), schema));
        let start = UnixMillis(start);
        let parts =
            DistributionParts { start, count, sum, min, max, zeros, bounds, at_bound, schema, exponential, hdr };
        Ok(Self::from_parts(parts, layout))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct PairBytes {
    bot: String,
    team: String,
    start: i64,
    /// Origin, value, start.
    started: Vec<(u8, u64, i64)>,
    /// State, reason, value, start.
    ended: Vec<(u8, u8, u64, i64)>,
    unanswered: u64,
    met: u64,
    missed: u64,
    reopened: u64,
    pub(super) reply: DistributionBytes,
    duration: DistributionBytes,
}

impl From<&Pair> for PairBytes {
    fn from(pair: &Pair) -> Self {
        let started = pair.started.iter().map(|(origin, counter)| (place(*origin), counter.value, counter.start.0));
        let ended = pair.ended.iter();
        Self {
            bot: pair.labels.bot.to_string(),
            team: pair.labels.team.to_string(),
            start: pair.start.0,
            started: started.collect(),
            ended: ended.map(|((state, reason), c)| (place(*state), place(*reason), c.value, c.start.0)).collect(),
            unanswered: pair.unanswered,
            met: pair.met,
            missed: pair.missed,
            reopened: pair.reopened,
            reply: (&pair.reply).into(),
            duration: (&pair.duration).into(),
        }
    }
}

impl PairBytes {
    fn pair(self, last_event: i64) -> Result<Pair, Unreadable> {
        let counter = |value, start| Counter { value, start: UnixMillis(start) };
        let mut started = Vec::with_capacity(self.started.len());
        for (origin, value, start) in self.started {
            started.push((at_place::<Origin>(origin)?, counter(value, start)));
        }
        let mut ended = Vec::with_capacity(self.ended.len());
        for (state, reason, value, start) in self.ended {
            ended.push(((at_place::<State>(state)?, at_place::<Reason>(reason)?), counter(value, start)));
        }
        Ok(Pair {
            labels: PairLabels { bot: self.bot.into(), team: self.team.into() },
            start: UnixMillis(self.start),
            last_event: UnixMillis(last_event),
            started,
            ended,
            unanswered: self.unanswered,
            met: self.met,
            missed: self.missed,
            reopened: self.reopened,
            reply: self.reply.try_into()?,
            duration: self.duration.try_into()?,
        })
    }
}

/// A place in the table of pairs.
#[derive(Serialize, Deserialize)]
pub(super) enum KnownBytes {
    Live { counts: Box<PairBytes>, last_event: i64 },
    Forgotten { bot: String, team: String },
}

impl From<&Known> for KnownBytes {
    fn from(known: &Known) -> Self {
        match known {
            Known::Live(pair) => Self::Live { counts: Box::new((&**pair).into()), last_event: pair.last_event.0 },
            Known::Forgotten(labels) => Self::Forgotten { bot: labels.bot.to_string(), team: labels.team.to_string() },
        }
    }
}

impl TryFrom<KnownBytes> for Known {
    type Error = Unreadable;

    fn try_from(bytes: KnownBytes) -> Result<Self, Unreadable> {
        Ok(match bytes {
            KnownBytes::Live { counts, last_event } => Self::Live(Arc::new(counts.pair(last_event)?)),
            KnownBytes::Forgotten { bot, team } => Self::Forgotten(PairLabels { bot: bot.into(), team: team.into() }),
        })
    }
}

/// Everything but entries and pairs, and how many of these there are.
#[derive(Serialize, Deserialize)]
pub(super) struct StateBytes {
    company: Option<String>,
    state_start: i64,
    amendments: Vec<u64>,
    outside_window: u64,
    vanished: u64,
    aged_out: u64,
    overflowed: u64,
    zero_line: Option<i64>,
    pub(super) series_start: i64,
    poll: u64,
    overflow: Option<u32>,
    covered: Vec<(i64, i64)>,
    floor: i64,
    newest_end: i64,
    sweep: Option<(i64, i64, u32)>,
    sweep_began: Option<i64>,
}

impl StateBytes {
    pub(super) fn new(kept: &Kept, plan: &KeptPlan) -> Self {
        let tallies = &kept.tallies;
        Self {
            company: kept.company.as_deref().map(str::to_owned),
            state_start: tallies.start.0,
            amendments: tallies.amendments.iter().map(|(_, count)| count).collect(),
            outside_window: tallies.outside_window,
            vanished: tallies.vanished,
            aged_out: tallies.aged_out,
            overflowed: tallies.overflowed,
            zero_line: kept.zero_line.map(|at| at.0),
            series_start: kept.series_start.0,
            poll: kept.poll.get(),
            overflow: kept.overflow.map(|id| id.0),
            covered: plan.covered.iter().map(|range| (range.start, range.end)).collect(),
            floor: plan.floor,
            newest_end: plan.newest_end,
            sweep: plan.sweep.map(|sweep| (sweep.cursor, sweep.end, sweep.failures)),
            sweep_began: plan.sweep_began,
        }
    }

    pub(super) fn parts(self) -> Result<(Kept, KeptPlan), Unreadable> {
        let kept = Kept {
            company: self.company.map(Arc::from),
            tallies: Tallies {
                start: UnixMillis(self.state_start),
                amendments: amendments(self.amendments)?,
                outside_window: self.outside_window,
                vanished: self.vanished,
                aged_out: self.aged_out,
                overflowed: self.overflowed,
            },
            zero_line: self.zero_line.map(UnixMillis),
            series_start: UnixMillis(self.series_start),
            poll: poll_number(self.poll)?,
            overflow: self.overflow.map(PairId),
        };
        let plan = KeptPlan {
            covered: self.covered.into_iter().map(|(start, end)| Range::new(start, end)).collect(),
            floor: self.floor,
            newest_end: self.newest_end,
            sweep: self.sweep.map(|(cursor, end, failures)| Sweep { cursor, end, failures }),
            sweep_began: self.sweep_began,
        };
        Ok((kept, plan))
    }
}

/// Amendments by the place of their field.
fn amendments(counts: Vec<u64>) -> Result<Tally<AmendedField>, Unreadable> {
    let mut amendments = Tally::default();
    for (place, count) in counts.into_iter().enumerate() {
        amendments.add(at_place::<AmendedField>(u8::try_from(place).map_err(|_| Unreadable)?)?, count);
    }
    Ok(amendments)
}
