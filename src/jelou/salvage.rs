//! Rows that stand in the way of reading their page at one go: what can be had of them.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::value::RawValue;

use super::lenient::Obj;
use super::wire::Record;
use crate::domain::conversation::ConversationId;
use crate::domain::reading::{Rejected, Row};

/// The longest row that is taken apart, in bytes: its fields would take many times as much.
const LONGEST_TAKEN_APART: usize = 256 * 1024;

/// Reads one row by itself. Fields that are no readable JSON value (a number beyond all bounds, half a character) are
/// left out; of two fields of one name the last is meant. What `read` cannot name is rejected by its bytes.
pub(super) fn read(raw: &RawValue, mut read: impl FnMut(&Record<'_>) -> Option<Row>) -> Row {
    let json = raw.get();
    let mut why = "_id is missing or no text";
    let row = match serde_json::from_str::<Obj<Record<'_>>>(json) {
        Ok(Obj(Some(record))) => read(&record),
        Ok(Obj(None)) => {
            why = "the row is no object";
            None
        }
        Err(_) if json.len() > LONGEST_TAKEN_APART => {
            why = "the row has an unreadable field and is too long to be taken apart";
            None
        }
        Err(_) => readable_fields(json)
            .and_then(|json| serde_json::from_str::<Record<'_>>(&json).ok().and_then(|record| read(&record))),
    };
    row.unwrap_or_else(|| Row::Rejected(Rejected { identity: fingerprint(json.as_bytes()), why }))
}

fn readable_fields(json: &str) -> Option<String> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(json).ok()?;
    let mut object = String::from("{");
    // The names that Record knows are of these letters; others could break out of the quotes.
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    for (name, value) in fields.into_iter().filter(|(name, _)| plain(name)) {
        let field = format!("{{\"{name}\":{value}}}");
        if serde_json::from_str::<Record<'_>>(&field).is_ok() {
            let separator = if object.len() > 1 { "," } else { "" };
            write!(object, "{separator}\"{name}\":{value}").ok()?;
        }
    }
    object.push('}');
    Some(object)
}

/// Tells rows without an `_id` from one another, alike from walk to walk (FNV-1a, 128 bits).
pub(super) fn fingerprint(bytes: &[u8]) -> ConversationId {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    ConversationId::from(format!("#{hash:032x}").as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps id and duration, to see what was had of the row.
    fn salvage(json: &str) -> (String, Option<u64>) {
        let duration = std::cell::Cell::new(None);
        let row = read(serde_json::from_str(json).unwrap(), |record| {
            duration.set(record.duration.0);
            let identity = record.id.get()?.into();
            Some(Row::Rejected(Rejected { identity, why: "" }))
        });
        let Row::Rejected(rejected) = row else { panic!("{row:?}") };
        (rejected.identity.to_string(), duration.get())
    }

    #[test]
    fn an_unreadable_field_costs_only_itself() {
        assert_eq!(salvage(r#"{"_id":"a","conversationDuration":5}"#), ("a".into(), Some(5)));
        assert_eq!(salvage(r#"{"_id":"a","conversationDuration":1e999}"#), ("a".into(), None));
        assert_eq!(salvage(r#"{"state":"\ud800","_id":"a","conversationDuration":5}"#), ("a".into(), Some(5)));
        assert_eq!(salvage(r#"{"_id":"a","x\":1,\"_id":"b","origin":1e999}"#), ("a".into(), None));
        assert_eq!(salvage(r#"{"bot":{"name":"\ud800"},"a\"b":1,"_id":"a"}"#), ("a".into(), None));
    }

    #[test]
    fn of_two_fields_of_one_name_the_last_is_meant() {
        assert_eq!(salvage(r#"{"_id":"a","conversationDuration":1,"conversationDuration":2}"#), ("a".into(), Some(2)));
    }

    #[test]
    fn what_has_no_name_is_named_by_its_bytes() {
        let names: Vec<_> =
            ["{}", "null", "[]", r#""a""#, "{\"\\ud800\":1}", "{ }"].iter().map(|json| salvage(json).0).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(name.starts_with('#') && name.len() == 33, "{name}");
            assert!(!names[..index].contains(name), "{name}");
        }
        assert_eq!(salvage("{}").0, names[0]);
    }

    #[test]
    fn the_fingerprint_is_the_published_one() {
        assert_eq!(fingerprint(b"").to_string(), "#6c62272e07bb014262b821756295c58d");
        assert_eq!(fingerprint(b"a").to_string(), "#d228cb696f1a8caf78912b704e4a8964");
    }
}
