//! The body of a 200: bytes to rows.

use jiff::tz::TimeZone;
use serde_json::value::RawValue;

use super::dates::Dates;
use super::error::BodyError;
use super::lenient::{Obj, Rows};
use super::names::Names;
use super::wire::{Answer, Pagination, Record};
use super::{message, salvage};
use crate::domain::conversation::{Conversation, ConversationId, Origin, Reason, State, bot_label, label, team_label};
use crate::domain::reading::{Rejected, Row};
use crate::domain::time::{Range, UnixMillis};

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

/// The longest id that is kept as it is, in bytes.
const LONGEST_ID: usize = 128;

/// What a body says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The rows in the order in which they were listed.
    pub rows: Vec<Row>,
    /// `pagination.total`, when it can be read.
    pub total: Option<u64>,
}

/// Reads the answer to a question about `range`, dates without a zone in `zone`.
///
/// One pass with borrowed texts, which is nearly all there is to the speed. Only a page that this pass cannot read, or
/// that has a row without a name of its own, is read again row by row, so that a bad row costs nothing but itself.
///
/// # Errors
/// When the body is no page at all, or says that the request failed.
pub fn decode(body: &[u8], range: Range, zone: &TimeZone) -> Result<Decoded, BodyError> {
    let dates = Dates::new(zone, range);
    if let Ok(answer) = serde_json::from_slice::<Obj<Answer<'_, Obj<Record<'_>>>>>(body) {
        let (records, pagination) = listed(answer)?;
        if let Some(rows) = in_one_pass(&records, &dates) {
            return Ok(Decoded::new(rows, pagination));
        }
    }
    row_by_row(body, &dates)
}

fn in_one_pass(records: &[Obj<Record<'_>>], dates: &Dates<'_>) -> Option<Vec<Row>> {
    let mut names = Names::default();
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        rows.push(row(record.get()?, dates, &mut names)?);
    }
    Some(rows)
}

fn row_by_row(body: &[u8], dates: &Dates<'_>) -> Result<Decoded, BodyError> {
    // A broken letter, in a customer's name say, must not cost the page.
    let text = String::from_utf8_lossy(body);
    let answer = serde_json::from_str::<Obj<Answer<'_, &RawValue>>>(&text)
        .map_err(|error| if error.is_eof() { BodyError::Cut } else { BodyError::not_json(&text) })?;
    let (records, pagination) = listed(answer)?;
    let mut names = Names::default();
    let rows = records.into_iter().map(|raw| salvage::read(raw, |record| row(record, dates, &mut names))).collect();
    Ok(Decoded::new(rows, pagination))
}

/// The rows as they are listed, if the answer is no failure.
fn listed<R>(Obj(answer): Obj<Answer<'_, R>>) -> Result<(Vec<R>, Pagination), BodyError> {
    let Some(mut answer) = answer else { return Err(BodyError::NoResults(None)) };
    if answer.status.is_some_and(message::is_failure) {
        return Err(BodyError::Failure(message::in_answer(&answer)));
    }
    match std::mem::take(&mut answer.results) {
        Rows::Listed(rows) => Ok((rows, answer.pagination.0.unwrap_or_default())),
        Rows::TooMany => Err(BodyError::TooManyRows),
        Rows::Missing => Err(BodyError::NoResults(message::in_answer(&answer))),
    }
}

/// The row that a record makes; `None` without an `_id`: it needs a name that only its bytes can give.
fn row(record: &Record<'_>, dates: &Dates<'_>, names: &mut Names) -> Option<Row> {
    let id = match record.id.get().filter(|id| !id.is_empty())? {
        id if id.len() <= LONGEST_ID => ConversationId::from(id),
        // It is remembered for as long as the conversation is, so what stands for it must not be long.
        id => salvage::fingerprint(id.as_bytes()),
    };
    Some(match record.start.get().and_then(|text| dates.start(text)) {
        Some(start) => Row::Conversation(conversation(id, start, record, dates, names)),
        None => Row::Rejected(Rejected { identity: id, why: "startAt is missing or no date" }),
    })
}

fn conversation(
    id: ConversationId,
    start: UnixMillis,
    record: &Record<'_>,
    dates: &Dates<'_>,
    names: &mut Names,
) -> Conversation {
    let team = record.assignment.get().and_then(|assignment| assignment.team.get());
    let operator_team = record.operator.get().and_then(|operator| operator.team.get());
    let company = record.company.get().and_then(|company| company.id.get()).map(label).filter(|id| !id.is_empty());
    Conversation {
        id,
        start,
        end: record.end.get().and_then(|text| dates.end(text, start)),
        state: State::read(record.state.get()),
        reason: Reason::read(record.reason.get()),
        origin: Origin::read(record.origin.get()),
        bot: names.shared(bot_label(record.bot.get().and_then(|bot| bot.name.get()))),
        team: names.shared(team_label(team, operator_team)),
        company: company.map(|id| names.shared(id)),
        reply: record.reply.0,
        stated_duration: record.duration.0,
    }
}

impl Decoded {
    const fn new(rows: Vec<Row>, pagination: Pagination) -> Self {
        Self { rows, total: pagination.total.0 }
    }
}
