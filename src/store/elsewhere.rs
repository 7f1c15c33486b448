//! The checkpoint on a disk that is made by a test, so that it can fail and lose power at any write.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

use super::disk::Again;
use super::{Image, Store, StoreError, builder, inscribe};

impl Store {
    /// Makes a checkpoint on an empty disk.
    pub(crate) fn make_on(disk: impl StorageBackend) -> Result<(), StoreError> {
        let made = builder().create_with_backend(disk).map_err(Into::into).and_then(|database| inscribe(&database));
        made.map_err(|failure| failure.of(Path::new("disk")))
    }

    /// Opens the checkpoint on a disk, as [`Store::open`] opens that in a file; each opening asks for the disk anew.
    pub(crate) fn open_on<B: StorageBackend>(
        disk: impl Fn() -> B + Send + 'static,
        account: &str,
    ) -> Result<(Self, Option<Image>), StoreError> {
        let again = Again(Box::new(move || Ok(builder().create_with_backend(disk())?)));
        let path = Path::new("disk");
        let database = (again.0)().map_err(|failure| failure.of(path))?;
        Self::over(database, path, account, again)
    }
}

/// A disk in memory, which outlives whoever has it open, as a file outlives a process that is killed. It refuses writes for
/// as long as it is told to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    bytes: Arc<Mutex<Vec<u8>>>,
    full: Arc<AtomicBool>,
}

impl Memory {
    /// Whether writes are refused from now on.
    pub(crate) fn fill(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    fn is_writable(&self) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (bytes, from) = (self.bytes.lock().unwrap(), offset as usize);
        let read = bytes.get(from..from + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(read);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.is_writable()?;
        self.bytes.lock().unwrap().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.is_writable()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.is_writable()?;
        self.bytes.lock().unwrap()[offset as usize..offset as usize + data.len()].copy_from_slice(data);
        Ok(())
    }
}
