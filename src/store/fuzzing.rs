//! What holds for all bytes that may stand in a checkpoint, or in its place.

use std::panic;
use std::sync::{Arc, LazyLock};

use super::bytes::PushBytes;
use super::*;
use crate::domain::conversation::{Conversation, Origin, Reason, State};
use crate::domain::distribution::Layout;
use crate::domain::ledger::{Ledger, LedgerSettings, Walked};
use crate::domain::plan::{Plan, PlanSettings};
use crate::domain::reading::{Page, Row};
use crate::domain::time::{Range, UnixMillis};

const NOW: i64 = 1_700_000_000;
const PLAN: PlanSettings =
    PlanSettings { interval: 60, overlap: 600, horizon: 86_400, sweep_interval: 3600, initial_lookback: 3600 };

/// A value is refused, or what was read of it is what is written and read again, and the exporter can go on with it.
/// The first byte says what kind of value the rest is.
pub fn values(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind {
        3 => {
            return again(
                bytes,
                |bytes| bytes::read::<PushBytes>(bytes)?.parts(),
                |(until, answered, tallies)| bytes::write(&PushBytes::new(*until, *answered, tallies.as_ref())),
            );
        }
        _ if kind % 3 == 0 => again(
            bytes,
            |bytes| Entry::try_from(bytes::read::<EntryBytes>(bytes)?),
            |entry| bytes::write(&EntryBytes::from(entry)),
        ),
        _ if kind % 3 == 1 => again(
            bytes,
            |bytes| Known::try_from(bytes::read::<KnownBytes>(bytes)?),
            |known| bytes::write(&KnownBytes::from(known)),
        ),
        _ => again(
            bytes,
            |bytes| bytes::read::<StateBytes>(bytes)?.parts(),
            |(kept, plan)| bytes::write(&StateBytes::new(kept, plan)),
        ),
    }
    go_on_with(*kind, bytes);
}

fn again<T>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<T, Unreadable>, write: impl Fn(&T) -> Vec<u8>) {
    // One number can be written in several ways, so the first bytes may be others than those that are written.
    let Ok(value) = read(bytes) else { return };
    let written = write(&value);
    let Ok(value) = read(&written) else { panic!("what was written cannot be read: {written:?}") };
    assert_eq!(write(&value), written, "what was read is not what was written");
}

fn go_on_with(kind: u8, bytes: &[u8]) {
    let (ledger, plan) = world();
    let (mut kept, mut plan) = (ledger.changes().kept, plan.kept());
    let (mut pairs, mut entries) = (Vec::new(), Vec::new());
    match kind % 3 {
        0 => {
            pairs.extend(ledger.changes().pairs.iter().map(|(_, pair)| (*pair).clone()));
            let entry = bytes::read::<EntryBytes>(bytes).and_then(Entry::try_from);
            entries.extend(entry.map(|entry| (ConversationId::from("id"), entry)));
        }
        1 => pairs.extend(bytes::read::<KnownBytes>(bytes).and_then(Known::try_from)),
        _ => match bytes::read::<StateBytes>(bytes).and_then(StateBytes::parts) {
            Ok(parts) => (kept, plan) = parts,
            Err(Unreadable) => return,
        },
    }
    let conversations = entries.len();
    go_on(Image { kept, plan, pairs, conversations }, entries);
}

/// The exporter starts with what was read, and shows it.
fn go_on(image: Image, entries: Vec<(ConversationId, Entry)>) {
    let mut ledger = Ledger::restore(settings(), image.kept, image.pairs, image.conversations);
    entries.into_iter().for_each(|(id, entry)| ledger.take_back(id, entry, at(NOW)));
    ledger.forget_pairs(at(NOW), |_| false);
    ledger.show(at(NOW));
    let stretches = ledger.due_stretches(NOW - PLAN.horizon, 50);
    assert!(stretches.iter().all(|stretch| stretch.range.start <= stretch.range.end));
    if let Some(mut plan) = Plan::restore(PLAN, image.plan) {
        plan.catch_up(at(NOW));
        plan.sweep(at(NOW));
    }
}

