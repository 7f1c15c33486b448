//! Twins of the upstream's JSON (see [`super::lenient`] for how they read it).
//!
//! `user` and `operator.names` are personal data and have no field, so they are never even copied. Unknown keys are
//! ignored.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Count, Obj, Rows, Text};

/// The body of an answer; `R` is what a row is read into.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "R: Deserialize<'de>"))]
pub struct Answer<'a, R> {
    /// `status`: may say that an answer with HTTP status 200 is a failure.
    #[serde(borrow, default)]
    pub status: Option<&'a RawValue>,
    /// `message`: a text or several, not looked at unless something is wrong.
    #[serde(borrow, default)]
    pub message: Option<&'a RawValue>,
    /// `error`: a text, or an object with `code`, `key` and `description`.
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
    /// `results`.
    #[serde(default)]
    pub results: Rows<R>,
    /// `pagination`.
    #[serde(default)]
    pub pagination: Obj<Pagination>,
}

/// `pagination`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Pagination {
    /// How many records the range has.
    #[serde(default)]
    pub total: Count,
}

/// One record of `results`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Record<'a> {
    /// `_id`.
    #[serde(borrow, rename = "_id")]
    pub id: Text<'a>,
    /// `startAt`.
    #[serde(borrow, rename = "startAt")]
    pub start: Text<'a>,
    /// `endAt`.
    #[serde(borrow, rename = "endAt")]
    pub end: Text<'a>,
    /// `state`.
    #[serde(borrow)]
    pub state: Text<'a>,
    /// `endedReason`.
    #[serde(borrow, rename = "endedReason")]
    pub reason: Text<'a>,
    /// `origin`.
    #[serde(borrow)]
    pub origin: Text<'a>,
    /// `bot`.
    #[serde(borrow)]
    pub bot: Obj<Bot<'a>>,
    /// `company`.
    #[serde(borrow)]
    pub company: Obj<Company<'a>>,
    /// `assignationMethod`.
    #[serde(borrow, rename = "assignationMethod")]
    pub assignment: Obj<Assignment<'a>>,
    /// `operator`.
    #[serde(borrow)]
    pub operator: Obj<Operator<'a>>,
    /// `timeRepliedOperator`, milliseconds.
    #[serde(rename = "timeRepliedOperator")]
    pub reply: Count,
    /// `conversationDuration`, milliseconds.
    #[serde(rename = "conversationDuration")]
    pub duration: Count,
}

/// `bot`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Bot<'a> {
    /// The bot's name.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// `company`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Company<'a> {
    /// The company's id, a number or a text.
    #[serde(borrow)]
    pub id: Text<'a>,
}

/// `assignationMethod`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Assignment<'a> {
    /// The team.
    #[serde(borrow, rename = "teamName")]
    pub team: Text<'a>,
}

/// `operator`, without the person.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Operator<'a> {
    /// The operator's teams, comma-joined.
    #[serde(borrow)]
    pub team: Text<'a>,
}
