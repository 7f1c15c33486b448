//! The place of the checkpoint: full, read-only, taken, damaged or from the future.

use std::collections::BTreeMap;
use std::fs;

use jelou_exporter::domain::time::UnixMillis;
use jelou_exporter::simulator::story::Story;
use jelou_exporter::simulator::{Simulator, SimulatorOptions};
use redb::{Database, TableDefinition};

use crate::oracle::{compare, lifelike};
use crate::support::disk::Disk;
use crate::support::exporter::{Exporter, polling};
use crate::support::exposition::{Scrape, Series};
use crate::support::lasting::{Lasting, is_lasting};
use crate::support::program::Program;
use crate::support::receiver::Receiver;
use crate::support::scratch::Scratch;
use crate::support::world::frozen;
use crate::support::{PATIENCE, eventually, until};

/// What is shown of the conversations.
fn conversations(scrape: &Scrape) -> BTreeMap<&Series, &String> {
    scrape.series.iter().filter(|(series, _)| series.labels.contains_key("bot")).collect()
}

fn counters(scrape: &Scrape) -> BTreeMap<&Series, &String> {
    scrape.series.iter().filter(|(series, _)| is_lasting(&series.name)).collect()
}

fn failures(scrape: &Scrape) -> f64 {
    scrape.total("jelou_exporter_checkpoint_failures_total", &[])
}

/// An upstream in which conversations appear when they are put.
struct Upstream {
    simulator: Simulator,
    at: UnixMillis,
    put: i64,
}

impl Upstream {
    fn new() -> Self {
        let (simulator, at) = frozen(SimulatorOptions::scripted());
        Self { simulator, at, put: 0 }
    }

    /// So many more, within the last five minutes, in every state.
    fn put(&mut self, more: i64) {
        for number in self.put..self.put + more {
            let start = self.at - 1000 - (number * 7919) % 300_000;
            let story = Story::new(format!("{number:024x}"), start).by("Bot", ["A", "B", "C"][number as usize % 3]);
            self.simulator.put(match number % 4 {
                0 => story,
                1 => story.ended_after(700, "expired", "expired"),
                _ => story.replied_after(400).closed_after(900),
            });
        }
        self.put += more;
    }

    fn compare(&self, exporter: &Exporter) -> Result<Scrape, String> {
        compare(exporter, &self.simulator, self.at, true)
    }
}

/// Looks at every scrape while it waits.
#[track_caller]
fn scraped(exporter: &Exporter, lasting: &mut Lasting, what: &str, satisfies: impl Fn(&Scrape) -> bool) -> Scrape {
    eventually(|| {
        let scrape = exporter.scrape();
        lasting.see(&scrape);
        if satisfies(&scrape) { Ok(scrape) } else { Err(what.to_owned()) }
    })
}

/// What was committed is served, and nothing else, while further commits fail.
#[track_caller]
fn stays(exporter: &Exporter, lasting: &mut Lasting, committed: &Scrape) {
    let before = failures(&exporter.scrape());
    let scrape = scraped(exporter, lasting, "more failures", |scrape| failures(scrape) >= before + 3.0);
    assert_eq!(conversations(&scrape), conversations(committed));
    for name in ["last_success_timestamp_seconds", "size_bytes"] {
        let name = format!("jelou_exporter_checkpoint_{name}");
        assert_eq!(scrape.sum(&name, &[]), committed.sum(&name, &[]), "{name}");
    }
    assert_eq!((scrape.sum("jelou_up", &[]), exporter.get("/-/ready").status), (Some(0.0), 200));
}

