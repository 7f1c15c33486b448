//! When a request is repeated.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The longest pause between two attempts that is of our own choice.
const MOST: Duration = Duration::from_secs(30);

/// The longest pause that a receiver may ask for; beyond it, it is more likely wrong than busy.
pub(super) const MOST_ASKED: Duration = Duration::from_secs(3600);

/// The pause after so many failed attempts: twice as long after each, and between half and all of that, so that many
/// exporters do not come back to a restarted receiver all at once.
pub(super) fn pause(first: Duration, failed: u32, random: f64) -> Duration {
    let most = first.saturating_mul(2u32.saturating_pow(failed.saturating_sub(1))).min(MOST.max(first));
    most.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0))
}

/// A number from 0 to 1: the standard library's random hash keys serve, as nothing here needs to be unpredictable.
pub(super) fn random() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(second, 1, 1.0), second);
        assert_eq!(pause(second, 1, 0.0), second / 2);
        assert_eq!(pause(second, 4, 1.0), second * 8);
        assert_eq!(pause(second, 40, 1.0), MOST);
    }

    #[test]
    fn random_numbers_lie_between_0_and_1() {
        assert!((0..100).map(|_| random()).all(|random| (0.0..=1.0).contains(&random)));
    }
}
