//! A file opened on trial: what the database writes while it opens, repairs and checks it stays in memory, so that a file
//! that is refused in the end is left as it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// What is written is kept in blocks of so many bytes.
const BLOCK: u64 = 4096;

/// A file that is only read.
#[derive(Debug)]
pub(super) struct Trial(Mutex<Held>);

#[derive(Debug)]
struct Held {
    file: File,
    /// So many of the file's first bytes still count.
    of_file: u64,
    len: u64,
    /// Blocks that were written, by number.
    written: BTreeMap<u64, Box<[u8]>>,
}

impl Trial {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self(Mutex::new(Held { file, of_file: len, len, written: BTreeMap::new() })))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The bytes of the file, and zeros behind them.
    fn read_file(&mut self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = self.of_file.saturating_sub(offset).min(out.len() as u64) as usize;
        let (of_file, beyond) = out.split_at_mut(there);
        beyond.fill(0);
        if there > 0 {
            self.file.seek(SeekFrom::Start(offset))?;
            self.file.read_exact(of_file)?;
        }
        Ok(())
    }

    fn check(&self, offset: u64, len: usize) -> io::Result<()> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.len);
        end.map(drop).ok_or_else(|| ErrorKind::UnexpectedEof.into())
    }
}

/// The parts of `len` bytes from `offset` on that lie in one block each: the block, the first byte in it, how many.
fn blocks(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let end = offset + len as u64;
    (offset / BLOCK..end.div_ceil(BLOCK)).map(move |block| {
        let (first, last) = (offset.max(block * BLOCK), end.min((block + 1) * BLOCK));
        (block, (first - block * BLOCK) as usize, (last - first) as usize)
    })
}

impl StorageBackend for Trial {
    fn len(&self) -> io::Result<u64> {
        Ok(self.held().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut held = self.held();
        held.check(offset, out.len())?;
        held.read_file(offset, out)?;
        let mut done = 0;
        for (block, first, len) in blocks(offset, out.len()) {
            if let Some(written) = held.written.get(&block) {
                out[done..done + len].copy_from_slice(&written[first..first + len]);
            }
            done += len;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut held = self.held();
        if len < held.len {
            held.of_file = held.of_file.min(len);
            held.written.split_off(&len.div_ceil(BLOCK));
            if let Some(last) = held.written.get_mut(&(len / BLOCK)) {
                last[(len % BLOCK) as usize..].fill(0);
            }
        }
        held.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut held = self.held();
        held.check(offset, data.len())?;
        let mut done = 0;
        for (block, first, len) in blocks(offset, data.len()) {
            if !held.written.contains_key(&block) {
                let mut bytes = vec![0; BLOCK as usize].into_boxed_slice();
                held.read_file(block * BLOCK, &mut bytes)?;
                held.written.insert(block, bytes);
            }
            if let Some(written) = held.written.get_mut(&block) {
                written[first..first + len].copy_from_slice(&data[done..done + len]);
            }
            done += len;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    proptest! {
        #[test]
        fn it_is_as_the_file_would_be(first in 0usize..10_000, steps in prop::collection::vec((0u64..20_000, 0usize..9_000, any::<u8>()), 0..8)) {
            let path = std::env::temp_dir().join(format!("jelou-exporter-{}", Uuid::new_v4()));
            let original: Vec<u8> = (0..first).map(|at| (at % 251) as u8).collect();
            File::create(&path).unwrap().write_all(&original).unwrap();
            let trial = Trial::new(File::open(&path).unwrap()).unwrap();
            let mut model = original.clone();
            for (offset, len, byte) in steps {
                let inside = offset as usize + len <= model.len();
                if inside {
                    model[offset as usize..offset as usize + len].fill(byte);
                }
                prop_assert_eq!(trial.write(offset, &vec![byte; len]).is_ok(), inside);
                if byte % 2 == 0 {
                    model.resize(offset as usize, 0);
                    trial.set_len(offset).unwrap();
                }
                let from = (offset as usize / 2).min(model.len());
                let mut read = vec![1; model.len() - from];
                trial.read(from as u64, &mut read).unwrap();
                prop_assert_eq!(&read, &model[from..]);
                prop_assert_eq!(trial.len().unwrap(), model.len() as u64);
                prop_assert!(trial.read(model.len() as u64, &mut [0]).is_err());
            }
            prop_assert_eq!(fs::read(&path).unwrap(), original);
            fs::remove_file(&path).unwrap();
        }
    }
}