/// What was committed is served as long as nothing can be, every failure is counted, the log says it once, and when there
/// is room again all of it is caught up: by itself, and exactly once.
#[test]
fn a_full_and_then_read_only_disk_is_survived() {
    let Some(disk) = Disk::mount(4096) else { return };
    let (mut upstream, receiver, mut lasting) = (Upstream::new(), Receiver::start(), Lasting::default());
    let (path, url) = (disk.state(), upstream.simulator.base_url());
    let settings = [
        ("state.path", &*path),
        ("poll.interval", "100ms"),
        ("otlp.endpoint", &receiver.endpoint),
        ("otlp.interval", "100ms"),
    ];
    let start = || Exporter::run(&mut disk.inside(&polling(&url, &settings)));
    upstream.put(100);
    let exporter = start();
    let scrape = eventually(|| upstream.compare(&exporter));
    lasting.see(&scrape);
    assert_eq!(failures(&scrape), 0.0);

    // The file has room of its own: it takes some more until a commit fails.
    disk.fill();
    eventually(|| {
        upstream.put(50);
        let scrape = exporter.scrape();
        lasting.see(&scrape);
        if failures(&scrape) > 0.0 { Ok(()) } else { Err("a commit fails".to_owned()) }
    });
    // No pages that later commits may have freed are enough for so many.
    upstream.put(1500);
    let failed = failures(&exporter.scrape());
    let full = scraped(&exporter, &mut lasting, "more failures", |scrape| failures(scrape) >= failed + 3.0);
    stays(&exporter, &mut lasting, &full);
    let said = exporter.program.stderr();
    assert!(said.contains(&path) && said.contains("No space left on device"), "{said}");

    // After a failure the file is closed until the next attempt, so that it can become read-only at last.
    eventually(|| disk.make_read_only());
    until("it is said", || exporter.program.stderr().contains("Read-only file system"));
    stays(&exporter, &mut lasting, &full);

    disk.make_writable();
    stays(&exporter, &mut lasting, &full);
    // A restart finds what was committed, though there is still no room.
    drop(exporter);
    let exporter = start();
    let scrape = exporter.scrape();
    lasting.see(&scrape);
    assert_eq!(counters(&scrape), counters(&full));
    let scrape = scraped(&exporter, &mut lasting, "failures after the restart", |scrape| failures(scrape) >= 3.0);
    assert_eq!(counters(&scrape), counters(&full));

    disk.empty();
    let recovered = eventually(|| upstream.compare(&exporter));
    lasting.see(&recovered);
    exporter.is_up();
    let failed = failures(&exporter.scrape());
    exporter.succeeds_again(3.0);
    let after = eventually(|| upstream.compare(&exporter));
    assert_eq!(failures(&after), failed);
    let said = exporter.program.stderr();
    let told = |what: &str| said.matches(what).count();
    assert_eq!((told("the state cannot be kept:"), told("the state can be kept again")), (1, 1), "{said}");

    // And it is on the disk.
    drop(exporter);
    let exporter = start();
    lasting.see(&exporter.scrape());
    eventually(|| upstream.compare(&exporter));
    receiver.is_content();
}

/// What a start says that is refused by its checkpoint: it ends with 1 and asks the upstream for nothing.
#[track_caller]
fn refused(inside: Option<&Disk>, path: &str) -> String {
    let (simulator, _) = frozen(SimulatorOptions::scripted());
    let mut command = polling(&simulator.base_url(), &[("state.path", path)]);
    if let Some(disk) = inside {
        command = disk.inside(&command);
    }
    let mut program = Program::start(&mut command);
    let status = program.ended_within(PATIENCE);
    let said = program.stderr();
    assert_eq!(status.code(), Some(1), "{said}");
    assert_eq!(simulator.request_count(), 0);
    assert!(said.contains(path), "it names the file: {said}");
    said
}

#[track_caller]
fn tells(said: &str, told: &[&str]) {
    for told in told {
        assert!(said.contains(told), "{told:?} is missing in:\n{said}");
    }
}

#[test]
fn a_start_on_a_full_disk_is_refused_and_leaves_nothing_behind() {
    let Some(disk) = Disk::mount(256) else { return };
    disk.fill();
    tells(
        &refused(Some(&disk), &disk.state()),
        &["No space left on device", "have space left", "set state.path to another file"],
    );
    assert_eq!(disk.files(), ["filler"]);
}