/// A file is opened, or refused by name and left as it is. The first byte says what the rest is: the file itself, or
/// what happened to a good one that was closed (1) or left by a process that was killed (2), four bytes for each byte
/// that became another; an odd byte at the end cuts the file.
pub fn checkpoint(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let content = match kind % 3 {
        0 => bytes.to_vec(),
        1 => changed(&GOOD.closed, bytes),
        _ => changed(&GOOD.killed, bytes),
    };
    let folder = Folder::new();
    let path = folder.0.join("state.db");
    fs::write(&path, &content).expect("the temporary folder can be written to");
    match Store::open(&path, "default") {
        Ok((store, image)) => {
            let mut entries = Vec::new();
            let read = store.conversations(|id, entry| entries.push((id, entry)));
            if let Err(error) = store.outbox().read() {
                assert!(error.to_string().contains("state.db"), "{error}");
            }
            drop(store);
            match (read, image) {
                (Ok(()), Some(image)) => go_on(image, entries),
                (Ok(()), None) => assert!(entries.is_empty()),
                (Err(error), _) => assert!(error.to_string().contains("state.db"), "{error}"),
            }
        }
        Err(error) => {
            assert!(error.to_string().contains("state.db"), "{error}");
            assert!(fs::read(&path).expect("it is still there") == content, "{error}, and the file was changed");
        }
    }
    assert_eq!(fs::read_dir(&folder.0).expect("a folder").count(), 1, "nothing else is left there");
}

fn changed(file: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let (changes, rest) = changes.as_chunks::<4>();
    for [low, middle, high, value] in changes {
        let at = u32::from_le_bytes([*low, *middle, *high, 0]) as usize % file.len();
        file[at] = *value;
    }
    if let [cut, ..] = rest {
        file.truncate(file.len() * usize::from(*cut) / 256);
    }
    file
}

/// The bytes of good files.
struct Good {
    closed: Vec<u8>,
    killed: Vec<u8>,
}

static GOOD: LazyLock<Good> = LazyLock::new(|| {
    // A fuzzer makes every panic the end of the process, also one that is caught.
    if cfg!(fuzzing) {
        drop(panic::take_hook());
    }
    let folder = Folder::new();
    let path = folder.0.join("state.db");
    let (ledger, plan) = world();
    let (mut store, _) = Store::open(&path, "default").expect("a new file");
    let changes = ledger.changes();
    store.commit(&changes, &plan.kept()).expect("committed");
    let pairs: Vec<_> = changes.pairs.iter().filter_map(|(_, known)| known.live().cloned()).collect();
    let export = outbox::Export {
        until: Some(at(NOW)),
        tallies: Some(ledger.tallies()),
        pairs: &pairs,
        gone: &[],
        requests: &[b"request".to_vec()],
    };
    store.outbox().put(&export).expect("kept");
    let killed = fs::read(&path).expect("readable");
    drop(store);
    Good { closed: fs::read(&path).expect("readable"), killed }
});

fn at(second: i64) -> UnixMillis {
    UnixMillis::from_seconds(second)
}

fn settings() -> LedgerSettings {
    let layout = Arc::new(Layout::new([5_000, 300_000], 3));
    LedgerSettings {
        reply: Arc::clone(&layout),
        duration: layout,
        reply_target: 300_000,
        excluded_origins: Vec::new(),
        recent_window: 3_600_000,
        max_label_sets: 4,
        stale_after: 900_000,
        count_initial: true,
    }
}

/// A little of everything.
fn world() -> (Ledger, Plan) {
    let mut ledger = Ledger::new(settings(), at(NOW), at(NOW - 600));
    let mut plan = Plan::new(PLAN, NOW - 600);
    let conversation = |number: u32| {
        let ended = number.is_multiple_of(2);
        Row::Conversation(Conversation {
            id: format!("id-{number}").as_str().into(),
            start: at(NOW - 300 + i64::from(number)),
            end: ended.then(|| at(NOW)),
            state: if ended { State::Closed } else { State::Active },
            reason: if ended { Reason::ClosedByOperator } else { Reason::None },
            origin: Origin::Ticket,
            bot: "bot".into(),
            team: format!("team {}", number % 5).into(),
            company: Some("7".into()),
            reply: number.is_multiple_of(3).then_some(u64::from(number) * 30_000),
            stated_duration: None,
        })
    };
    let range = Range::new(NOW - 600, NOW);
    let clocks = crate::domain::plan::Clocks { now: at(NOW), offset: Some(0) };
    ledger.begin_poll();
    let pages =
        vec![Page { rows: (0..40).map(conversation).collect(), total: None, sent_at: at(NOW), server_date: None }];
    ledger.fold(&Walked { range, narrow: false, complete: true, pages }).expect("one company");
    plan.newest_read(&[range], clocks, true);
    ledger.draw_zero_line(at(NOW));
    ledger.end_poll();
    (ledger, plan)
}

/// A folder that goes away with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("jelou-exporter-{}", Uuid::new_v4()));
        fs::create_dir(&path).expect("the temporary folder can be written to");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in the temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}
