//! Where a record is dated, beside the range that listed it (rule **wrong zone**).

use crate::domain::time::{Range, UnixMillis};

/// A zone-less date is rounded to the second, so a record may seem to lie a second outside.
const ROUNDING: i64 = 1_000;

/// Whether it is dated outside the range.
pub(super) fn is_outside(dated: UnixMillis, range: Range) -> bool {
    distance(dated, range).abs() > ROUNDING
}

/// How far an instant lies outside a range, milliseconds; negative when before it, 0 when inside.
fn distance(instant: UnixMillis, range: Range) -> i64 {
    let (first, last) = (UnixMillis::from_seconds(range.start), UnixMillis::from_seconds(range.end));
    if instant < first { instant.since(first) } else { instant.since(last).max(0) }
}

/// By how much a date outside the range that listed it seems to be off: the conversation began somewhere in the range, and
/// most zones differ by whole hours, all by quarters of one.
pub(super) fn likely_offset(dated: UnixMillis, range: Range) -> i64 {
    let least = distance(dated, range);
    let (near, far) = (least.abs(), least.abs().saturating_add(range.width().saturating_mul(1000)));
    let whole = |minutes: i64| near.saturating_add(minutes * 60_000 - 1) / (minutes * 60_000) * (minutes * 60_000);
    [60, 30, 15].map(whole).into_iter().find(|offset| *offset <= far).map_or(least, |offset| offset * least.signum())
}
