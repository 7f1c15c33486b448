//! The checkpoint on a real file.

use std::sync::Arc;

use super::*;
use crate::domain::conversation::{Conversation, Origin, Reason, State};
use crate::domain::distribution::Layout;
use crate::domain::ledger::{Ledger, LedgerSettings, Walked};
use crate::domain::plan::{Clocks, Plan, PlanSettings};
use crate::domain::reading::{Page, Row};
use crate::domain::time::UnixMillis;

const NOW: i64 = 1_700_000_000;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("jelou-exporter-{}", Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("state.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in the temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
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
        count_initial: false,
    }
}

const PLAN: PlanSettings =
    PlanSettings { interval: 60, overlap: 600, horizon: 86_400, sweep_interval: 3600, initial_lookback: 3600 };

fn at(second: i64) -> UnixMillis {
    UnixMillis::from_seconds(second)
}

fn counting() -> (Ledger, Plan) {
    let mut ledger = Ledger::new(settings(), at(NOW), at(NOW - 600));
    ledger.draw_zero_line(at(NOW));
    ledger.show(at(NOW));
    (ledger, Plan::new(PLAN, NOW - 600))
}

fn conversation(number: usize, team: &str, reply: Option<u64>) -> Conversation {
    let ended = number.is_multiple_of(2);
    Conversation {
        id: format!("id-{number}").as_str().into(),
        start: at(NOW - 300 + number as i64),
        end: ended.then(|| at(NOW)),
        state: if ended { State::Closed } else { State::Active },
        reason: if ended { Reason::ClosedByOperator } else { Reason::None },
        origin: Origin::Ticket,
        bot: "bot".into(),
        team: team.into(),
        company: Some("7".into()),
        reply,
        stated_duration: None,
    }
}

fn poll(ledger: &mut Ledger, plan: &mut Plan, now: i64, readings: Vec<Conversation>) {
    ledger.begin_poll();
    let clocks = Clocks { now: at(now), offset: Some(0) };
    let newest = plan.newest(clocks, true);
    let range = newest[0];
    let rows = readings.into_iter().map(Row::Conversation).collect();
    let pages = vec![Page { rows, total: None, sent_at: at(now), server_date: None }];
    ledger.fold(&Walked { range, narrow: false, complete: true, pages }).unwrap();
    plan.newest_read(&newest, clocks, true);
    ledger.succeed(at(now));
    ledger.end_poll();
}

fn commit(store: &mut Store, ledger: &mut Ledger, plan: &Plan) {
    store.commit(&ledger.changes(), &plan.kept()).unwrap();
    ledger.committed();
}

fn reopened(folder: &Folder) -> (Store, Ledger, Plan) {
    let (store, image) = Store::open(&folder.file(), "default").unwrap();
    let image = image.expect("something was kept");
    let plan = Plan::restore(PLAN, image.plan).unwrap();
    let mut ledger = Ledger::restore(settings(), image.kept, image.pairs, image.conversations);
    store.conversations(|id, entry| ledger.take_back(id, entry, at(NOW))).unwrap();
    (store, ledger, plan)
}

/// Everything that a ledger shows but the facts of the moment.
fn shown(ledger: &mut Ledger) -> String {
    let conversations = ledger.show(at(NOW + 1000)).unwrap();
    format!("{:#?} {:#?}", conversations.pairs, ledger.tallies())
}

