//! What the push keeps when it sends deltas: what was told so far, and the export that nobody has acknowledged yet. Both
//! change in one transaction, so that a crash neither loses what was counted nor tells it in two exports.

use std::path::PathBuf;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};

use super::bytes::{self, KnownBytes, PushBytes, Unreadable};
use super::disk::Shared;
use super::{Failure, STATE_KEY, StoreError, Tables};
use crate::domain::ledger::Known;
use crate::domain::pair::Pair;
use crate::domain::snapshot::Tallies;
use crate::domain::time::UnixMillis;

/// The part of a checkpoint that belongs to the push.
#[derive(Clone, Debug)]
pub struct Outbox(Shared);

/// What it holds.
#[derive(Debug)]
pub struct Kept {
    /// Up to when exports told.
    pub until: Option<UnixMillis>,
    /// Counts that they told, beside those of the pairs.
    pub tallies: Option<Tallies>,
    /// The pairs that they told, by their labels.
    pub pairs: Vec<Arc<Pair>>,
    /// How many requests of the last export were answered for good.
    pub answered: u32,
    /// Its other requests, in order.
    pub unsent: Vec<Vec<u8>>,
}

/// An export to be kept until it is acknowledged.
#[derive(Debug)]
pub struct Export<'a> {
    /// When its window ends.
    pub until: Option<UnixMillis>,
    /// Counts that it adds up to, beside those of the pairs.
    pub tallies: Option<&'a Tallies>,
    /// Pairs that it says something new of, as they are to be told from now on.
    pub pairs: &'a [Arc<Pair>],
    /// Pairs that have left.
    pub gone: &'a [Arc<Pair>],
    /// Its requests.
    pub requests: &'a [Vec<u8>],
}

impl Tables {
    pub(super) fn push(&self) -> TableDefinition<'_, &'static str, &'static [u8]> {
        TableDefinition::new(&self.push)
    }

    /// By bot and team.
    fn told(&self) -> TableDefinition<'_, (&'static str, &'static str), &'static [u8]> {
        TableDefinition::new(&self.told)
    }

    /// By their place in the export.
    fn unsent(&self) -> TableDefinition<'_, u32, &'static [u8]> {
        TableDefinition::new(&self.unsent)
    }
}

impl Outbox {
    pub(super) const fn new(disk: Shared) -> Self {
        Self(disk)
    }

    /// `state.path`.
    pub fn path(&self) -> PathBuf {
        self.0.lock().path.clone()
    }

    /// What is kept; `None` when no deltas were sent from this file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&self) -> Result<Option<Kept>, StoreError> {
        let disk = self.0.lock();
        let Some(database) = &disk.database else { return Ok(None) };
        read(database, &disk.tables).map_err(|failure| failure.of(&disk.path))
    }

    /// Keeps an export in place of the one before, which has been answered.
    ///
    /// # Errors
    ///
    /// When the system refuses: then the export must not be sent, for after a crash its counts would be told again.
    pub fn put(&self, export: &Export<'_>) -> Result<(), StoreError> {
        let answered = 0;
        let push = bytes::write(&PushBytes::new(export.until, answered, export.tallies));
        self.0.lock().write(
            |mark| mark.push = Some(push.clone()),
            |transaction, tables| {
                let mut told = transaction.open_table(tables.told())?;
                for pair in export.gone {
                    told.remove((&*pair.labels.bot, &*pair.labels.team))?;
                }
                for pair in export.pairs {
                    let counts = bytes::write(&KnownBytes::from(&Known::Live(Arc::clone(pair))));
                    told.insert((&*pair.labels.bot, &*pair.labels.team), counts.as_slice())?;
                }
                let mut unsent = transaction.open_table(tables.unsent())?;
                unsent.retain(|_, _| false)?;
                for (place, request) in (0..).zip(export.requests) {
                    unsent.insert(place, request.as_slice())?;
                }
                transaction.open_table(tables.push())?.insert(STATE_KEY, push.as_slice())?;
                Ok(())
            },
        )
    }

    /// So many requests of the export have been answered for good, and are not sent again.
    ///
    /// # Errors
    ///
    /// When the system refuses: after a crash they would be sent again.
    pub fn answered(
        &self,
        answered: u32,
        until: Option<UnixMillis>,
        tallies: Option<&Tallies>,
    ) -> Result<(), StoreError> {
        let push = bytes::write(&PushBytes::new(until, answered, tallies));
        self.0.lock().write(
            |mark| mark.push = Some(push.clone()),
            |transaction, tables| {
                transaction.open_table(tables.unsent())?.retain(|place, _| place >= answered)?;
                transaction.open_table(tables.push())?.insert(STATE_KEY, push.as_slice())?;
                Ok(())
            },
        )
    }

    /// Whether nothing is kept.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        let disk = self.0.lock();
        let Some(database) = &disk.database else { return Ok(true) };
        let mark = super::read_mark(database, &disk.tables).map_err(|failure| failure.of(&disk.path))?;
        Ok(mark.push.is_none())
    }

    /// Forgets all of it: the receiver is told totals from now on.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn clear(&self) -> Result<(), StoreError> {
        self.0.lock().write(
            |mark| mark.push = None,
            |transaction: &WriteTransaction, tables| {
                transaction.delete_table(tables.told())?;
                transaction.delete_table(tables.unsent())?;
                transaction.delete_table(tables.push())?;
                Ok(())
            },
        )
    }
}

fn read(database: &Database, tables: &Tables) -> Result<Option<Kept>, Failure> {
    let transaction = database.begin_read()?;
    let push = match transaction.open_table(tables.push()) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        push => push?,
    };
    let Some(push) = push.get(STATE_KEY)? else { return Ok(None) };
    let (until, answered, tallies) = bytes::read::<PushBytes>(push.value())?.parts()?;
    let mut pairs = Vec::new();
    for row in transaction.open_table(tables.told())?.iter()? {
        let Known::Live(pair) = Known::try_from(bytes::read::<KnownBytes>(row?.1.value())?)? else {
            return Err(Unreadable.into());
        };
        pairs.push(pair);
    }
    // As snapshots have them; the file sorts them by the same rule, but that is its own affair.
    pairs.sort_by(|a, b| a.labels.cmp(&b.labels));
    let mut unsent = Vec::new();
    for (row, place) in transaction.open_table(tables.unsent())?.iter()?.zip(answered..) {
        let (found, request) = row?;
        if found.value() != place {
            return Err(Failure::Corrupt(format!("request {place} of an export is missing")));
        }
        unsent.push(request.value().to_vec());
    }
    Ok(Some(Kept { until, tallies, pairs, answered, unsent }))
}

#[cfg(test)]
mod tests;
