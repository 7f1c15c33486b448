//! Facts of the moment beside the book: exact where it can tell, and never more than it knows of.

use super::book::{Book, Memory};
use super::times::same;
use crate::domain::snapshot::{Moment, PERCENTILES, Snapshot};
use crate::domain::time::UnixMillis;

/// Whatever else is true, no conversation is active that was not read as active, and the recent percentiles are those
/// of the window that ends at `at`, when the last poll succeeded.
pub(super) fn check(book: &Book, snapshot: &Snapshot, at: UnixMillis, clock_is_right: bool) -> Result<(), String> {
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
        // While the clock is ahead events leave the window, and they do not come back when it is put right.
        if clock_is_right {
            recent(book, moment, at, is_here).map_err(|what| format!("{bot}/{team} {what}"))?;
        }
    }
    Ok(())
}

fn recent(book: &Book, moment: &Moment, at: UnixMillis, is_here: impl Fn(usize) -> bool) -> Result<(), String> {
    let window = i64::try_from(book.settings.recent_window).unwrap() * 1000;
    // After a restart an amended one is known by its latest value only.
    if book.memory.values().any(|memory| memory.is_amended) {
        return Ok(());
    }
    let within = |event: &&(usize, i64, u64)| is_here(event.0) && event.1 > at.0 - window && event.1 <= at.0;
    for (what, events, shown) in [
        ("recent replies", &book.reply_events, moment.reply_recent),
        ("recent durations", &book.end_events, moment.duration_recent),
    ] {
        let mut values: Vec<u64> = events.iter().filter(within).map(|(_, _, value)| *value).collect();
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