#[test]
fn a_start_on_a_read_only_disk_is_refused_with_or_without_a_checkpoint() {
    let Some(disk) = Disk::mount(4096) else { return };
    let told = ["Read-only file system", "writable", "set state.path to another file"];
    disk.make_read_only().unwrap();
    tells(&refused(Some(&disk), &disk.state()), &told);
    assert!(disk.files().is_empty());

    disk.make_writable();
    let (simulator, at) = frozen(lifelike(26));
    let path = disk.state();
    let start = || Exporter::run(&mut disk.inside(&polling(&simulator.base_url(), &[("state.path", &path)])));
    let exporter = start();
    let (mut lasting, before) = (Lasting::default(), eventually(|| compare(&exporter, &simulator, at, true)));
    lasting.see(&before);
    drop(exporter);
    disk.make_read_only().unwrap();
    tells(&refused(Some(&disk), &path), &told);
    // It is as good as before once it can be written again.
    disk.make_writable();
    let exporter = start();
    lasting.see(&exporter.scrape());
    eventually(|| compare(&exporter, &simulator, at, true));
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let folder = Scratch::new();
    let path = folder.0.join("no/such/folder/state.db");
    tells(&refused(None, path.to_str().unwrap()), &["No such file or directory", "folder has to exist"]);
}

#[test]
fn one_checkpoint_serves_one_process() {
    let ((simulator, _), folder) = (frozen(lifelike(23)), Scratch::new());
    let path = folder.state();
    let exporter = Exporter::start(&simulator.base_url(), &[("state.path", &*path)]);
    exporter.is_up();
    tells(&refused(None, &path), &["in use by another process", "state.path of its own"]);
    exporter.succeeds_again(1.0);
}

/// Neither is ever replaced by a new one, for that would count everything again.
#[test]
fn a_checkpoint_that_cannot_be_read_stops_the_start_and_stays_as_it_is() {
    let ((simulator, at), folder) = (frozen(lifelike(24)), Scratch::new());
    let path = folder.state();
    let start = || Exporter::start(&simulator.base_url(), &[("state.path", &*path)]);
    let exporter = start();
    eventually(|| compare(&exporter, &simulator, at, true));
    drop(exporter);
    let whole = fs::read(&path).unwrap();

    let (half, mut torn) = (&whole[..whole.len() / 2], whole.clone());
    torn[..4096].fill(0);
    for damaged in [b"not a checkpoint", &b""[..], half, &torn] {
        fs::write(&path, damaged).unwrap();
        tells(&refused(None, &path), &["cannot be read", "put back a copy", "move it away", "counting begins anew"]);
        assert!(fs::read(&path).unwrap() == damaged, "{} bytes are left as they were", damaged.len());
    }

    // What a later version wrote is for a later version to go on with.
    fs::write(&path, &whole).unwrap();
    write_schema(&path, 9);
    tells(&refused(None, &path), &["schema 9", "schemas up to ", "run the version that wrote it"]);
    fs::write(&path, &whole).unwrap();
    let exporter = start();
    eventually(|| compare(&exporter, &simulator, at, true));
}

/// As a later version would.
fn write_schema(path: &str, schema: u8) {
    let table: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("about");
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    let before = transaction.open_table(table).unwrap().insert("schema", &[schema][..]).unwrap().is_some();
    assert!(before, "the schema is written elsewhere by now");
    transaction.commit().unwrap();
}

#[test]
fn check_config_says_that_nothing_can_be_kept_there() {
    let Some(disk) = Disk::mount(64) else { return };
    let state = disk.state();
    let check = |command: &str| {
        let mut program =
            Program::start(disk.inside(&polling("http://127.0.0.1:1", &[("state.path", &state)])).arg(command));
        let status = program.ended_within(PATIENCE).code();
        (status, program.stderr() + &program.stdout())
    };
    assert_eq!(check("check-config").0, Some(0));
    assert_eq!(disk.files(), Vec::<String>::new(), "looking makes nothing");
    disk.make_read_only().unwrap();
    let (status, said) = check("check-config");
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("state.path = \"") && said.contains("no file can be made in the folder"), "{said}");
}
