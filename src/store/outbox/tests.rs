use super::super::Store;
use super::super::elsewhere::Memory;
use super::*;
use crate::domain::label::AmendedField;
use crate::render::sample;

const UNTIL: Option<UnixMillis> = Some(sample::NOW);

fn open(disk: &Memory, account: &str) -> Outbox {
    let disk = disk.clone();
    Store::open_on(move || disk.clone(), account).unwrap().0.outbox()
}

fn disk() -> Memory {
    let disk = Memory::default();
    Store::make_on(disk.clone()).unwrap();
    disk
}

fn export<'a>(pairs: &'a [Arc<Pair>], tallies: &'a Tallies, requests: &'a [Vec<u8>]) -> Export<'a> {
    Export { until: UNTIL, tallies: Some(tallies), pairs, gone: &[], requests }
}

#[test]
fn an_export_comes_back_as_it_was_kept_until_it_is_answered() {
    let disk = disk();
    let outbox = open(&disk, "acme");
    assert!(outbox.read().unwrap().is_none() && outbox.is_empty().unwrap());
    let pairs = ["b", "a"].map(|bot| Arc::new(sample::pair(bot, "t")));
    let mut tallies = Tallies { start: sample::START, ..Tallies::default() };
    tallies.amendments.count(AmendedField::Duration);
    let requests = [vec![1], vec![2], vec![3]];
    outbox.put(&export(&pairs, &tallies, &requests)).unwrap();
    outbox.answered(1, UNTIL, Some(&tallies)).unwrap();
    drop(outbox);

    let outbox = open(&disk, "acme");
    let kept = outbox.read().unwrap().unwrap();
    assert_eq!((kept.until, kept.answered, kept.unsent), (UNTIL, 1, vec![vec![2], vec![3]]));
    assert_eq!(kept.tallies, Some(tallies.clone()));
    let bots: Vec<&str> = kept.pairs.iter().map(|pair| &*pair.labels.bot).collect();
    assert_eq!(bots, ["a", "b"], "by their labels");
    assert_eq!(kept.pairs[0].reply.count(), sample::pair("a", "t").reply.count());

    // The next one takes its place; a pair that has left is kept no longer.
    let gone = Export { gone: &pairs[..1], ..export(&[], &tallies, &requests[..1]) };
    outbox.put(&gone).unwrap();
    let kept = outbox.read().unwrap().unwrap();
    assert_eq!((kept.answered, kept.unsent, kept.pairs.len()), (0, vec![vec![1]], 1));
    drop(outbox);
    // Another account has an outbox of its own.
    assert!(open(&disk, "other").is_empty().unwrap());
    let outbox = open(&disk, "acme");
    outbox.clear().unwrap();
    assert!(outbox.read().unwrap().is_none() && outbox.is_empty().unwrap());
}

#[test]
fn what_cannot_be_kept_is_an_error_and_nothing_of_it_is_kept() {
    let disk = disk();
    let outbox = open(&disk, "acme");
    let tallies = Tallies::default();
    outbox.put(&export(&[], &tallies, &[vec![1]])).unwrap();
    disk.fill(true);
    let pair = [Arc::new(sample::pair("b", "t"))];
    outbox.put(&export(&pair, &tallies, &[vec![2]])).unwrap_err();
    outbox.put(&export(&pair, &tallies, &[vec![2]])).unwrap_err();
    disk.fill(false);
    outbox.answered(1, UNTIL, Some(&tallies)).unwrap();
    let kept = outbox.read().unwrap().unwrap();
    assert_eq!((kept.unsent.len(), kept.answered, kept.pairs.len()), (0, 1, 0));
}

#[test]
fn a_request_that_is_missing_is_damage() {
    let disk = disk();
    let outbox = open(&disk, "acme");
    let tallies = Tallies::default();
    outbox.put(&export(&[], &tallies, &[vec![1], vec![2]])).unwrap();
    let broken = outbox.0.lock().write(
        |_| {},
        |transaction, tables| {
            transaction.open_table(tables.unsent())?.remove(0)?;
            Ok(())
        },
    );
    broken.unwrap();
    let error = outbox.read().unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}