#[test]
fn what_was_committed_comes_back_and_is_counted_once() {
    let folder = Folder::new();
    let (mut ledger, mut plan) = counting();
    let (mut store, image) = Store::open(&folder.file(), "default").unwrap();
    assert!(image.is_none());
    let readings: Vec<_> = (0..20)
        .map(|n| conversation(n, ["a", "b", "c", "d"][n % 4], (n.is_multiple_of(3)).then_some(n as u64 * 30_000)))
        .collect();
    poll(&mut ledger, &mut plan, NOW + 10, readings.clone());
    commit(&mut store, &mut ledger, &plan);
    let before = shown(&mut ledger);
    drop(store);

    let (mut store, mut ledger, mut plan) = reopened(&folder);
    assert_eq!(shown(&mut ledger), before);
    assert_eq!((ledger.len(), ledger.unsettled(), plan.complete_until()), (20, 20, at(NOW + 10)));
    // Reading the same again (too soon for the clock to decide anything) moves nothing, and what is new is counted on top.
    poll(&mut ledger, &mut plan, NOW + 20, readings);
    assert_eq!(shown(&mut ledger), before);
    assert_eq!(ledger.unsettled(), 10);
    poll(&mut ledger, &mut plan, NOW + 30, vec![conversation(1, "a", Some(1))]);
    commit(&mut store, &mut ledger, &plan);
    let before = shown(&mut ledger);
    drop(store);
    assert_eq!(shown(&mut reopened(&folder).1), before);
}

#[test]
fn what_was_not_committed_never_happened() {
    let folder = Folder::new();
    let (mut ledger, mut plan) = counting();
    let (mut store, _) = Store::open(&folder.file(), "default").unwrap();
    poll(&mut ledger, &mut plan, NOW + 60, vec![conversation(1, "a", None)]);
    commit(&mut store, &mut ledger, &plan);
    poll(&mut ledger, &mut plan, NOW + 120, vec![conversation(3, "a", None)]);
    drop(store);
    let (_, ledger, plan) = reopened(&folder);
    assert_eq!((ledger.len(), plan.complete_until()), (1, at(NOW + 60)));
}

#[test]
fn what_is_forgotten_is_gone_and_the_floor_stays() {
    let folder = Folder::new();
    let (mut ledger, mut plan) = counting();
    let (mut store, _) = Store::open(&folder.file(), "default").unwrap();
    poll(&mut ledger, &mut plan, NOW + 60, vec![conversation(1, "a", None), conversation(2, "a", None)]);
    commit(&mut store, &mut ledger, &plan);
    let forgotten = ledger.forget_before(NOW + 61);
    plan.raise_floor(forgotten.floor.unwrap());
    commit(&mut store, &mut ledger, &plan);
    drop(store);
    let (_, ledger, plan) = reopened(&folder);
    assert_eq!((ledger.len(), ledger.tallies().aged_out, plan.oldest(at(0))), (0, 2, NOW + 61));
}

#[test]
fn account_keeps_its_own_state_and_the_instance_is_the_file_s() {
    let folder = Folder::new();
    let (mut ledger, mut plan) = counting();
    let (mut store, _) = Store::open(&folder.file(), "default").unwrap();
    poll(&mut ledger, &mut plan, NOW + 60, vec![conversation(1, "a", None)]);
    commit(&mut store, &mut ledger, &plan);
    let instance = store.instance_id().to_owned();
    drop(store);
    let (store, image) = Store::open(&folder.file(), "another").unwrap();
    assert!(image.is_none());
    assert_eq!(store.instance_id(), instance);
    drop(store);
    assert_eq!(reopened(&folder).1.len(), 1);
}

#[test]
fn one_process_a_file() {
    let folder = Folder::new();
    let (_store, _) = Store::open(&folder.file(), "default").unwrap();
    let error = Store::open(&folder.file(), "default").unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
}

#[test]
fn a_look_alters_nothing_and_keeps_nobody_out() {
    let folder = Folder::new();
    let (mut ledger, mut plan) = counting();
    let (mut store, _) = Store::open(&folder.file(), "default").unwrap();
    poll(&mut ledger, &mut plan, NOW + 60, vec![conversation(1, "a", None)]);
    commit(&mut store, &mut ledger, &plan);
    let seen = |account| look(&folder.file(), account).unwrap();
    assert_eq!(seen("default"), Seen::InUse);
    poll(&mut ledger, &mut plan, NOW + 120, vec![conversation(3, "a", None)]);
    commit(&mut store, &mut ledger, &plan);
    drop(store);

    let before = fs::read(folder.file()).unwrap();
    assert_eq!((seen("default"), seen("other")), (Seen::State, Seen::OtherAccounts));
    set_schema(&folder, SCHEMA - 1);
    let older = fs::read(folder.file()).unwrap();
    assert_eq!(seen("default"), Seen::State);
    assert_eq!(fs::read(folder.file()).unwrap(), older, "it is not brought up to date");
    for bytes in [&b""[..], b"some text", &before[..before.len() / 2]] {
        fs::write(folder.file(), bytes).unwrap();
        let error = look(&folder.file(), "default").unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert_eq!(fs::read(folder.file()).unwrap(), bytes);
    }
}

