//! A checkpoint looked at without opening it for work: nothing is written to the file, and nobody is kept from it.

use std::fs::File;
use std::io;
use std::path::Path;

use super::{Failure, Found, StoreError, Tables, Trial, builder, read_entries};

/// What a file holds for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A state to go on from.
    State,
    /// Nothing of this account: counting would begin anew.
    OtherAccounts,
    /// Another process has it open, which may be an exporter at work; what is in it was not read.
    InUse,
}

/// Looks whether [`super::Store::open`] could go on from the file that is there.
///
/// # Errors
///
/// See [`StoreError`].
pub fn look(path: &Path, account: &str) -> Result<Seen, StoreError> {
    let seen = is_in_use(path)
        .map_err(Failure::io)
        .and_then(|in_use| if in_use { Ok(Seen::InUse) } else { look_inside(path, account) });
    match seen {
        // An exporter that was started meanwhile may have written what was read in halves.
        Err(_) if is_in_use(path).unwrap_or(false) => Ok(Seen::InUse),
        seen => seen.map_err(|failure| failure.of(path)),
    }
}

/// Whether somebody holds the file's lock. It is tried and let go at once: to keep it while the file is read would keep out
/// an exporter that is being started.
fn is_in_use(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    // Where there are no locks, nobody can hold one.
    Ok(matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
}

fn look_inside(path: &Path, account: &str) -> Result<Seen, Failure> {
    let tables = Tables::of(account);
    let trial = tried(File::open(path).map_err(Failure::io)?)?;
    let found = Found::read(&trial, &tables)?;
    read_entries(&trial, &tables, |_, _| {})?;
    Ok(if found.image.is_some() { Seen::State } else { Seen::OtherAccounts })
}

/// The file opened on trial, every checksum in it compared.
pub(super) fn tried(file: File) -> Result<redb::Database, Failure> {
    if file.metadata().map_err(Failure::io)?.len() == 0 {
        return Err(Failure::Corrupt("it is empty".to_owned()));
    }
    let trial = Trial::new(file).map_err(Failure::io)?;
    Ok(builder().set_check_integrity_on_open(true).create_with_backend(trial)?)
}
