//! The series of one pair, then and now: none goes down, none starts anew, none is lost.

use crate::domain::distribution::Distribution;
use crate::domain::pair::{Counter, Pair};
use crate::domain::time::UnixMillis;

/// Compares with what was shown before; `may_start` says whether a new series may count since this instant.
pub(super) fn check(before: Option<&Pair>, now: &Pair, may_start: impl Fn(UnixMillis) -> bool) -> Result<(), String> {
    let may = |at: UnixMillis, what: &str| {
        if may_start(at) { Ok(()) } else { Err(format!("{what} counts since {}, which is no publication", at.0)) }
    };
    match before {
        None => may(now.start, "the pair")?,
        Some(before) => goes_on(before, now)?,
    }
    let known = before.map_or(&[][..], |before| &before.started);
    counters(known, &now.started, &may)?;
    let known = before.map_or(&[][..], |before| &before.ended);
    counters(known, &now.ended, &may)?;
    if now.reply.start() != now.start || now.duration.start() != now.start {
        return Err("distributions start by themselves".to_owned());
    }
    Ok(())
}

fn goes_on(before: &Pair, now: &Pair) -> Result<(), String> {
    if before.start != now.start {
        return Err(format!("its start moved from {} to {}", before.start.0, now.start.0));
    }
    let values = |pair: &Pair| [pair.unanswered, pair.met, pair.missed, pair.reopened];
    if values(before).iter().zip(values(now)).any(|(before, now)| *before > now) {
        return Err(format!("went down from {:?} to {:?}", values(before), values(now)));
    }
    times(&before.reply, &now.reply)?;
    times(&before.duration, &now.duration)
}

fn times(before: &Distribution, now: &Distribution) -> Result<(), String> {
    let fell = before.count() > now.count() || before.sum_millis() > now.sum_millis();
    let lower = |bound, many| now.buckets().any(|(same, now)| same == bound && now < many);
    if fell || before.buckets().any(|(bound, many)| lower(bound, many)) {
        return Err(format!("times went down from {before:?} to {now:?}"));
    }
    Ok(())
}

fn counters<K: PartialEq + std::fmt::Debug>(
    before: &[(K, Counter)],
    now: &[(K, Counter)],
    may: &impl Fn(UnixMillis, &str) -> Result<(), String>,
) -> Result<(), String> {
    for (key, counter) in now {
        match before.iter().find(|(known, _)| known == key) {
            None => may(counter.start, &format!("{key:?}"))?,
            Some((_, known)) if known.start != counter.start || known.value > counter.value => {
                return Err(format!("{key:?} went from {known:?} to {counter:?}"));
            }
            Some(_) => {}
        }
    }
    match before.iter().find(|(key, _)| now.iter().all(|(other, _)| other != key)) {
        Some((key, _)) => Err(format!("{key:?} is gone")),
        None => Ok(()),
    }
}