/// As another version leaves the file.
fn set_schema(folder: &Folder, schema: u32) {
    let database = Database::open(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(ABOUT).unwrap().insert(SCHEMA_KEY, bytes::write(&schema).as_slice()).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_newer_file_is_refused_by_name() {
    let folder = Folder::new();
    drop(Store::open(&folder.file(), "default").unwrap());
    set_schema(&folder, 9);
    let error = Store::open(&folder.file(), "default").unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9, .. }), "{error}");
    let error = look(&folder.file(), "default").unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9, .. }), "{error}");
    assert!(error.to_string().contains("state.db"));
}

#[test]
fn a_damaged_file_is_refused_by_name_and_left_as_it_is() {
    let folder = Folder::new();
    drop(Store::open(&folder.file(), "default").unwrap());
    let whole = fs::read(folder.file()).unwrap();
    let torn: [&[u8]; 4] = [b"", b"something else entirely, of some length", &whole[..whole.len() / 2], &[0; 8192]];
    for bytes in torn {
        fs::write(folder.file(), bytes).unwrap();
        let error = Store::open(&folder.file(), "default").unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{} bytes: {error}", bytes.len());
        assert!(error.to_string().contains("state.db") && error.to_string().contains("move it away"));
        assert_eq!(fs::read(folder.file()).unwrap(), bytes);
    }
}

#[test]
fn a_file_in_which_one_byte_has_changed_is_refused_and_left_as_it_is() {
    let folder = Folder::new();
    let (mut ledger, mut plan) = counting();
    let (mut store, _) = Store::open(&folder.file(), "default").unwrap();
    poll(&mut ledger, &mut plan, NOW + 60, vec![conversation(1, "a team by this name", None)]);
    commit(&mut store, &mut ledger, &plan);
    drop(store);
    let good = fs::read(folder.file()).unwrap();
    let name = good.windows(19).position(|bytes| bytes == b"a team by this name").unwrap();
    let mut changed = good.clone();
    changed[name] = b'A';
    fs::write(folder.file(), &changed).unwrap();
    let error = Store::open(&folder.file(), "default").unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(fs::read(folder.file()).unwrap() == changed, "{error}, and it was changed");
    fs::write(folder.file(), &good).unwrap();
    assert_eq!(reopened(&folder).1.len(), 1);
}

#[test]
fn another_program_s_database_is_refused() {
    let folder = Folder::new();
    drop(Database::create(folder.file()).unwrap());
    let error = Store::open(&folder.file(), "default").unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
}

#[test]
fn bytes_that_no_version_wrote_are_refused() {
    assert!(bytes::read::<EntryBytes>(&[1, 2, 3]).is_err());
    let (mut ledger, mut plan) = counting();
    poll(&mut ledger, &mut plan, NOW + 60, vec![conversation(1, "a", None)]);
    let changes = ledger.changes();
    let written = bytes::write(&EntryBytes::from(changes.entries[0].1));
    assert_eq!(Entry::try_from(bytes::read::<EntryBytes>(&written).unwrap()).unwrap(), *changes.entries[0].1);
    for cut in 0..written.len() {
        assert!(bytes::read::<EntryBytes>(&written[..cut]).is_err());
    }
    let longer = [&written[..], &[0]].concat();
    assert!(bytes::read::<EntryBytes>(&longer).is_err());
}

