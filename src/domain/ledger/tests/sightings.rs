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
    desk.ledger.begin_poll();
    desk.walk(desk.range(), Vec::new());
    desk.ledger.end_poll();
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

/// Both sightings of an ended conversation in one poll: by one walk or by two, and in either order.
fn both_ways(over: &Conversation, stale: &Conversation, mut check: impl FnMut(&mut Desk, &str)) {
    for by_two_walks in [false, true] {
        for (order, both) in [("ended first", [over, stale]), ("ended last", [stale, over])] {
            let mut desk = Desk::new();
            desk.poll(std::slice::from_ref(over));
            for _ in 0..3 {
                desk.now += MINUTE;
                desk.ledger.begin_poll();
                let rows = both.map(|reading| Row::Conversation(reading.clone()));
                if by_two_walks {
                    rows.into_iter().for_each(|row| drop(desk.walk(desk.range(), vec![row])));
                } else {
                    desk.walk(desk.range(), rows.into());
                }
                desk.ledger.end_poll();
            }
            desk.ledger.succeed(at(desk.now));
            check(&mut desk, order);
        }
    }
}

#[test]
fn ended_beats_active_in_all_that_is_read() {
    let over = closed(replied("a", 10, 5_000), 60_000);
    let stale = Conversation {
        start: over.start - 1_000,
        team: "other".into(),
        origin: Origin::Broadcast,
        reply: None,
        ..active("a", 10)
    };
    both_ways(&over, &stale, |desk, order| {
        let amendments = desk.ledger.tallies().amendments.clone();
        assert_eq!(amendments.iter().map(|(_, count)| count).sum::<u64>(), 0, "{order}");
        let pair = desk.only();
        let ends = ended(&pair, (State::Closed, Reason::ClosedByOperator));
        assert_eq!((started(&pair), pair.reply.count(), pair.met, ends, pair.reopened), (1, 1, 1, 1, 0), "{order}");
        let moment = desk.moment();
        assert_eq!((moment.active, moment.reply_recent[0], moment.duration_recent[0]), (0, Some(5_000), Some(60_000)));
        assert_eq!(desk.show().pairs.len(), 1, "{order}: what a beaten sighting says of its team is not shown");
        assert_eq!(desk.ledger.unsettled(), 0, "{order}");
    });
}

#[test]
fn reply_counts_though_only_a_beaten_sighting_tells_it() {
    let over = closed(active("a", 10), 60_000);
    let stale = Conversation { team: "other".into(), ..replied("a", 10, 5_000) };
    both_ways(&over, &stale, |desk, order| {
        let pair = desk.only();
        assert_eq!(
            (pair.reply.count(), pair.reply.sum_millis()),
            (1, 5_000),
            "{order}: once, with the labels that stand"
        );
        assert_eq!(
            (pair.met, pair.missed, pair.unanswered, pair.reopened),
            (0, 1, 1, 0),
            "{order}: decided by the end"
        );
    });
}

#[test]
fn reply_of_a_beaten_sighting_decides_what_the_end_did_not() {
    let how = |reading| Conversation { state: State::Transferred, reason: Reason::Transferred, ..reading };
    let over = how(closed(active("a", 10), 60_000));
    both_ways(&over, &replied("a", 10, 5_000), |desk, order| {
        let pair = desk.only();
        assert_eq!((pair.met, pair.missed, pair.unanswered), (1, 0, 0), "{order}");
    });
}

#[test]
fn reopened_is_what_it_was_seen_as_when_the_poll_is_over() {
    let over = closed(replied("a", 10, 5_000), 60_000);
    let open = Conversation { team: "other".into(), reply: Some(6_000), ..active("a", 10) };
    let mut desk = Desk::new();
    desk.poll(std::slice::from_ref(&over));
    desk.poll(&[open.clone(), open]);
    assert_eq!(
        (desk.only().reopened, desk.pair("bot", "other").reopened),
        (0, 1),
        "with the labels that it bears then"
    );
    let amendments = desk.ledger.tallies().amendments.clone();
    assert_eq!((amendments.get(AmendedField::ReplyTime), amendments.get(AmendedField::Labels)), (1, 1));
    let shown = desk.show();
    let active: u64 = shown.moments.unwrap().iter().map(|moment| moment.active).sum();
    assert_eq!(active, 1);
}

#[test]
fn wrong_zone_heals_when_the_date_is_another_one_and_counts_once() {
    let mut desk = Desk::new();
    let odd = |hours: i64| active("a", hours * 3600 + 10);
    desk.poll(&[odd(5)]);
    // A range that is wide enough to hold the wrong date clears nothing.
    desk.ledger.begin_poll();
    desk.walk(Range::new(NOW - 24 * 3600, desk.now), vec![Row::Conversation(odd(5))]);
    desk.ledger.succeed(at(desk.now));
    desk.ledger.end_poll();
    assert_eq!((desk.only().missed, desk.moment().oldest_waiting_start), (0, None));
    let entry = *desk.ledger.changes().entries[0].1;
    assert_eq!(entry.outside, Outside::Now);

    desk.poll(&[odd(0)]);
    assert_eq!((desk.only().missed, desk.moment().oldest_waiting_start), (0, Some(odd(0).start)));
    desk.now += 6 * MINUTE;
    desk.poll(&[odd(0)]);
    assert_eq!(desk.only().missed, 1, "the clock decides it");
    desk.poll(&[odd(5)]);
    assert_eq!((desk.ledger.tallies().outside_window, desk.moment().oldest_waiting_start), (1, None));
    desk.poll(&[Conversation { reply: Some(400_000), ..odd(0) }]);
    assert_eq!((desk.ledger.tallies().outside_window, desk.moment().reply_recent[0]), (1, Some(400_000)));
}

#[test]
fn wrong_zone_of_a_beaten_sighting_counts_once_and_dates_nothing() {
    let over = closed(replied("a", 10, 1_000), 60_000);
    let stale = Conversation { start: over.start - 5 * 3_600_000, ..active("a", 10) };
    both_ways(&over, &stale, |desk, order| {
        assert_eq!(desk.ledger.tallies().outside_window, 1, "{order}");
        assert_eq!(desk.moment().reply_recent[0], Some(1_000), "{order}");
    });
}
