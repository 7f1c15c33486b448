//! The checkpoint: what was counted, kept in one file through restarts and crashes.
//!
//! One transaction, with fsync, holds everything that one walk changed; what is not in it never happened. The state of
//! one account is one unit: three tables that bear its name, and three that belong to the push ([`Outbox`]). `bytes` says
//! what stands in them, `disk` how the two who write take turns.

mod bytes;
mod disk;
#[cfg(test)]
pub(crate) mod elsewhere;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod lock;
mod look;
pub mod outbox;
#[cfg(test)]
mod tests;
mod trial;
mod upgrade;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError,
    TableDefinition, TableError, TransactionError, WriteTransaction,
};
use uuid::Uuid;

use crate::domain::conversation::{ConversationId, SpellingRoom};
use crate::domain::ledger::{Changes, Entry, Kept, Known};
use crate::domain::plan::KeptPlan;
use bytes::{EntryBytes, KnownBytes, StateBytes, Unreadable};
use disk::{Again, Mark, Shared};
pub use error::StoreError;
pub use look::{Seen, look};
pub use outbox::Outbox;
use trial::Trial;

/// The schema that is written.
const SCHEMA: u32 = 4;
/// What the file remembers of itself.
const ABOUT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("about");
const SCHEMA_KEY: &str = "schema";
const INSTANCE_KEY: &str = "service.instance.id";
/// The one key of an account's state, and of how its push stands.
const STATE_KEY: &str = "state";
/// Pages that are kept in memory: a commit touches few, and the whole state is in memory anyway.
const CACHE_BYTES: usize = 4 << 20;

/// What a checkpoint holds of one account.
#[derive(Debug)]
pub struct Image {
    /// The ledger but for entries and pairs.
    pub kept: Kept,
    /// What was read.
    pub plan: KeptPlan,
    /// The pairs, in the order of their ids.
    pub pairs: Vec<Known>,
    /// How many conversations are remembered, see [`Store::conversations`].
    pub conversations: usize,
}

/// An open checkpoint. Only one process can have it open.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    instance_id: String,
    disk: Shared,
}

/// The names of one account's tables.
#[derive(Debug)]
struct Tables {
    state: String,
    pairs: String,
    entries: String,
    push: String,
    told: String,
    unsent: String,
}

impl Tables {
    fn of(account: &str) -> Self {
        let named = |what: &str| format!("{what}/{account}");
        Self {
            state: named("state"),
            pairs: named("pairs"),
            entries: named("entries"),
            push: named("push"),
            told: named("told"),
            unsent: named("unsent"),
        }
    }

    fn state(&self) -> TableDefinition<'_, &'static str, &'static [u8]> {
        TableDefinition::new(&self.state)
    }

    fn pairs(&self) -> TableDefinition<'_, u32, &'static [u8]> {
        TableDefinition::new(&self.pairs)
    }

    fn entries(&self) -> TableDefinition<'_, &'static str, &'static [u8]> {
        TableDefinition::new(&self.entries)
    }
}

/// Any failure of the database beneath, before the file's name is put to it.
enum Failure {
    Io(String),
    Newer(u32),
    Corrupt(String),
    Locked,
}

macro_rules! failure_from {
    ($($error:ty),+) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        }
    )+};
}

failure_from!(DatabaseError, TransactionError, TableError, StorageError, redb::CommitError);

impl From<redb::Error> for Failure {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::Locked,
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Self::Corrupt(error.to_string()),
            redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::Corrupt("it is cut short".into())
            }
            redb::Error::Io(error) => Self::Io(error.to_string()),
            error @ (redb::Error::PreviousIo | redb::Error::DatabaseClosed) => Self::Io(error.to_string()),
            other => Self::Corrupt(other.to_string()),
        }
    }
}

impl From<Unreadable> for Failure {
    fn from(_: Unreadable) -> Self {
        Self::Corrupt("a value in it is none that any version wrote".to_owned())
    }
}

impl Failure {
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    fn io(error: io::Error) -> Self {
        Self::Io(error.to_string())
    }

    fn of(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        match self {
            Self::Io(why) => StoreError::Unusable { path, why },
            Self::Corrupt(why) => StoreError::Damaged { path, why },
            Self::Locked => StoreError::InUse { path },
            Self::Newer(found) => StoreError::Newer { path, found, known: SCHEMA },
        }
    }
}