#[test]
fn a_crash_while_the_file_is_made_leaves_none() {
    let folder = Folder::new();
    let mut unfinished = folder.file().into_os_string();
    unfinished.push(format!(".new-{}", std::process::id()));
    fs::write(&unfinished, b"half of it").unwrap();
    assert!(Store::open(&folder.file(), "default").unwrap().1.is_none());
    assert!(!fs::exists(&unfinished).unwrap());
}

#[test]
fn a_failed_commit_loses_nothing() {
    let folder = Folder::new();
    let (mut ledger, mut plan) = counting();
    let (mut store, _) = Store::open(&folder.file(), "default").unwrap();
    poll(&mut ledger, &mut plan, NOW + 60, vec![conversation(1, "a", None)]);
    // The file is gone for a while, as a volume may be.
    store.disk.lock().database = None;
    let away = folder.0.join("away");
    fs::rename(folder.file(), &away).unwrap();
    store.commit(&ledger.changes(), &plan.kept()).unwrap_err();
    fs::rename(&away, folder.file()).unwrap();
    poll(&mut ledger, &mut plan, NOW + 120, vec![conversation(3, "a", None)]);
    commit(&mut store, &mut ledger, &plan);
    drop(store);
    assert_eq!(reopened(&folder).1.len(), 2);
}

#[test]
fn bounds_of_a_changed_configuration_stay_exact() {
    let folder = Folder::new();
    let (mut ledger, mut plan) = counting();
    let (mut store, _) = Store::open(&folder.file(), "default").unwrap();
    poll(&mut ledger, &mut plan, NOW + 60, vec![conversation(1, "a", Some(4_000)), conversation(3, "a", Some(70_000))]);
    commit(&mut store, &mut ledger, &plan);
    drop(store);
    let image = Store::open(&folder.file(), "default").unwrap().1.unwrap();
    let changed =
        LedgerSettings { reply: Arc::new(Layout::new([60_000, 300_000], 3)), max_label_sets: 2, ..settings() };
    let mut ledger = Ledger::restore(changed, image.kept, image.pairs, 0);
    let pair = Arc::clone(&ledger.show(at(NOW)).unwrap().pairs[0]);
    assert_eq!(pair.reply.buckets().collect::<Vec<_>>(), [(60_000, 1), (300_000, 2)]);
    assert_eq!(pair.reply.layout().counted(), [5_000, 60_000, 300_000]);
}

#[test]
fn one_process_a_file_even_after_a_failed_commit() {
    let folder = Folder::new();
    let (mut ledger, mut plan) = counting();
    let (mut store, _) = Store::open(&folder.file(), "default").unwrap();
    poll(&mut ledger, &mut plan, NOW + 60, vec![conversation(1, "a", None)]);
    commit(&mut store, &mut ledger, &plan);
    // A failed commit leaves the file closed, and another process takes it over for a while.
    store.disk.lock().database = None;
    let (mut other, mut others, mut others_plan) = reopened(&folder);
    poll(&mut others, &mut others_plan, NOW + 120, vec![conversation(1, "a", None), conversation(3, "a", None)]);
    commit(&mut other, &mut others, &others_plan);
    drop(other);
    poll(&mut ledger, &mut plan, NOW + 180, vec![conversation(5, "a", None)]);
    let error = store.commit(&ledger.changes(), &plan.kept()).unwrap_err();
    assert!(matches!(error, StoreError::Changed { .. }), "{error}");
    assert_eq!(shown(&mut reopened(&folder).1), shown(&mut others));
}

