//! The open database, which two write: the poller what it counts, the push what it tells. Each write is one transaction,
//! and they take turns.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{Database, WriteTransaction};

use super::{Failure, SCHEMA, StoreError, Tables};

/// Opens the database anew. The tests' crashes need a disk that can lose what was not synced, and a file cannot.
pub(super) struct Again(pub(super) Box<dyn Fn() -> Result<Database, Failure> + Send>);

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Again")
    }
}

/// By what one tells that nobody else has written an account's part of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// The bytes of the account's state.
    pub(super) state: Option<Vec<u8>>,
    /// The bytes that say how the push stands.
    pub(super) push: Option<Vec<u8>>,
}

/// The database of one account, as it is open.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) path: PathBuf,
    pub(super) tables: Tables,
    /// `None` after a failed commit: the file is opened again for the next one.
    pub(super) database: Option<Database>,
    again: Again,
    /// As it was read or committed last.
    kept: Mark,
    /// That of a commit that failed: it may be on the disk all the same.
    attempted: Option<Mark>,
}

/// The same for whoever writes.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<Disk>>);

impl Shared {
    pub(super) fn new(path: &Path, tables: Tables, database: Database, again: Again, kept: Mark) -> Self {
        let (path, database) = (path.to_owned(), Some(database));
        Self(Arc::new(Mutex::new(Disk { path, tables, database, again, kept, attempted: None })))
    }

    /// A transaction is whole or it is none, so a panic elsewhere does not spoil the file.
    pub(super) fn lock(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    /// Writes all of it or nothing, on the disk when this returns. Afterwards the file bears the mark that `next` makes of
    /// the present one.
    ///
    /// # Errors
    ///
    /// When the system refuses, or another process has written the file since this one could not.
    pub(super) fn write(
        &mut self,
        next: impl FnOnce(&mut Mark),
        write: impl FnOnce(&WriteTransaction, &Tables) -> Result<(), Failure>,
    ) -> Result<(), StoreError> {
        let database = match self.database.take() {
            Some(database) => database,
            None => self.open_again()?,
        };
        let mut mark = self.kept.clone();
        next(&mut mark);
        self.attempted = Some(mark.clone());
        // After a failure the database beneath refuses to work until it is opened again.
        transact(&database, &self.tables, write).map_err(|failure| failure.of(&self.path))?;
        self.database = Some(database);
        (self.kept, self.attempted) = (mark, None);
        Ok(())
    }

    /// Opens the file again after a failure, if it is as it was left: while it was closed, nothing kept another process
    /// from going on with it, and changes belong to the state that they were made of.
    fn open_again(&mut self) -> Result<Database, StoreError> {
        let database = (self.again.0)().map_err(|failure| failure.of(&self.path))?;
        // Another version may have brought the file up to its schema, and changed nothing else.
        let (schema, _) = super::read_about(&database).map_err(|failure| failure.of(&self.path))?;
        let found = super::read_mark(&database, &self.tables).map_err(|failure| failure.of(&self.path))?;
        if schema != SCHEMA || (found != self.kept && self.attempted.as_ref() != Some(&found)) {
            return Err(StoreError::Changed { path: self.path.clone() });
        }
        self.kept = found;
        Ok(database)
    }
}

fn transact(
    database: &Database,
    tables: &Tables,
    write: impl FnOnce(&WriteTransaction, &Tables) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let transaction = database.begin_write()?;
    write(&transaction, tables)?;
    // Durability is immediate unless something else is asked for: this is the fsync.
    transaction.commit()?;
    Ok(())
}
