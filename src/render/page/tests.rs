use std::collections::BTreeSet;
use std::sync::Arc;

use roxmltree::{Document, Node, ParsingOptions};

use super::*;
use crate::domain::distribution::Distribution;
use crate::domain::history::{Failure, History, PollRecord, Work};
use crate::domain::label::{ExportResult, PollResult};
use crate::domain::pair::Pair;
use crate::domain::plan::ToRead;
use crate::domain::snapshot::{ConfigLoad, Exports};
use crate::render::sample;

/// The page of a snapshot, found well-formed and sound.
fn page(snapshot: &Snapshot) -> String {
    page_with(snapshot, &Live::default(), "/metrics")
}

fn page_with(snapshot: &Snapshot, live: &Live, telemetry_path: &str) -> String {
    let page = html(&View { snapshot, live, now: sample::NOW, telemetry_path });
    judge(&page);
    page
}

/// One parser that forgives nothing reads it; ids are unique, links within the page lead somewhere, and nothing is in it
/// that the policy forbids.
fn judge(page: &str) {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(page, options).unwrap_or_else(|error| panic!("{error}:\n{page}"));
    let mut ids = BTreeSet::new();
    for node in document.descendants().filter(Node::is_element) {
        if let Some(id) = node.attribute("id") {
            assert!(ids.insert(id), "{id} twice");
        }
        let name = node.tag_name().name();
        assert!(!["script", "iframe", "object", "form", "img"].contains(&name), "{name}");
        for attribute in node.attributes() {
            assert!(attribute.name() != "style" && !attribute.name().starts_with("on"), "{}", attribute.name());
        }
    }
    let refers = |node: &Node<'_, '_>| {
        let named = ["aria-labelledby", "aria-describedby"].into_iter().filter_map(|name| node.attribute(name));
        let within = node.attribute("href").and_then(|href| href.strip_prefix('#'));
        named.chain(within).map(str::to_owned).collect::<Vec<_>>()
    };
    for id in document.descendants().flat_map(|node| refers(&node)) {
        assert!(ids.contains(&*id), "nothing is called {id}");
    }
    let headings = document.descendants().filter(|node| node.has_tag_name_str("h1"));
    assert_eq!(headings.count(), 1);
    let tables = document.descendants().filter(|node| node.has_tag_name_str("th"));
    assert!(tables.into_iter().all(|heading| heading.attribute("scope").is_some()));
}

trait Named {
    fn has_tag_name_str(&self, name: &str) -> bool;
}

impl Named for Node<'_, '_> {
    fn has_tag_name_str(&self, name: &str) -> bool {
        self.is_element() && self.tag_name().name() == name
    }
}

