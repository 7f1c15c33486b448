//! Promise "never hammered": requests keep their distance, and the silence that was asked for.

use crate::domain::time::UnixMillis;
use crate::jelou::ApiError;

/// The requests of one process, by the true time.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Milliseconds that requests keep between them.
    distance: i64,
    /// None may be sent before.
    not_before: i64,
}

impl Pace {
    pub(super) fn new(requests_per_second: f64) -> Self {
        Self { distance: (1000.0 / requests_per_second).ceil() as i64, not_before: 0 }
    }

    pub(super) fn asked(&mut self, now: i64) -> Result<(), String> {
        if now < self.not_before {
            return Err(format!("a request {} ms too early", self.not_before - now));
        }
        self.not_before = now + self.distance;
        Ok(())
    }

    pub(super) fn refused(&mut self, now: i64, error: &ApiError) {
        if let Some(silence) = error.retry_after() {
            let until = UnixMillis(now) + i64::try_from(silence.as_millis()).unwrap_or(i64::MAX);
            self.not_before = self.not_before.max(until.0);
        }
    }
}
