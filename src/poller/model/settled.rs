//! After the storm: what has to be true when nothing happens any more and everything has been read again.

use std::time::Duration;

use tokio::time::sleep;

use super::book::Book;
use super::compare;
use super::history::{History, MINUTE, SECOND};
use super::settings::Settings;
use super::stage::Stage;
use super::stories::Form;
use super::watch::Watch;

/// Waits until a whole sweep has been made in the calm.
pub(super) async fn wait(history: &History, stage: &Stage, settings: &Settings) {
    let sweep = i64::try_from(settings.sweep_interval).unwrap() * SECOND;
    sleep(Duration::from_millis(u64::try_from(history.calm - stage.now()).unwrap_or(0))).await;
    let (begin, mut sweeps, mut last) = (stage.now(), 0, None);
    // Longer it never takes: refused, it asks every ten minutes; a sweep under way is ended, another one follows.
    while sweeps < 3 && stage.now() < begin + 4 * sweep + 60 * MINUTE {
        sleep(Duration::from_secs(settings.interval)).await;
        let swept = stage.watch().last().and_then(|snapshot| snapshot.own.last_sweep);
        if swept.is_some() && swept != last {
            last = swept;
            sweeps += 1;
        }
    }
    // What the sweep found is asked for again, and settles.
    sleep(Duration::from_secs(3 * settings.interval)).await;
}

/// Compares with the truth.
pub(super) fn check(history: &History, stage: &Stage, settings: &Settings) -> Result<(), String> {
    let now = stage.now();
    let watch = stage.watch();
    let Some(snapshot) = watch.last().cloned() else { return Err("nothing was published".to_owned()) };
    let own = &snapshot.own;
    let interval = i64::try_from(settings.interval).unwrap() * SECOND;
    if !own.up || own.last_success.is_none_or(|at| at.0 < now - 3 * interval) {
        return Err(format!("polls do not succeed in the calm: {:?}", own.last_success));
    }
    if own.last_sweep.is_none_or(|at| at.0 < history.calm) {
        return Err("no sweep came to its end in the calm".to_owned());
    }
    if own.data_complete.is_none_or(|at| at.0 < now - 3 * interval - 5 * SECOND) {
        return Err(format!("the data are not complete in the calm: {:?}", own.data_complete));
    }
    let right: Vec<String> =
        watch.books().iter().filter_map(|book| truth(history, &watch, book, settings, now).err()).collect();
    if right.len() < watch.books().len() { Ok(()) } else { Err(right.concat()) }
}

/// Compares what was read with what there is.
fn truth(history: &History, watch: &Watch, book: &Book, settings: &Settings, now: i64) -> Result<(), String> {
    let Some(snapshot) = watch.last() else { return Err("nothing was published".to_owned()) };
    // What lies near the horizon may have passed it or not.
    let horizon = i64::try_from(settings.horizon).unwrap() * SECOND;
    let within = (now - horizon + 5 * MINUTE).max(watch.reading_since * SECOND).max(watch.floor_at_most() * SECOND);
    let beyond = now - horizon - 5 * MINUTE;
    for record in &history.records {
        let Some(id) = record.id() else { continue };
        let listed = record.at(now);
        match (listed, book.memory.get(&id)) {
            (Some(Form::Good(truth)), Some(memory)) if record.start >= within && memory.latest != *truth => {
                return Err(format!("{id} was read as {:?}, it is {truth:?}", memory.latest));
            }
            (Some(Form::Good(_)), None) if record.start >= within => {
                return Err(format!("{id} of {} was lost", record.start));
            }
            _ => {}
        }
    }
    // A conversation goes by the range that listed it, also where that reaches over the horizon.
    let sure = book.memory.iter().all(|(id, memory)| {
        let record = history.records.iter().find(|record| record.id().as_ref() == Some(id));
        let (first, last) = (memory.reach.start * SECOND, memory.reach.end * SECOND);
        let is_within =
            record.is_some_and(|record| record.start >= within && (record.at(now).is_some() || first >= within));
        is_within || (last < beyond && history.listing.dated)
    });
    if !sure {
        return Ok(());
    }
    compare::gauges(book, snapshot, |id, _| {
        let record = history.records.iter().find(|record| record.id().as_deref() == Some(id));
        record.is_some_and(|record| record.start >= within && record.at(now).is_some())
    })
}
