//! How often the upstream is asked, and how far back.

use std::time::Duration;

use super::duration::format_duration;
use super::reader::{LONGER_THAN_ZERO, Reader};
use super::values::switch;

/// Settings of the section `poll`. `overlap` is shorter than `horizon`, `initial_lookback` at most as long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollSettings {
    /// From the start of a poll to the start of the next.
    pub interval: Duration,
    /// The newest stretch, read at every poll.
    pub overlap: Duration,
    /// How old a start is still asked for.
    pub horizon: Duration,
    /// How often everything back to the horizon is read again.
    pub sweep_interval: Duration,
    /// How much history the first start reads; may be zero.
    pub initial_lookback: Duration,
    /// Whether that history is counted.
    pub count_initial: bool,
}

/// Ranges that the upstream is asked for are whole seconds, so shorter stretches would be empty.
const ONE_SECOND: Duration = Duration::from_secs(1);

/// Reads the section.
pub(super) fn read(from: &mut Reader<'_>) -> Option<PollSettings> {
    let interval = from.duration("poll.interval", LONGER_THAN_ZERO);
    let overlap = from.duration("poll.overlap", ONE_SECOND);
    let horizon = from.duration("poll.horizon", ONE_SECOND);
    let sweep_interval = from.duration("poll.sweep_interval", LONGER_THAN_ZERO);
    let initial_lookback = from.duration("poll.initial_lookback", Duration::ZERO);
    let count_initial = from.value("poll.count_initial", switch);
    if let Some(horizon) = horizon {
        let limit = format_duration(horizon);
        if overlap.is_some_and(|overlap| overlap >= horizon) {
            from.refuse("poll.overlap", format!("it must be shorter than poll.horizon ({limit})"));
        }
        if initial_lookback.is_some_and(|lookback| lookback > horizon) {
            from.refuse("poll.initial_lookback", format!("it must be at most poll.horizon ({limit})"));
        }
    }
    if let (Some(interval), Some(overlap)) = (interval, overlap)
        && interval > overlap
    {
        let what = "is longer than poll.overlap: what the API lists late may be found only by the sweep";
        from.warnings.push(format!("poll.interval {what}"));
    }
    Some(PollSettings {
        interval: interval?,
        overlap: overlap?,
        horizon: horizon?,
        sweep_interval: sweep_interval?,
        initial_lookback: initial_lookback?,
        count_initial: count_initial?,
    })
}
