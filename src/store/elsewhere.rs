//! The checkpoint on a disk that is made by a test, so that it can fail and lose power at any write.

use std::path::Path;

use redb::StorageBackend;

use super::{Again, Image, Store, StoreError, builder, inscribe};

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
