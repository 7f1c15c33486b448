//! What a connection is at, and what follows from that.

use super::*;
use std::time::Duration;
use tokio::time::advance;

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

async fn lasts(link: &Link, expected: u64, drop: Option<HttpDrop>) {
    let began = Instant::now();
    assert_eq!(link.overdue(&Limits::default()).await, drop);
    assert_eq!(began.elapsed().as_secs(), expected);
}

#[tokio::test(start_paused = true)]
async fn each_phase_has_its_time() {
    let link = Arc::new(Link::new());
    lasts(&link, 10, Some(HttpDrop::HandshakeTimeout)).await;
    link.greeted();
    link.read();
    lasts(&link, 10, Some(HttpDrop::HeaderTimeout)).await;
    let asked = Asked::new(&link, false);
    lasts(&link, 60, Some(HttpDrop::RequestTimeout)).await;
    drop(asked);
    lasts(&link, 120, None).await;
    link.read();
    advance(seconds(4)).await;
    // Byte by byte does not make it longer.
    link.read();
    lasts(&link, 6, Some(HttpDrop::HeaderTimeout)).await;
}

#[tokio::test(start_paused = true)]
async fn what_ends_an_idle_time_has_its_own_from_there() {
    let link = Arc::new(Link::new());
    link.greeted();
    drop(Asked::new(&link, false));
    let begins = async {
        advance(seconds(5)).await;
        link.read();
    };
    let ((), ()) = tokio::join!(lasts(&link, 15, Some(HttpDrop::HeaderTimeout)), begins);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_taken_in_drops_has_no_more_time_than_another() {
    let link = Arc::new(Link::new());
    link.greeted();
    drop(Asked::new(&link, false));
    for _ in 0..5 {
        link.blocked(true);
        advance(seconds(10)).await;
        link.blocked(false);
    }
    link.blocked(true);
    lasts(&link, 10, Some(HttpDrop::RequestTimeout)).await;
}

#[tokio::test(start_paused = true)]
async fn in_http2_bytes_between_requests_mean_nothing() {
    let link = Arc::new(Link::new());
    link.greeted();
    let (one, two) = (Asked::new(&link, true), Asked::new(&link, true));
    advance(seconds(40)).await;
    drop(one);
    lasts(&link, 20, Some(HttpDrop::RequestTimeout)).await;
    drop(two);
    link.read();
    lasts(&link, 120, None).await;
}

#[tokio::test(start_paused = true)]
async fn answers_that_end_give_no_time_to_those_that_do_not() {
    let link = Arc::new(Link::new());
    link.greeted();
    let old = Asked::new(&link, true);
    advance(seconds(10)).await;
    let _young = Asked::new(&link, true);
    for _ in 0..4 {
        advance(seconds(5)).await;
        drop(Asked::new(&link, true));
    }
    assert!(link.spare(&Limits::default(), Instant::now()).is_some_and(|(_, since)| since.elapsed() == seconds(30)));
    drop(old);
    // The younger one came 20 s ago.
    lasts(&link, 40, Some(HttpDrop::RequestTimeout)).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_spared_while_it_is_served_in_good_time() {
    let (link, limits) = (Arc::new(Link::new()), Limits::default());
    advance(seconds(5)).await;
    assert!(link.spare(&limits, Instant::now()).is_none(), "it has not had its turn");
    link.begins();
    assert!(link.spare(&limits, Instant::now()).is_some());
    link.greeted();
    advance(seconds(5)).await;
    assert!(link.spare(&limits, Instant::now()).is_none(), "nobody has looked for its request");
    link.silent();
    assert!(link.spare(&limits, Instant::now()).is_some());
    link.greeted();
    link.silent();
    assert!(link.spare(&limits, Instant::now()).is_none(), "its first request may be on the way");
    advance(limits.stall).await;
    assert!(link.spare(&limits, Instant::now()).is_some());
    let asked = Asked::new(&link, false);
    assert!(link.spare(&limits, Instant::now()).is_none());
    advance(seconds(2)).await;
    assert!(link.spare(&limits, Instant::now()).is_some());
    drop(asked);
    assert!(link.spare(&limits, Instant::now()).is_some(), "it has had an answer");
}

#[tokio::test(start_paused = true)]
async fn who_has_asked_a_moment_ago_leaves_in_the_midst_of_something() {
    let limits = Limits::default();
    let midst = |link: &Link| {
        link.close_unhurried(&limits);
        assert_eq!(link.lingers(), link.doing().midst.is_some());
        link.doing().midst
    };
    let link = Arc::new(Link::new());
    link.greeted();
    assert_eq!(midst(&link), None, "it has asked nothing");
    let asked = Asked::new(&link, false);
    assert_eq!(midst(&link), Some(Midst::Answer));
    drop(asked);
    assert_eq!(midst(&link), Some(Midst::Pause));
    link.read();
    assert_eq!(midst(&link), None, "it owes the rest of a request");
    drop(Asked::new(&link, false));
    advance(limits.busy).await;
    assert_eq!(midst(&link), None, "it is in no hurry");
    let asked = Asked::new(&link, true);
    assert_eq!(midst(&link), Some(Midst::Answer));
    drop(asked);
    assert_eq!(midst(&link), None, "in HTTP/2 bytes mean nothing");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_spared_while_its_answers_are_made_and_taken() {
    let (link, limits) = (Arc::new(Link::new()), Limits::default());
    link.greeted();
    let (mut one, mut other) = (Asked::new(&link, true), Asked::new(&link, true));
    one.made();
    advance(2 * limits.stall).await;
    assert!(link.spare(&limits, Instant::now()).is_none(), "the other answer is ours to make");
    other.made();
    for _ in 0..5 {
        assert!(link.spare(&limits, Instant::now()).is_none());
        advance(limits.stall / 2).await;
        link.took();
    }
    advance(limits.stall).await;
    assert!(
        link.spare(&limits, Instant::now())
            .is_some_and(|(why, since)| why == Spare::Slow && since.elapsed() == limits.stall)
    );
}