impl Store {
    /// Opens the checkpoint, or makes it, and reads what it holds of the account; `None` if that is nothing.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. A file that cannot be read is never replaced.
    pub fn open(path: &Path, account: &str) -> Result<(Self, Option<Image>), StoreError> {
        let exists = fs::exists(path).map_err(|error| Failure::io(error).of(path))?;
        let database = if exists { open_checked(path, account) } else { create(path) };
        let file = path.to_owned();
        let again = Again(Box::new(move || open(&file)));
        Self::over(database.map_err(|failure| failure.of(path))?, path, account, again)
    }

    /// The checkpoint in this database, which bears the name `path` in errors.
    fn over(database: Database, path: &Path, account: &str, again: Again) -> Result<(Self, Option<Image>), StoreError> {
        let tables = Tables::of(account);
        let Found { instance_id, image, mark } = Found::read(&database, &tables).map_err(|failure| failure.of(path))?;
        let disk = Shared::new(path, tables, database, again, mark);
        Ok((Self { path: path.to_owned(), instance_id, disk }, image))
    }

    /// The part that belongs to the push.
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.disk.clone())
    }

    /// Hands over every conversation that the account's state remembered when it was opened, one at a time: they are too
    /// many to be held twice.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn conversations(&self, each: impl FnMut(ConversationId, Entry)) -> Result<(), StoreError> {
        let disk = self.disk.lock();
        let Some(database) = &disk.database else { return Ok(()) };
        read_entries(database, &disk.tables, each).map_err(|failure| failure.of(&self.path))
    }

    /// `service.instance.id`: a UUID that was made with the file.
    pub fn instance_id(&self) -> &str {
        &self.instance_id
    }

    /// Keeps the changes, all of them or none, on the disk when this returns.
    ///
    /// # Errors
    ///
    /// When the system refuses. Nothing is lost: the changes are to be committed again, with what comes next.
    pub fn commit(&mut self, changes: &Changes<'_>, plan: &KeptPlan) -> Result<(), StoreError> {
        let state = bytes::write(&StateBytes::new(&changes.kept, plan));
        self.disk.lock().write(
            |mark| mark.state = Some(state.clone()),
            |transaction, tables| write(transaction, tables, changes, &state),
        )
    }

    /// Size of the file, bytes.
    pub fn size(&self) -> Option<u64> {
        fs::metadata(&self.path).ok().map(|metadata| metadata.len())
    }
}

fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn open(path: &Path) -> Result<Database, Failure> {
    Ok(builder().open(path)?)
}

/// Opens a file that may have been altered since, or may be something else altogether. Only when every checksum in it
/// holds and its state can be read is it opened so that anything may be written to it, a repair after a crash included.
fn open_checked(path: &Path, account: &str) -> Result<Database, Failure> {
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(Failure::io)?;
    lock::take(&file, || thread::sleep(lock::PAUSE))?;
    let trial = look::tried(file.try_clone().map_err(Failure::io)?)?;
    Found::read(&trial, &Tables::of(account))?;
    drop(trial);
    Ok(builder().create_with_backend(FileBackend::new(file)?)?)
}

/// Makes the file under another name and gives it its own when it is whole, so that a crash leaves a whole one or none.
fn create(path: &Path) -> Result<Database, Failure> {
    let mut name = path.as_os_str().to_owned();
    // Two processes that start at once must not take each other's file away.
    name.push(format!(".new-{}", std::process::id()));
    let unfinished = PathBuf::from(name);
    let made = make(&unfinished, path);
    if made.is_err() {
        // Best effort: the failure itself is what is to be told.
        let _ = fs::remove_file(&unfinished);
    }
    made
}

fn make(unfinished: &Path, path: &Path) -> Result<Database, Failure> {
    match fs::remove_file(unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Failure::io(error)),
        _ => {}
    }
    let database = builder().create(unfinished)?;
    inscribe(&database)?;
    // A link fails where a rename would replace: of two processes that start at once, one makes the file. Some file
    // systems of containers and networks have no links.
    match fs::hard_link(unfinished, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(Failure::Locked),
        Err(_) => fs::rename(unfinished, path).map_err(Failure::io)?,
        Ok(()) => fs::remove_file(unfinished).map_err(Failure::io)?,
    }
    // The name, too, has to be on the disk.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Failure::io)?;
    Ok(database)
}

/// Writes what a new database says of itself.
fn inscribe(database: &Database) -> Result<(), Failure> {
    let transaction = database.begin_write()?;
    {
        let mut about = transaction.open_table(ABOUT)?;
        about.insert(SCHEMA_KEY, bytes::write(&SCHEMA).as_slice())?;
        about.insert(INSTANCE_KEY, Uuid::new_v4().to_string().as_bytes())?;
    }
    transaction.commit()?;
    Ok(())
}

