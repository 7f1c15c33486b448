//! The settings of one process, small enough for an hour to show what weeks show otherwise.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use fastrand::Rng;

use super::history::one_of;
use crate::config::{Config, Profile, Sources};
use crate::domain::conversation::Origin;

/// What a restart may change, in seconds where not said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Settings {
    pub(super) interval: u64,
    pub(super) overlap: u64,
    pub(super) horizon: u64,
    pub(super) sweep_interval: u64,
    pub(super) lookback: u64,
    pub(super) count_initial: bool,
    pub(super) page_size: u32,
    pub(super) requests_per_second: f64,
    /// Milliseconds.
    pub(super) reply_bounds: Vec<u64>,
    /// Milliseconds.
    pub(super) duration_bounds: Vec<u64>,
    pub(super) schema: i8,
    pub(super) target: u64,
    pub(super) excluded: Vec<Origin>,
    pub(super) recent_window: u64,
    pub(super) max_label_sets: usize,
    pub(super) stale_after: u64,
}

impl Settings {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let horizon = one_of(rng, &[1800, 3600, 7200, 7200]);
        Self {
            interval: one_of(rng, &[30, 60, 60, 120]),
            overlap: one_of(rng, &[30, 120, 300, 600]),
            horizon,
            sweep_interval: one_of(rng, &[300, 600, 1200]),
            lookback: one_of(rng, &[0, 300, 1800]).min(horizon),
            count_initial: rng.u32(..4) == 0,
            page_size: rng.u32(2..8),
            requests_per_second: one_of(rng, &[1.0, 2.0, 5.0]),
            reply_bounds: bounds(rng),
            duration_bounds: bounds(rng),
            schema: rng.i8(-2..6),
            target: target(rng),
            excluded: excluded(rng),
            recent_window: one_of(rng, &[120, 900]),
            max_label_sets: cap(rng),
            stale_after: one_of(rng, &[150, 900]),
        }
    }

    /// Somebody changes the configuration.
    pub(super) fn change(&mut self, rng: &mut Rng) {
        for _ in 0..rng.u32(1..4) {
            match rng.u32(..9) {
                0 => self.overlap = one_of(rng, &[30, 120, 300, 600]),
                1 => self.horizon = one_of(rng, &[1800, 3600, 7200]),
                2 => self.page_size = rng.u32(2..8),
                3 => self.reply_bounds = bounds(rng),
                4 => self.duration_bounds = bounds(rng),
                5 => self.target = target(rng),
                6 => self.excluded = excluded(rng),
                7 => self.max_label_sets = cap(rng),
                _ => self.schema = rng.i8(-2..6),
            }
        }
        self.lookback = self.lookback.min(self.horizon);
    }

    /// As the configuration would have it.
    pub(super) fn config(&self) -> Config {
        let mut config = defaults().clone();
        let seconds = Duration::from_secs;
        config.api.page_size = self.page_size;
        config.api.requests_per_second = self.requests_per_second;
        config.poll.interval = seconds(self.interval);
        config.poll.overlap = seconds(self.overlap);
        config.poll.horizon = seconds(self.horizon);
        config.poll.sweep_interval = seconds(self.sweep_interval);
        config.poll.initial_lookback = seconds(self.lookback);
        config.poll.count_initial = self.count_initial;
        config.metrics.reply_bounds = self.reply_bounds();
        config.metrics.duration_bounds.clone_from(&self.duration_bounds);
        config.metrics.schema = self.schema;
        config.metrics.reply_target = seconds(self.target);
        config.metrics.excluded_origins.clone_from(&self.excluded);
        config.metrics.recent_window = seconds(self.recent_window);
        config.metrics.max_label_sets = self.max_label_sets;
        config.metrics.stale_after = seconds(self.stale_after);
        config
    }

    /// The target is always a bound.
    pub(super) fn reply_bounds(&self) -> Vec<u64> {
        let mut bounds = self.reply_bounds.clone();
        bounds.push(self.target * 1000);
        bounds.sort_unstable();
        bounds.dedup();
        bounds
    }
}

fn bounds(rng: &mut Rng) -> Vec<u64> {
    let mut bounds = vec![0, 1000, 5000, 30_000, 60_000, 200_000, 300_000, 600_000, 1_200_000];
    rng.shuffle(&mut bounds);
    bounds.truncate(rng.usize(1..6));
    bounds.sort_unstable();
    bounds
}

fn target(rng: &mut Rng) -> u64 {
    one_of(rng, &[60, 300])
}

fn cap(rng: &mut Rng) -> usize {
    one_of(rng, &[2, 3, 4, 100, 100])
}

fn excluded(rng: &mut Rng) -> Vec<Origin> {
    [vec![], vec![Origin::Broadcast], vec![Origin::Broadcast, Origin::InducedByOperator]][rng.usize(..3)].clone()
}

fn defaults() -> &'static Config {
    static DEFAULTS: OnceLock<Config> = OnceLock::new();
    DEFAULTS.get_or_init(|| {
        let flags = BTreeMap::from([("api.client_id", "me".to_owned())]);
        let secret = ("JELOU_EXPORTER_API_CLIENT_SECRET".to_owned(), "secret".to_owned());
        let env = BTreeMap::from([secret]);
        let read_file = |_: &std::path::Path| Err(std::io::ErrorKind::NotFound.into());
        Config::read(Sources { flags, env: &env, file: None, read_file: &read_file, profile: Profile::RUN }).unwrap()
    })
}
