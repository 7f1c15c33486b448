//! The file's lock, which says that an exporter is at work on it.

use std::fs::{File, TryLockError};
use std::time::Duration;

use super::Failure;

/// How long to wait before the lock is tried once more.
pub(super) const PAUSE: Duration = Duration::from_millis(10);
/// So often. A look at the file (`check-config`) has the lock for an instant, and must not keep an exporter from starting;
/// one that is at work has it for longer than this.
const TRIES: usize = 11;

/// Locks the file as the database does, which locks it once more. Where there are no locks, that is for the database to judge.
pub(super) fn take(file: &File, mut pause: impl FnMut()) -> Result<(), Failure> {
    for attempt in 1..=TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if attempt < TRIES => pause(),
            Err(TryLockError::WouldBlock) => return Err(Failure::Locked),
            _ => break,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use uuid::Uuid;

    #[test]
    fn whoever_only_looks_keeps_nobody_from_starting() {
        let path = std::env::temp_dir().join(format!("jelou-exporter-lock-{}", Uuid::new_v4()));
        let (mine, other) = (File::create(&path).unwrap(), File::open(&path).unwrap());
        other.lock_shared().unwrap();
        let mut pauses = 0;
        let taken = take(&mine, || {
            pauses += 1;
            if pauses == 3 {
                other.unlock().unwrap();
            }
        });
        assert!(taken.is_ok() && pauses == 3);
        assert!(matches!(other.try_lock_shared(), Err(TryLockError::WouldBlock)), "it is locked");

        // Who is at work does not let go.
        mine.unlock().unwrap();
        other.lock().unwrap();
        let mut pauses = 0;
        assert!(matches!(take(&mine, || pauses += 1), Err(Failure::Locked)));
        assert_eq!(pauses, TRIES - 1);
        fs::remove_file(&path).unwrap();
    }
}
