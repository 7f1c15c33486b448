//! Numbers that move between snapshots: counted where it happens, read when they are shown.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::label::{ExportResult, HttpDrop, LabelValue, LogLevel, Tally};
use crate::domain::snapshot::{ConfigLoad, Exports, Live};
use crate::domain::time::UnixMillis;

/// Counts of the web server, the log and the push task, shared by all three.
#[derive(Debug)]
pub struct LiveStats {
    /// By status code; sorted, because that is how they are shown.
    http_requests: Mutex<BTreeMap<u16, u64>>,
    http_dropped: Mutex<Tally<HttpDrop>>,
    /// By [`LogLevel::index`]; without a lock, because messages are logged while locks are held.
    log_messages: [AtomicU64; LogLevel::ALL.len()],
    exports: Option<Mutex<Exports>>,
    config: Mutex<Option<ConfigLoad>>,
}

impl LiveStats {
    /// Everything at zero; the OTLP families are shown only if `pushes`, that is, an endpoint is set.
    pub fn new(pushes: bool) -> Self {
        Self {
            // A rate over the first error needs a zero before it, but codes are many: only the usual one stands ready.
            http_requests: Mutex::new(BTreeMap::from([(200, 0)])),
            http_dropped: Mutex::default(),
            log_messages: Default::default(),
            exports: pushes.then(Mutex::default),
            config: Mutex::default(),
        }
    }

    /// Counts an answer of the web server.
    pub fn count_answer(&self, code: u16) {
        *lock(&self.http_requests).entry(code).or_default() += 1;
    }

    /// Counts a connection of the web server that was closed before its time.
    pub fn count_dropped(&self, why: HttpDrop) {
        lock(&self.http_dropped).count(why);
    }

    /// Counts a log message.
    pub fn count_log(&self, level: LogLevel) {
        self.log_messages[level.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an OTLP export that ended at `now`.
    pub fn count_export(&self, result: ExportResult, now: UnixMillis) {
        if let Some(exports) = &self.exports {
            let mut exports = lock(exports);
            exports.results.count(result);
            if result == ExportResult::Success {
                exports.last_success = Some(now);
            }
        }
    }

    /// The settings hold since `now`.
    pub fn config_loaded(&self, now: UnixMillis) {
        let mut config = lock(&self.config);
        *config = Some(ConfigLoad { settings: true, web: config.is_none_or(|before| before.web), last_success: now });
    }

    /// Others were to hold and cannot be used.
    pub fn config_refused(&self) {
        if let Some(config) = &mut *lock(&self.config) {
            config.settings = false;
        }
    }

    /// The web configuration file was read again at `now`, and holds or cannot be used.
    pub fn web_config_read(&self, holds: bool, now: UnixMillis) {
        if let Some(config) = &mut *lock(&self.config) {
            config.web = holds;
            if holds {
                config.last_success = now;
            }
        }
    }

    /// The numbers at this moment.
    pub fn live(&self) -> Live {
        let mut log_messages = Tally::default();
        for level in LogLevel::ALL {
            log_messages.add(*level, self.log_messages[level.index()].load(Ordering::Relaxed));
        }
        Live {
            http_requests: lock(&self.http_requests).iter().map(|(code, count)| (*code, *count)).collect(),
            http_dropped: lock(&self.http_dropped).clone(),
            log_messages,
            exports: self.exports.as_ref().map(|exports| lock(exports).clone()),
            config: *lock(&self.config),
        }
    }
}

/// A count is whole after every step, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_begin_at_zero_and_keep_the_last_success() {
        let stats = LiveStats::new(true);
        assert_eq!(stats.live().http_requests, [(200, 0)]);
        stats.count_answer(404);
        stats.count_answer(200);
        stats.count_log(LogLevel::Warn);
        stats.count_export(ExportResult::Success, UnixMillis(5));
        stats.count_export(ExportResult::Failure, UnixMillis(9));
        let live = stats.live();
        assert_eq!(live.http_requests, [(200, 1), (404, 1)]);
        assert_eq!(live.log_messages.get(LogLevel::Warn), 1);
        let exports = live.exports.unwrap();
        assert_eq!(exports.last_success, Some(UnixMillis(5)));
        assert_eq!(exports.results.get(ExportResult::Failure), 1);
    }

    #[test]
    fn a_refused_configuration_leaves_the_time_of_the_last_one() {
        let stats = LiveStats::new(false);
        let config = |settings, web, last| Some(ConfigLoad { settings, web, last_success: UnixMillis(last) });
        assert_eq!(stats.live().config, None);
        stats.config_loaded(UnixMillis(5));
        stats.config_refused();
        assert_eq!(stats.live().config, config(false, true, 5));
        stats.config_loaded(UnixMillis(9));
        assert_eq!(stats.live().config, config(true, true, 9));
        // Neither makes up for the other.
        stats.web_config_read(false, UnixMillis(11));
        stats.config_loaded(UnixMillis(12));
        assert_eq!(stats.live().config, config(true, false, 12));
        stats.config_refused();
        stats.web_config_read(true, UnixMillis(13));
        assert_eq!(stats.live().config, config(false, true, 13));
        assert!(!stats.live().config.unwrap().is_successful());
    }

    #[test]
    fn without_an_endpoint_there_are_no_exports() {
        let stats = LiveStats::new(false);
        stats.count_export(ExportResult::Success, UnixMillis(5));
        assert!(stats.live().exports.is_none());
    }
}
