//! Whether the reply target was met: the rules **eligible** and **decided**, without what is counted of them.

use super::LedgerSettings;
use super::entry::{Decision, Entry};
use crate::domain::conversation::Conversation;
use crate::domain::time::UnixMillis;

/// How long after the target a request must have been sent for the clock to decide: the upstream may be a little slow
/// to show a reply.
const DECISION_MARGIN: i64 = 60_000;

/// Whether a customer was waiting who could be kept waiting too long (rule **eligible**).
pub(super) fn is_eligible(reading: &Conversation, settings: &LedgerSettings) -> bool {
    if settings.excluded_origins.contains(&reading.origin) {
        return false;
    }
    let handed_on_in_time = reading.is_ended()
        && reading.reply.is_none()
        && reading.is_transferred()
        && reading.duration().is_some_and(|duration| duration < settings.reply_target);
    !handed_on_in_time
}

/// What the reading decides about the reply target (rule **decided**).
pub(super) fn decide(
    reading: &Conversation,
    entry: &Entry,
    settings: &LedgerSettings,
    seen_at: UnixMillis,
) -> Option<Decision> {
    if !is_eligible(reading, settings) {
        return None;
    }
    if let Some(reply) = reading.reply {
        return Some(if reply <= settings.reply_target { Decision::Met } else { Decision::Missed });
    }
    if reading.is_ended() {
        return Some(Decision::Missed);
    }
    let too_late = reading.start + clamped(settings.reply_target) + DECISION_MARGIN;
    (!entry.is_outside() && seen_at >= too_late).then_some(Decision::Missed)
}

/// Whether anything that a decision hangs on has changed.
pub(super) fn decides_anew(before: &Entry, now: &Entry) -> bool {
    before.reply != now.reply
        || before.is_active() != now.is_active()
        || before.state != now.state
        || before.reason != now.reason
        || before.duration != now.duration
        || before.origin != now.origin
        || before.start != now.start
        || before.is_outside() != now.is_outside()
}

fn clamped(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
