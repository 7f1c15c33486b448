//! A disk made of values: it forgets what was not synced when its power is cut, at any write or sync one likes.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;
use redb::StorageBackend;

use super::history::one_of;

/// Sectors are written whole or not at all.
const SECTOR: usize = 512;

/// How a process came to its end, as far as the disk is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    /// The process was killed: what it wrote is there.
    Kill,
    /// The power was cut: of what was not synced, some sectors are there and some are not.
    PowerCut,
}

/// When the disk fails by itself; counted are writes, changes of length and syncs, since the process began.
#[derive(Clone, Debug, Default)]
pub(super) struct Trouble {
    /// The process dies in this operation.
    pub(super) death_at: Option<(u64, Death)>,
    /// These operations fail, and the process lives on.
    pub(super) refused: Range<u64>,
}

/// What is told of what the disk does.
pub(super) trait Witness: Send + Sync {
    /// An operation begins.
    fn disk_is_used(&self);
    /// The process has died in the middle of one.
    fn died_on_disk(&self);
}

#[derive(Clone)]
pub(super) struct Disk(Arc<Mutex<State>>);

struct State {
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// What a process reads.
    cached: Vec<u8>,
    unsynced: Vec<Change>,
    /// Whose operations are served: those of the process that lives.
    life: u64,
    operations: u64,
    trouble: Trouble,
    rng: Rng,
    witness: Option<Arc<dyn Witness>>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            durable: Vec::new(),
            cached: Vec::new(),
            unsynced: Vec::new(),
            life: 0,
            operations: 0,
            trouble: Trouble::default(),
            rng: Rng::with_seed(seed),
            witness: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// A new process begins, with this trouble ahead of it.
    pub(super) fn begin_life(&self, trouble: Trouble, witness: Option<Arc<dyn Witness>>) {
        let mut state = self.state();
        state.life += 1;
        state.operations = 0;
        state.trouble = trouble;
        state.witness = witness;
    }

    /// The process is gone, whatever it may still try.
    pub(super) fn die(&self, death: Death) {
        self.state().die(death);
    }

    /// Writes, changes of length and syncs of this life so far.
    pub(super) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The disk as the living process has it open.
    pub(super) fn opened(&self) -> Open {
        Open { disk: self.clone(), life: self.state().life }
    }
}

impl State {
    fn die(&mut self, death: Death) {
        self.life += 1;
        let unsynced = std::mem::take(&mut self.unsynced);
        if death == Death::PowerCut {
            // Sometimes nothing is lost, sometimes all of it.
            let kept = one_of(&mut self.rng, &[0.0, 0.3, 0.7, 1.0]);
            for change in unsynced {
                for part in change.sectors() {
                    if self.rng.f64() < kept {
                        part.apply(&mut self.durable);
                    }
                }
            }
            self.cached.clone_from(&self.durable);
        } else {
            self.durable.clone_from(&self.cached);
        }
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Write(at, data) => {
                let end = at + data.len();
                if bytes.len() < end {
                    bytes.resize(end, 0);
                }
                bytes[*at..end].copy_from_slice(data);
            }
        }
    }

    fn sectors(self) -> Vec<Self> {
        let Self::Write(mut at, data) = self else { return vec![self] };
        let mut rest = data.as_slice();
        let mut sectors = Vec::new();
        while !rest.is_empty() {
            let (sector, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
            sectors.push(Self::Write(at, sector.to_vec()));
            at += sector.len();
            rest = after;
        }
        sectors
    }
}

/// The disk, opened by one process.
pub(super) struct Open {
    disk: Disk,
    life: u64,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "disk opened in life {}", self.life)
    }
}

fn gone() -> io::Error {
    io::Error::other("this process is dead")
}

impl Open {
    /// The same process opens it once more.
    pub(super) fn again(&self) -> Self {
        Self { disk: self.disk.clone(), life: self.life }
    }

    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.life == self.life { Ok(state) } else { Err(gone()) }
    }

    fn operate(&self, operation: impl FnOnce(&mut State)) -> io::Result<()> {
        let witness = self.state()?.witness.clone();
        if let Some(witness) = &witness {
            witness.disk_is_used();
        }
        let mut state = self.state()?;
        state.operations += 1;
        let number = state.operations;
        if state.trouble.refused.contains(&number) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        let death = state.trouble.death_at.filter(|(at, _)| *at == number);
        // The last operation may be the last of a commit: sometimes it is done, and nobody hears of it.
        if death.is_none() || state.rng.bool() {
            operation(&mut state);
        }
        if let Some((_, death)) = death {
            state.die(death);
            drop(state);
            if let Some(witness) = &witness {
                witness.died_on_disk();
            }
            return Err(gone());
        }
        Ok(())
    }
}

impl StorageBackend for Open {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state()?;
        let start = usize::try_from(offset).unwrap();
        let read = state.cached.get(start..start + out.len());
        out.copy_from_slice(read.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.operate(|state| {
            let change = Change::Length(usize::try_from(len).unwrap());
            change.apply(&mut state.cached);
            state.unsynced.push(change);
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.operate(|state| {
            for change in std::mem::take(&mut state.unsynced) {
                change.apply(&mut state.durable);
            }
        })
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.operate(|state| {
            let change = Change::Write(usize::try_from(offset).unwrap(), data.to_vec());
            change.apply(&mut state.cached);
            state.unsynced.push(change);
        })
    }
}
