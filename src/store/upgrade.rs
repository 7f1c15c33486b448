//! Older schemas to the newest one, a step at a time, all in one transaction.

use redb::{Database, ReadableDatabase, ReadableTable, TableHandle, WriteTransaction};

use super::bytes::{self, KnownBytes, PairBytes, StateBytes};
use super::{ABOUT, Failure, SCHEMA, SCHEMA_KEY, STATE_KEY, Tables};

/// Rewrites what a file of schema `from` says otherwise than a new one. A crash in between leaves it as it was.
pub(super) fn upgrade(database: &Database, from: u32) -> Result<(), Failure> {
    let accounts = accounts(database)?;
    let transaction = database.begin_write()?;
    if from < 2 {
        for account in &accounts {
            remember_events(&transaction, &Tables::of(account))?;
        }
    }
    // Schema 3 only adds tables. They are not there where nobody has sent deltas. Schema 4 only has one more value for a byte.
    transaction.open_table(ABOUT)?.insert(SCHEMA_KEY, bytes::write(&SCHEMA).as_slice())?;
    transaction.commit()?;
    Ok(())
}

fn accounts(database: &Database) -> Result<Vec<String>, Failure> {
    let transaction = database.begin_read()?;
    let names = transaction.list_tables()?;
    Ok(names.filter_map(|table| Some(table.name().strip_prefix("state/")?.to_owned())).collect())
}

/// Schema 2: a pair remembers when something was last counted in it. Of older ones is known that they were there at the
/// last publication, and they are not forgotten earlier than had they last counted then.
fn remember_events(transaction: &WriteTransaction, tables: &Tables) -> Result<(), Failure> {
    let last_event = {
        let state = transaction.open_table(tables.state())?;
        let Some(state) = state.get(STATE_KEY)? else { return Ok(()) };
        bytes::read::<StateBytes>(state.value())?.series_start
    };
    let mut pairs = transaction.open_table(tables.pairs())?;
    let mut rewritten = Vec::new();
    for row in pairs.iter()? {
        let (id, counts) = row?;
        let counts = Box::new(bytes::read::<PairBytes>(counts.value())?);
        rewritten.push((id.value(), bytes::write(&KnownBytes::Live { counts, last_event })));
    }
    for (id, pair) in rewritten {
        pairs.insert(id, pair.as_slice())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::conversation::{Conversation, Origin, Reason, State};
    use crate::domain::ledger::{Entry, Outside, PairId, PollNumber};
    use crate::domain::time::{Range, UnixMillis};
    use crate::store::bytes::EntryBytes;

    #[test]
    fn schema_4_reads_whether_a_date_is_wrong_as_older_ones_wrote_it() {
        let reading = Conversation {
            id: "a".into(),
            start: UnixMillis(0),
            end: None,
            state: State::Active,
            reason: Reason::None,
            origin: Origin::Organic,
            bot: "bot".into(),
            team: "team".into(),
            company: None,
            reply: None,
            stated_duration: None,
        };
        let entry = Entry::new(&reading, PairId(0), Range::new(0, 1), PollNumber::FIRST);
        // Two booleans come after it. Up to schema 3 it was one, too.
        let older = |was: bool| {
            let mut older = bytes::write(&EntryBytes::from(&entry));
            let place = older.len() - 3;
            older.splice(place..=place, bytes::write(&was));
            older
        };
        let read = |bytes: &[u8]| Entry::try_from(bytes::read::<EntryBytes>(bytes).unwrap()).unwrap();
        assert_eq!(read(&older(false)), entry);
        assert_eq!(read(&older(true)), Entry { outside: Outside::Now, ..entry });
        for outside in [Outside::Never, Outside::Now, Outside::Before] {
            let entry = Entry { outside, ..entry };
            assert_eq!(read(&bytes::write(&EntryBytes::from(&entry))), entry);
        }
    }
}