/// What is read of a file when it is opened.
struct Found {
    instance_id: String,
    image: Option<Image>,
    mark: Mark,
}

impl Found {
    /// Reads a file of this schema, and brings one of an older schema up to it first.
    fn read(database: &Database, tables: &Tables) -> Result<Self, Failure> {
        let (schema, instance_id) = read_about(database)?;
        if schema < SCHEMA {
            upgrade::upgrade(database, schema)?;
        }
        let image = read_image(database, tables)?;
        Ok(Self { instance_id, image, mark: read_mark(database, tables)? })
    }
}

/// The schema of the file, and the id that it gives to the instance, if this version can read the rest of it.
fn read_about(database: &Database) -> Result<(u32, String), Failure> {
    let transaction = database.begin_read()?;
    let about = match transaction.open_table(ABOUT) {
        Err(TableError::TableDoesNotExist(_)) => {
            return Err(Failure::Corrupt("it is another program's database".to_owned()));
        }
        about => about?,
    };
    let schema = about.get(SCHEMA_KEY)?.ok_or(Unreadable)?;
    let schema = bytes::read(schema.value())?;
    if schema > SCHEMA {
        return Err(Failure::Newer(schema));
    }
    let instance_id = about.get(INSTANCE_KEY)?.ok_or(Unreadable)?;
    let instance_id = std::str::from_utf8(instance_id.value()).map_err(|_| Unreadable)?;
    Ok((schema, instance_id.to_owned()))
}

fn read_mark(database: &Database, tables: &Tables) -> Result<Mark, Failure> {
    let transaction = database.begin_read()?;
    let bytes = |table: TableDefinition<'_, &'static str, &'static [u8]>| match transaction.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => Ok::<_, Failure>(None),
        table => Ok(table?.get(STATE_KEY)?.map(|bytes| bytes.value().to_vec())),
    };
    Ok(Mark { state: bytes(tables.state())?, push: bytes(tables.push())? })
}

fn read_image(database: &Database, tables: &Tables) -> Result<Option<Image>, Failure> {
    let transaction = database.begin_read()?;
    let state = match transaction.open_table(tables.state()) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        state => state?,
    };
    let Some(state) = state.get(STATE_KEY)? else { return Ok(None) };
    let (kept, plan) = bytes::read::<StateBytes>(state.value())?.parts()?;

    let mut pairs = Vec::new();
    for row in transaction.open_table(tables.pairs())?.iter()? {
        let (id, pair) = row?;
        if id.value() as usize != pairs.len() {
            return Err(Failure::Corrupt(format!("pair {} is missing", pairs.len())));
        }
        pairs.push(Known::try_from(bytes::read::<KnownBytes>(pair.value())?)?);
    }
    let conversations = usize::try_from(transaction.open_table(tables.entries())?.len()?).map_err(|_| Unreadable)?;
    Ok(Some(Image { kept, plan, pairs, conversations }))
}

fn read_entries(
    database: &Database,
    tables: &Tables,
    mut each: impl FnMut(ConversationId, Entry),
) -> Result<(), Failure> {
    let transaction = database.begin_read()?;
    let entries = match transaction.open_table(tables.entries()) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        entries => entries?,
    };
    let pairs = transaction.open_table(tables.pairs())?.len()?;
    for row in entries.iter()? {
        let (id, entry) = row?;
        let entry = Entry::try_from(bytes::read::<EntryBytes>(entry.value())?)?;
        if u64::from(entry.pair.0) >= pairs {
            return Err(Failure::Corrupt(format!("pair {} is missing", entry.pair.0)));
        }
        each(ConversationId::from(id.value()), entry);
    }
    Ok(())
}

fn write(transaction: &WriteTransaction, tables: &Tables, changes: &Changes<'_>, state: &[u8]) -> Result<(), Failure> {
    let mut entries = transaction.open_table(tables.entries())?;
    let mut room = SpellingRoom::default();
    for id in changes.gone {
        entries.remove(id.spell(&mut room))?;
    }
    for (id, entry) in &changes.entries {
        entries.insert(id.spell(&mut room), bytes::write(&EntryBytes::from(*entry)).as_slice())?;
    }
    let mut pairs = transaction.open_table(tables.pairs())?;
    for (id, pair) in &changes.pairs {
        pairs.insert(id.0, bytes::write(&KnownBytes::from(*pair)).as_slice())?;
    }
    transaction.open_table(tables.state())?.insert(STATE_KEY, state)?;
    Ok(())
}