/// The page's text without its markup, in one line.
fn text(page: &str) -> String {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(page, options).unwrap();
    let body = document.descendants().find(|node| node.has_tag_name_str("body")).unwrap();
    let text: String = body.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn poll(number: u64, took: u64, why: Option<&str>) -> PollRecord {
    PollRecord {
        number,
        began: sample::NOW - 60_000 * (1000 - i64::try_from(number).unwrap()),
        took,
        failure: why.map(|why| Failure { kind: "server_error", why: why.to_owned(), refused: false }),
        work: Work::default(),
        slow_work: Work::default(),
    }
}

fn with_history(polls: impl IntoIterator<Item = PollRecord>) -> Snapshot {
    let mut snapshot = sample::with_pairs([sample::pair("Bot", "Team")]);
    let mut history = History::default();
    for poll in polls {
        snapshot.own.up = poll.failure.is_none();
        snapshot.own.polls.count(if snapshot.own.up { PollResult::Success } else { PollResult::Failure });
        history.push(poll);
    }
    snapshot.own.history = Arc::new(history);
    snapshot
}

#[test]
fn nothing_on_the_page_can_break_out() {
    let names = sample::torture().into_iter().chain(
        ["<script>alert(1)</script>", "]]>", "<!--", "&amp;", "\u{202e}desrever", "\u{ffff}\u{1}\u{7f}", "' onload='x"]
            .map(str::to_owned),
    );
    for name in names {
        let mut snapshot = with_history([poll(999, 5, Some(&name))]);
        snapshot.account = name.as_str().into();
        snapshot.own.company = Some(name.as_str().into());
        let pair = Arc::new(sample::pair(&name, &name));
        snapshot.conversations.as_mut().unwrap().pairs = vec![pair];
        let page = page_with(&snapshot, &Live::default(), &format!("/{name}"));
        assert!(!page.contains("<script") && page.len() < 200_000, "{}", page.len());
    }
}

#[test]
fn names_are_shown_as_they_are() {
    let page = page(&sample::with_pairs([sample::pair("Banca <b>Móvil</b> & \"más\"", "客服 🤖")]));
    assert!(page.contains("<bdi>Banca &lt;b&gt;Móvil&lt;/b&gt; &amp; &quot;más&quot;</bdi>"));
    assert!(text(&page).contains("客服 🤖 Banca <b>Móvil</b> & \"más\""));
}

#[test]
fn a_process_that_has_just_started_says_so() {
    let mut snapshot = sample::empty();
    snapshot.own.process_start = sample::NOW - 5000;
    assert!(text(&page(&snapshot)).contains("… Starting No poll has begun yet."));
    // A poll that has begun has neither failed nor succeeded.
    snapshot.own.last_poll = Some(sample::NOW - 3000);
    let told = text(&page(&snapshot));
    assert!(told.contains("The first poll is under way; it began 3 s ago."), "{told}");
    assert!(told.contains("no: no poll of the Jelou API has ended yet"));
    assert!(told.contains("None has ended yet."));
}

#[test]
fn reading_the_initial_range_is_no_fault_and_has_a_progress() {
    let mut snapshot = with_history([poll(999, 48_000, None)]);
    snapshot.conversations = None;
    snapshot.own.ledger_entries = 4321;
    snapshot.own.to_read = ToRead { whole: 86_400, unread: 21_600 };
    let told = text(&page(&snapshot));
    assert!(told.contains("… Reading what was before The last poll succeeded 1 s ago. 75.0 % of the initial range has been read, 4,321 conversations so far; 6 h of history are left."), "{told}");
    // The same gap after a downtime: the rest is served.
    let mut snapshot = with_history([poll(999, 48_000, None)]);
    snapshot.own.to_read = ToRead { whole: 86_400, unread: 21_600 };
    let told = text(&page(&snapshot));
    assert!(
        told.contains("! Healthy, with something to look at The last poll succeeded 1 s ago. Conversations that started in 6 h of the past"),
        "{told}"
    );
}

#[test]
fn health_is_the_first_thing_that_is_told() {
    let told = text(&page(&with_history([poll(999, 800, None)])));
    assert!(
        told.contains("Load again ✓ Healthy The last poll succeeded 1 s ago. Waiting for a first reply1 Longest wait now59 min 58 s the target is 5 min"),
        "{told}"
    );
    assert!(told.contains("Answered in time60.0 % 3 of 5 within 5 min"));

    let why = "the API has an error of its own (HTTP 502)";
    let told = text(&page(&with_history([poll(997, 800, None), poll(998, 9, Some(why)), poll(999, 9, Some(why))])));
    assert!(
        told.contains(
            "✕ Not healthy: the last poll failed The last 2 polls failed; the first of them began 2 min ago."
        ),
        "{told}"
    );
    assert!(told.contains("The API has an error of its own (HTTP 502)."));
    assert!(told.contains("The last poll that succeeded ended 1 s ago; nothing newer is known."));
}

#[test]
fn what_is_to_be_looked_at_is_named() {
    type Change = fn(&mut Snapshot);
    let notices: [(Change, &str); 4] = [
        (|shown| shown.own.clock_offset = Some(420_000), "This machine's clock is 7 min behind that of the API."),
        (|shown| shown.tallies.overflowed = 3, "3 conversations stand under bot and team __overflow__."),
        (|shown| shown.own.poll_interval = 500, "The last poll took 800 ms, longer than the interval of 500 ms."),
        (|shown| shown.own.last_poll = Some(sample::NOW - 3_600_000), "No poll has begun for 1 h."),
    ];
    for (change, notice) in notices {
        let mut snapshot = with_history([poll(999, 800, None)]);
        change(&mut snapshot);
        let told = text(&page(&snapshot));
        assert!(told.contains(notice) && !told.contains("✓ Healthy"), "{notice}: {told}");
    }
    let flaky = (990..=999).map(|number| poll(number, 5, (number == 995).then_some("odd")));
    assert!(text(&page(&with_history(flaky))).contains("1 of the last 10 polls failed, though the last one did not."));
    let mut exports = Exports::default();
    exports.results.add(ExportResult::Failure, 2);
    let live = Live { exports: Some(exports), ..Live::default() };
    let told = text(&page_with(&with_history([poll(999, 800, None)]), &live, "/metrics"));
    assert!(told.contains("No OTLP receiver has taken everything since the start. 2 pushes failed"), "{told}");
    for (settings, web, notice) in [
        (false, true, "The last reload of the configuration was refused; the one before holds."),
        (true, false, "The web configuration on the disk cannot be used; the former one holds."),
        (true, true, "✓ Healthy"),
    ] {
        let config = Some(ConfigLoad { settings, web, last_success: sample::NOW });
        let live = Live { config, ..Live::default() };
        let told = text(&page_with(&with_history([poll(999, 800, None)]), &live, "/metrics"));
        assert!(told.contains(notice) && told.contains("✓ Healthy") == (settings && web), "{notice}: {told}");
    }
}

#[test]
fn each_poll_opens_to_what_it_did() {
    let mut record = poll(999, 1_250, Some("no answer"));
    record.work.requests.add(crate::domain::label::Outcome::Ok, 4);
    record.work.requests.add(crate::domain::label::Outcome::RateLimited, 1);
    (record.work.retries, record.work.budget_wait) = (1, 1500);
    record.work.records.add(crate::domain::label::RecordResult::New, 2);
    record.work.events.replied = 7;
    record.slow_work.requests.add(crate::domain::label::Outcome::Ok, 3);
    let page = page(&with_history([poll(998, 800, None), record]));
    let told = text(&page);
    for part in [
        "The last 2 polls: 1 succeeded, 1 failed. Since the start: 2 polls, 1 failed.",
        "✕ failed Poll 999 ← poll 998 server error: no answer",
        "Took1.2 s, of which 1.5 s waiting for the request budget",
        "Requests5: 4 ok, 1 rate limited; 1 retry",
        "Rows2: 2 new, 0 changed, 0 unchanged",
        "Counted0 started, 7 replied, 0 ended",
        "Catch-up and sweep after it Requests3: 3 ok",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(page.contains("aria-label=\"Poll 999, 23:59:00: failed after 1.2 s\""), "{page}");
}

#[test]
fn who_needs_help_comes_first() {
    let mut snapshot = sample::with_pairs(["calm", "poor", "idle", "waits"].map(|team| sample::pair("Bot", team)));
    let shown = snapshot.conversations.as_mut().unwrap();
    let met = [9, 1, 0, 9];
    for (pair, met) in shown.pairs.iter_mut().zip(met) {
        let pair = Arc::make_mut(pair);
        (pair.met, pair.missed) = (met, u64::from(met > 0));
    }
    let mut moments = shown.moments.as_ref().unwrap().to_vec();
    for moment in &mut moments[..3] {
        (moment.waiting, moment.oldest_waiting_start) = (0, None);
    }
    shown.moments = Some(moments.into());
    let told = text(&page(&snapshot));
    let places = ["waits", "poor", "calm", "idle"].map(|team| told.find(&format!("{team} Bot")).unwrap());
    assert!(places.is_sorted(), "{told}");
    assert!(told.contains("waits Bot41▲ 59 min 58 s"), "{told}");
    assert!(told.contains("idle Bot40–"), "{told}");
}

#[test]
fn facts_of_the_moment_that_are_not_known_are_not_zeros() {
    let mut snapshot = sample::with_pairs([sample::pair("Bot", "Team")]);
    snapshot.conversations.as_mut().unwrap().moments = None;
    let told = text(&page(&snapshot));
    assert!(told.contains("Waiting for a first reply– Longest wait now– Active conversations–"), "{told}");
    assert!(told.contains("Team Bot??????60.0 %"), "{told}");
}

#[test]
fn ten_thousand_pairs_make_a_page_of_bounded_size() {
    let pair = sample::pair("Bot", "Team");
    let named = |number: usize| Pair {
        labels: crate::domain::pair::PairLabels {
            bot: format!("{} {number}", "Bot ".repeat(500)).into(),
            team: "é<&".repeat(500).into(),
        },
        ..pair.clone()
    };
    let mut snapshot = with_history((1..=400).map(|number| poll(number, 5, Some(&"<long>".repeat(100)))));
    let shown = sample::with_pairs((0..10_000).map(named));
    snapshot.conversations = shown.conversations;
    let page = page(&snapshot);
    assert!(page.len() < 500_000, "{}", page.len());
    assert_eq!(page.matches("<tr role=\"row\"><th scope=\"row\"").count(), teams::ROWS);
    assert!(text(&page).contains("9,950 more are left out here"));
}

#[test]
fn an_empty_distribution_has_no_plot() {
    let mut pair = sample::pair("Bot", "Team");
    pair.reply = Distribution::new(Arc::clone(pair.reply.layout()), sample::START);
    assert!(text(&page(&sample::with_pairs([pair]))).contains("no reply counted yet"));
}
