//! Sightings that say less than others, or are beaten by them.

use super::*;

fn unreadable(id: &str) -> Row {
    Row::Rejected(Rejected { identity: id.into(), why: "startAt" })
}

#[test]
fn vanished_is_not_what_is_listed_and_rejected() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    for _ in 0..2 {
        desk.ledger.begin_poll();
        let folded = desk.walk(desk.range(), vec![unreadable("a"), unreadable("nobody's")]);
        assert_eq!(folded.records.get(RecordResult::Rejected), 2);
        assert!(desk.ledger.due_stretches(0, 50).is_empty(), "it was listed, so it is not asked for once more");
        desk.ledger.end_poll();
    }
    desk.ledger.succeed(at(desk.now));
    let moment = desk.moment();
    assert_eq!((desk.ledger.tallies().vanished, moment.active, moment.waiting), (0, 1, 1));
    assert_eq!(desk.ledger.len(), 1, "what was never readable is not known");
}

#[test]
fn vanished_is_back_when_it_is_listed_and_rejected() {
    let mut desk = Desk::new();
    desk.poll(&[active("a", 10)]);
    desk.poll(&[]);
    assert_eq!(desk.moment().active, 0);
    desk.ledger.committed();
    desk.ledger.begin_poll();
    desk.walk(desk.range(), vec![unreadable("a")]);
    desk.ledger.end_poll();
    assert_eq!((desk.moment().active, desk.ledger.tallies().vanished), (1, 1));
    assert_eq!(desk.ledger.changes().entries.len(), 1, "and stays back after a restart");
}

#[test]
fn reopened_also_when_a_row_of_it_was_rejected_before() {
    let mut desk = Desk::new();
    (0..2).for_each(|_| drop(desk.poll(&[closed(active("a", 10), 60_000)])));
    desk.ledger.begin_poll();
    desk.walk(desk.range(), vec![unreadable("a"), Row::Conversation(active("a", 10))]);
    desk.ledger.end_poll();
    assert_eq!(desk.only().reopened, 1, "no row of this poll shows it ended");
}
