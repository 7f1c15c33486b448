//! A publication beside the oracle's book.

use super::book::{Book, Memory};
use super::sums::Sums;
use super::times::same;
use super::watch::amendments;
use crate::domain::pair::Pair;
use crate::domain::snapshot::{Moment, Snapshot};

/// Everything that counts up.
pub(super) fn counts(book: &mut Book, snapshot: &Snapshot) -> Result<(), String> {
    let tallies = &snapshot.tallies;
    same("amendments", amendments(snapshot), book.amendments)?;
    same("outside window", tallies.outside_window, book.outside)?;
    same("overflowed", tallies.overflowed, book.overflowed)?;
    let Some(conversations) = &snapshot.conversations else {
        return if book.counting { Err("the conversation families are missing".to_owned()) } else { Ok(()) };
    };
    same("pairs", conversations.pairs.len(), book.pairs.len())?;
    let (replies, durations) = (book.settings.reply_bounds(), book.settings.duration_bounds.clone());
    for pair in &conversations.pairs {
        let (bot, team) = (&*pair.labels.bot, &*pair.labels.team);
        let Some(sums) = book.pairs.iter_mut().find(|sums| sums.bot == bot && sums.team == team) else {
            return Err(format!("{bot}/{team} is shown, and nothing was read of it"));
        };
        let right = of_pair(sums, pair)
            .and_then(|()| sums.replies.check(&pair.reply, &replies).map_err(|what| format!("replies, {what}")))
            .and_then(|()| {
                sums.durations.check(&pair.duration, &durations).map_err(|what| format!("durations, {what}"))
            });
        right.map_err(|what| format!("{bot}/{team} {what}"))?;
    }
    Ok(())
}

fn of_pair(sums: &Sums, pair: &Pair) -> Result<(), String> {
    let started = pair.started.iter().map(|(origin, counter)| (*origin, counter.value));
    same("started", started.collect::<Vec<_>>(), sums.started.clone().into_iter().collect())?;
    let ended = pair.ended.iter().map(|(how, counter)| (*how, counter.value));
    same("ended", ended.collect::<Vec<_>>(), sums.ended.clone().into_iter().collect())?;
    same("unanswered", pair.unanswered, sums.unanswered)?;
    same("met", pair.met, sums.met)?;
    same("missed", pair.missed, sums.missed)?;
    same("reopened", pair.reopened, sums.reopened)
}

/// Facts of the moment: these conversations, and no others.
pub(super) fn gauges(book: &Book, snapshot: &Snapshot, is_there: impl Fn(&str, &Memory) -> bool) -> Result<(), String> {
    let Some(conversations) = &snapshot.conversations else { return Err("nothing is shown".to_owned()) };
    let Some(moments) = &conversations.moments else { return Err("no facts of the moment".to_owned()) };
    for (pair, moment) in conversations.pairs.iter().zip(moments.iter()) {
        let of_this = |memory: &&Memory| {
            let sums = &book.pairs[memory.pair];
            sums.bot == *pair.labels.bot && sums.team == *pair.labels.team
        };
        let active: Vec<&Memory> = (book.memory.iter())
            .filter(|(id, memory)| memory.active && is_there(id, memory))
            .map(|(_, memory)| memory)
            .filter(of_this)
            .collect();
        let waiting: Vec<&Memory> = active.iter().copied().filter(|memory| book.waits(memory)).collect();
        let reckoned = Moment {
            active: active.len() as u64,
            waiting: waiting.len() as u64,
            oldest_waiting_start: book.oldest(waiting.into_iter()),
            ..*moment
        };
        same(&format!("{:?}", pair.labels), *moment, reckoned)?;
    }
    Ok(())
}
