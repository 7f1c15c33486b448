//! `rate_limit`: a token bucket for all requests together.

use std::time::Duration;

use crate::config::duration::parse_duration;

use super::section::{Findings, Section};

/// How many requests are answered in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run, one request in each of these.
    pub interval: Duration,
    /// So many at once.
    pub burst: u32,
}

/// Reads the section; an interval of 0 switches the limit off.
pub(super) fn read(mut section: Section, findings: &mut Findings) -> Option<Rate> {
    let (interval, burst) = (section.text("interval", findings), section.text("burst", findings));
    let interval = match interval.as_deref() {
        None | Some("0") => return None,
        Some(text) => match parse_duration(text) {
            Ok(Duration::ZERO) => return None,
            Ok(interval) => Some(interval),
            Err(why) => {
                findings.refuse(&section.key("interval"), Some(text), why);
                None
            }
        },
    };
    let burst = match burst.as_deref().unwrap_or("0").parse::<u32>() {
        Ok(0) => {
            let what = "at least 1 is wanted: with 0 no request would ever be answered";
            findings.refuse(&section.key("burst"), burst.as_deref(), what);
            None
        }
        Ok(burst) => Some(burst),
        Err(_) => {
            findings.refuse(&section.key("burst"), burst.as_deref(), "a whole number is wanted");
            None
        }
    };
    Some(Rate { interval: interval?, burst: burst? })
}
