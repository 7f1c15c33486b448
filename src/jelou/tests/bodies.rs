//! What is made of a body, without any network.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::{DAY, DOCUMENTED};
use crate::domain::conversation::{Conversation, ConversationId, Origin, Reason, State};
use crate::domain::reading::{Rejected, Row};
use crate::domain::time::UnixMillis;
use crate::jelou::decode::{Decoded, decode};
use crate::jelou::error::BodyError;
use crate::jelou::lenient::MAX_ROWS;

fn guayaquil() -> TimeZone {
    TimeZone::get("America/Guayaquil").unwrap()
}

fn read(body: impl AsRef<[u8]>) -> Result<Decoded, BodyError> {
    decode(body.as_ref(), DAY, &guayaquil())
}

fn rows(results: &str) -> Vec<Row> {
    read(format!(r#"{{"results":{results}}}"#)).unwrap().rows
}

/// A row with a usable id and start, and these fields besides.
fn with(fields: &str) -> Conversation {
    let rows = rows(&format!(r#"[{{"_id":"a","startAt":"2023-06-08 15:52:41",{fields}}}]"#));
    match <[Row; 1]>::try_from(rows) {
        Ok([Row::Conversation(conversation)]) => conversation,
        other => panic!("{fields}: {other:?}"),
    }
}

fn documented() -> Conversation {
    Conversation {
        id: ConversationId::from("111111aaaaaa"),
        start: UnixMillis(1_686_257_561_000),
        end: Some(UnixMillis(1_686_283_676_000)),
        state: State::Expired,
        reason: Reason::Expired,
        origin: Origin::Ticket,
        bot: "Jelou Dev WhatsApp".into(),
        team: "Frontend".into(),
        company: Some("123".into()),
        reply: Some(795_880),
        stated_duration: Some(26_115_953),
    }
}

#[test]
fn the_documented_example() {
    let expected = Decoded { rows: vec![Row::Conversation(documented())], total: Some(61) };
    assert_eq!(read(DOCUMENTED), Ok(expected));
}

#[test]
fn bare_rows() {
    let bare = with(r#""future":{"a":[1,{"b":null}]}"#);
    assert_eq!((bare.end, bare.company, bare.reply, bare.stated_duration), (None, None, None, None));
    assert_eq!((bare.state, bare.reason, bare.origin), (State::Other, Reason::None, Origin::None));
    assert_eq!((&*bare.bot, &*bare.team), ("unknown", "unassigned"));
}

#[test]
fn objects_may_be_null_or_empty_or_no_objects_at_all() {
    for empty in [
        "null",
        "{}",
        "[]",
        r#""""#,
        "0",
        "false",
        r#"["a"]"#,
        r#"{"name":null,"team":null,"teamName":null,"id":null}"#,
    ] {
        let row = with(&format!(
            r#""operator":{empty},"assignationMethod":{empty},"bot":{empty},"company":{empty},"user":{empty}"#
        ));
        assert_eq!((&*row.bot, &*row.team, row.company), ("unknown", "unassigned", None), "{empty}");
    }
}

#[test]
fn teams() {
    let team = |fields| with(fields).team;
    assert_eq!(
        &*team(r#""assignationMethod":{"teamName":" Sales "},"operator":{"team":"Other"}"#),
        " Sales ",
        "as it is"
    );
    assert_eq!(&*team(r#""assignationMethod":{"teamName":" "},"operator":{"team":"Other"}"#), "Other");
    assert_eq!(&*team(r#""operator":{"names":"A Person","team":"One,Two"}"#), "unassigned");
    assert_eq!(&*team(r#""assignationMethod":{"teamName":"Atenci\u00f3n \ud83d\ude00"}"#), "Atención 😀");
}

#[test]
fn numbers_in_every_form() {
    let both = |value: &str| {
        let row = with(&format!(r#""timeRepliedOperator":{value},"conversationDuration":{value}"#));
        assert_eq!(row.reply, row.stated_duration);
        row.reply
    };
    assert_eq!(both("0"), Some(0));
    assert_eq!(both(r#""795880""#), Some(795_880));
    assert_eq!(both("795880.0"), Some(795_880));
    for none in ["null", "-1", r#""""#, r#""soon""#, "[]", "{}", "true", "1e999"] {
        assert_eq!(both(none), None, "{none}");
    }
    assert_eq!(with(r#""company":{"id":"c-1"}"#).company.as_deref(), Some("c-1"));
}

#[test]
fn states_reasons_and_origins_in_any_case_and_unknown_ones() {
    let row = with(r#""state":"CLOSED","endedReason":"Closed_By_Operator","origin":"INDUCED_BY_SYSTEM""#);
    assert_eq!((row.state, row.reason, row.origin), (State::Closed, Reason::ClosedByOperator, Origin::InducedBySystem));
    let row = with(r#""state":"archived","endedReason":"bored","origin":"carrier pigeon""#);
    assert_eq!((row.state, row.reason, row.origin), (State::Other, Reason::Other, Origin::Other));
    let row = with(r#""state":"active","endedReason":"","origin":null,"endAt":null"#);
    assert_eq!((row.state, row.reason, row.origin), (State::Active, Reason::None, Origin::None));
}

#[test]
fn ends_that_are_no_dates_are_none() {
    for none in [r#""""#, r#""never""#, "{}", "-1"] {
        assert_eq!(with(&format!(r#""endAt":{none}"#)).end, None, "{none}");
    }
    assert_eq!(with(r#""endAt":1686283676000"#).end, documented().end);
}

#[test]
fn rejected_rows_cost_only_themselves() {
    let good = r#"{"_id":"good","startAt":"2023-06-08T20:52:41.000Z"}"#;
    for bad in [
        "null",
        "[]",
        r#"["a","2023-06-08 15:52:41"]"#,
        "7",
        r#""text""#,
        "{}",
        r#"{"_id":"","startAt":"2023-06-08 15:52:41"}"#,
        r#"{"_id":null,"startAt":"2023-06-08 15:52:41"}"#,
        r#"{"_id":"\ud800","startAt":"2023-06-08 15:52:41"}"#,
    ] {
        let rows = rows(&format!("[{good},{bad},{good}]"));
        assert!(matches!(&rows[0], Row::Conversation(row) if row.id == "good".into()), "{bad}: {rows:?}");
        assert!(matches!(&rows[1], Row::Rejected(row) if row.identity.to_string().starts_with('#')), "{bad}: {rows:?}");
        assert_eq!(rows[0], rows[2], "{bad}");
    }
}

#[test]
fn a_row_without_a_readable_start_is_rejected_by_its_id() {
    for start in ["null", r#""""#, r#""yesterday""#, "{}", "-1", "1e999"] {
        let rows = rows(&format!(r#"[{{"_id":"a","startAt":{start}}},{{"_id":7}}]"#));
        let rejected = |id: &str| {
            Row::Rejected(Rejected { identity: ConversationId::from(id), why: "startAt is missing or no date" })
        };
        assert_eq!(rows, [rejected("a"), rejected("7")], "{start}");
    }
}

#[test]
fn broken_letters_cost_nothing_but_themselves() {
    let mut body = DOCUMENTED.replace("Jelou app", "J\u{1}").into_bytes();
    let at = body.iter().position(|byte| *byte == 1).unwrap();
    body[at] = 0xff;
    assert_eq!(read(&body).unwrap().rows, [Row::Conversation(documented())]);
    let escaped = DOCUMENTED.replace("Jelou app", r"\ud800").replace("\"ticket\"", r#""\udfff""#);
    let expected = Conversation { origin: Origin::None, ..documented() };
    assert_eq!(read(escaped).unwrap().rows, [Row::Conversation(expected)]);
}

#[test]
fn totals_in_every_form() {
    let total = |pagination: &str| read(format!(r#"{{"results":[],"pagination":{pagination}}}"#)).unwrap().total;
    assert_eq!(total(r#"{"total":61,"totalPages":null,"page":1}"#), Some(61));
    assert_eq!(total(r#"{"total":"61"}"#), Some(61));
    assert_eq!(total(r#"{"total":0}"#), Some(0));
    for none in ["null", "{}", "[]", r#""61""#, r#"{"total":null}"#, r#"{"total":-1}"#, r#"{"total":"many"}"#] {
        assert_eq!(total(none), None, "{none}");
    }
}

#[test]
fn a_200_that_carries_a_failure() {
    for status in ["0", r#""0""#, r#""failed""#, r#""ERROR""#, "false"] {
        let body = format!(r#"{{"status":{status},"message":["Timed out"],"results":[]}}"#);
        assert_eq!(read(body), Err(BodyError::Failure(Some("Timed out".to_owned()))), "{status}");
    }
    for fine in ["1", r#""success""#, "true", "null", r#""""#, "[]"] {
        assert!(read(format!(r#"{{"status":{fine},"results":[]}}"#)).is_ok(), "{fine}");
    }
}

#[test]
fn an_answer_without_results() {
    for body in ["{}", "[]", "null", "7", r#"{"results":null}"#, r#"{"results":{}}"#, r#"{"results":"none"}"#] {
        assert_eq!(read(body), Err(BodyError::NoResults(None)), "{body}");
    }
    let said = read(r#"{"message":"Service unavailable","status":1}"#);
    assert_eq!(said, Err(BodyError::NoResults(Some("Service unavailable".to_owned()))));
}

#[test]
fn what_is_no_json() {
    assert_eq!(read(" <!DOCTYPE html><html></html>"), Err(BodyError::Html));
    assert_eq!(read("Bad gateway"), Err(BodyError::NotJson));
    assert_eq!(read(r#"{"results":[]} trailing"#), Err(BodyError::NotJson));
    for length in 0..DOCUMENTED.len() {
        assert_eq!(read(&DOCUMENTED[..length]), Err(BodyError::Cut), "{length}");
    }
}

#[test]
fn more_rows_than_any_page_has() {
    let body = format!(r#"{{"results":[{}0]}}"#, "0,".repeat(MAX_ROWS));
    assert_eq!(read(body), Err(BodyError::TooManyRows));
}

#[test]
fn deep_nesting_is_survived() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(with(&format!(r#""user":{deep},"bot":{{"name":{deep}}}"#)).bot, "unknown".into());
}

fn json() -> impl Strategy<Value = String> {
    let names = "(_id|startAt|endAt|bot|name|company|id|operator|team|status|results|pagination|total|message|error)";
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| format!("{value:e}")),
        any::<String>().prop_map(|value| serde_json::to_string(&value).unwrap()),
        "[0-9]{4}-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9]:[0-5][0-9]".prop_map(|date| format!("\"{date}\"")),
        Just(r#""\ud800""#.to_owned()),
    ];
    leaf.prop_recursive(5, 60, 8, move |inner| {
        let field = (names, inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|values| format!("[{}]", values.join(","))),
            prop::collection::vec(field, 0..8).prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = read(bytes);
    }

    #[test]
    fn arbitrary_json_never_panics(json in json()) {
        let _ = read(&json);
        let _ = read(format!(r#"{{"results":[{json}]}}"#));
    }

    /// Whatever one row is, the others are read.
    #[test]
    fn a_bad_row_costs_only_itself(json in json()) {
        let good = r#"{"_id":"good","startAt":"2023-06-08 15:52:41"}"#;
        let rows = rows(&format!("[{good},{json},{good}]"));
        prop_assert_eq!(rows.len(), 3);
        prop_assert!(matches!(&rows[0], Row::Conversation(_)));
        prop_assert_eq!(&rows[0], &rows[2]);
    }

    #[test]
    fn a_damaged_example_never_panics(at in 0..DOCUMENTED.len(), byte: u8) {
        let mut body = DOCUMENTED.as_bytes().to_vec();
        body[at] = byte;
        let _ = read(body);
    }
}