#[test]
fn a_file_that_another_version_took_over_after_a_failed_commit_is_left_to_it() {
    let folder = Folder::new();
    let (mut ledger, mut plan) = counting();
    let (mut store, _) = Store::open(&folder.file(), "default").unwrap();
    poll(&mut ledger, &mut plan, NOW + 60, vec![conversation(1, "a", None)]);
    commit(&mut store, &mut ledger, &plan);
    let mut refused = |schema| {
        store.disk.lock().database = None;
        set_schema(&folder, schema);
        store.commit(&ledger.changes(), &plan.kept()).unwrap_err()
    };
    let error = refused(SCHEMA + 1);
    assert!(matches!(error, StoreError::Newer { found, .. } if found == SCHEMA + 1), "{error}");
    let error = refused(SCHEMA - 1);
    assert!(matches!(error, StoreError::Changed { .. }), "{error}");
    set_schema(&folder, SCHEMA);
    commit(&mut store, &mut ledger, &plan);
}

#[test]
fn a_schema_of_buckets_that_no_version_knew_is_refused() {
    let (mut ledger, mut plan) = counting();
    poll(&mut ledger, &mut plan, NOW + 60, vec![conversation(1, "a", Some(4_000))]);
    let changes = ledger.changes();
    let KnownBytes::Live { mut counts, last_event } = KnownBytes::from(changes.pairs[0].1) else { panic!("no pair") };
    counts.reply.schema = 100;
    assert!(Known::try_from(KnownBytes::Live { counts, last_event }).is_err());
}

/// At starts, which are when the rule acts.
#[test]
fn forgetting_pairs_lasts_until_something_is_counted_in_them() {
    let folder = Folder::new();
    let (mut ledger, mut plan) = counting();
    let (mut store, _) = Store::open(&folder.file(), "default").unwrap();
    // Settled by the second poll, so that the pair is in use no longer.
    for second in [60, 120] {
        poll(
            &mut ledger,
            &mut plan,
            NOW + second,
            vec![conversation(2, "silent", Some(1)), conversation(4, "busy", None)],
        );
    }
    let silent_since = at(NOW + 3_000);
    poll(&mut ledger, &mut plan, NOW + 3_600, vec![conversation(6, "busy", None)]);
    commit(&mut store, &mut ledger, &plan);
    drop(store);
    let teams = |ledger: &mut Ledger, now| -> Vec<(String, i64)> {
        let shown = ledger.show(at(now)).unwrap().pairs;
        shown.iter().map(|pair| (pair.labels.team.to_string(), pair.start.seconds() - NOW)).collect()
    };

    let (mut store, mut ledger, plan) = reopened(&folder);
    assert_eq!(ledger.forget_pairs(silent_since, |pair| &*pair.labels.team == "silent"), 0, "it is still to be told");
    assert_eq!(ledger.forget_pairs(silent_since, |_| false), 1);
    assert_eq!(teams(&mut ledger, NOW + 3_700), [("busy".into(), 0)]);
    commit(&mut store, &mut ledger, &plan);
    drop(store);

    let (mut store, mut ledger, mut plan) = reopened(&folder);
    // A sweep reads the settled conversation again: nothing is counted, and nothing was amended.
    poll(&mut ledger, &mut plan, NOW + 3_800, vec![conversation(2, "silent", Some(1))]);
    assert_eq!((teams(&mut ledger, NOW + 3_800), ledger.label_sets()), (vec![("busy".into(), 0)], 1));
    assert_eq!(ledger.tallies().amendments.iter().map(|(_, count)| count).sum::<u64>(), 0);
    // A new one begins it anew: from zero, since the last publication without it.
    poll(&mut ledger, &mut plan, NOW + 3_900, vec![conversation(8, "silent", Some(2))]);
    assert_eq!(teams(&mut ledger, NOW + 3_900), [("busy".into(), 0), ("silent".into(), 3_800)]);
    commit(&mut store, &mut ledger, &plan);
    drop(store);

    let (_, mut ledger, _) = reopened(&folder);
    let shown = ledger.show(at(NOW + 4_000)).unwrap().pairs;
    let reborn = shown.iter().find(|pair| &*pair.labels.team == "silent").unwrap();
    assert_eq!((reborn.reply.count(), reborn.reply.sum_millis()), (1, 2));
    assert_eq!(reborn.started.iter().map(|(_, counter)| counter.value).sum::<u64>(), 1);
}
