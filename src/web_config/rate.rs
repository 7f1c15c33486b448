//! `rate_limit`: a token bucket for all requests together.

use std::time::Duration;

use super::go_duration;
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
    let number = match burst.as_deref().map(str::parse::<u32>) {
        Some(Err(_)) => {
            findings.refuse(&section.key("burst"), burst.as_deref(), "a whole number is wanted");
            None
        }
        Some(Ok(number)) => Some(number),
        None => Some(0),
    };
    let Some(text) = interval else {
        if burst.is_some() {
            let what = "the time between two requests is wanted beside a burst, or nothing would be limited; 0 switches the limit off";
            findings.refuse(&section.key("interval"), None, what);
        }
        return None;
    };
    let interval = match go_duration::parse(&text) {
        Ok(Duration::ZERO) => return None,
        Ok(interval) => Some(interval),
        Err(why) => {
            findings.refuse(&section.key("interval"), Some(&text), why);
            None
        }
    };
    if number == Some(0) {
        let what = "at least 1 is wanted: with 0 no request would ever be answered";
        findings.refuse(&section.key("burst"), burst.as_deref(), what);
        return None;
    }
    Some(Rate { interval: interval?, burst: number? })
}
