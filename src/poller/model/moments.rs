//! Facts of the moment beside the book: exact where it can tell, and never more than it knows of.

use super::book::{Book, Memory};
use super::times::same;
use crate::domain::snapshot::{Moment, PERCENTILES, Snapshot};
use crate::domain::time::UnixMillis;

/// Whatever else is true, no conversation is active that was not read as active, and the recent percentiles are those
/// of the window that ends at `at`, when the last poll succeeded. What no range listed that began after `floor` may be
/// forgotten.
pub(super) fn check(book: &Book, snapshot: &Snapshot, at: UnixMillis, floor: i64) -> Result<(), String> {
    let Some(conversations) = &snapshot.conversations else { return Ok(()) };
    let Some(moments) = &conversations.moments else { return Err("no facts of the moment".to_owned()) };
    for (pair, moment) in conversations.pairs.iter().zip(moments.iter()) {
        let (bot, team) = (&*pair.labels.bot, &*pair.labels.team);
        let is_here = |pair: usize| book.pairs[pair].bot == bot && book.pairs[pair].team == team;
        let active: Vec<&Memory> =
            book.memory.values().filter(|memory| memory.active && is_here(memory.pair)).collect();
        let waiting = || active.iter().copied().filter(|memory| book.waits(memory));
        let oldest = book.oldest(waiting());
        let is_too_much = moment.active > active.len() as u64
            || moment.waiting > waiting().count() as u64
            || moment.oldest_waiting_start.is_some_and(|shown| oldest.is_none_or(|oldest| shown < oldest));
        if is_too_much {
            return Err(format!("{bot}/{team} {moment:?}, but {} are active", active.len()));
        }
        recent(book, moment, at, floor, is_here).map_err(|what| format!("{bot}/{team} {what}"))?;
    }
    Ok(())
}

/// When something happened to a conversation, and how long it took.
type Happened = fn(&Memory) -> Option<(i64, u64)>;

/// When it got its reply and how long that took.
fn reply(memory: &Memory) -> Option<(i64, u64)> {
    let reply = memory.latest.reply?;
    Some((memory.latest.start.0 + i64::try_from(reply).unwrap(), reply))
}

/// When it ended and how long it lasted.
fn end(memory: &Memory) -> Option<(i64, u64)> {
    let duration = memory.duration.filter(|_| !memory.active)?;
    let worked_out = memory.latest.start.0 + i64::try_from(duration).unwrap();
    Some((memory.end.map_or(worked_out, |end| end.0), duration))
}

fn recent(
    book: &Book,
    moment: &Moment,
    at: UnixMillis,
    floor: i64,
    is_here: impl Fn(usize) -> bool,
) -> Result<(), String> {
    let window = i64::try_from(book.settings.recent_window).unwrap() * 1000;
    let happened: [(&str, Happened, _); 2] =
        [("recent replies", reply, moment.reply_recent), ("recent durations", end, moment.duration_recent)];
    for (what, event, shown) in happened {
        let within = |(when, _): &(i64, u64)| *when > at.0 - window && *when <= at.0;
        let here = book.memory.values().filter(|memory| is_here(memory.pair) && !memory.outside);
        let lately: Vec<(&Memory, u64)> =
            here.filter_map(|memory| Some((memory, event(memory).filter(within)?.1))).collect();
        if lately.iter().any(|(memory, _)| memory.reach.start <= floor) {
            continue;
        }
        let mut values: Vec<u64> = lately.into_iter().map(|(_, value)| value).collect();
        values.sort_unstable();
        for (percentile, shown) in PERCENTILES.iter().zip(shown) {
            let rank = (percentile / 100.0 * values.len() as f64).ceil() as usize;
            let exact = values.get(rank.max(1) - 1).copied();
            let close = |(shown, exact): (u64, u64)| shown.abs_diff(exact) <= exact / 100 + 1;
            if !shown.zip(exact).is_some_and(close) {
                same(&format!("{what}, percentile {percentile} of {values:?}"), shown, exact)?;
            }
        }
    }
    Ok(())
}
