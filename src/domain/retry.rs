//! How long to wait before a failed request is sent again.

use std::time::Duration;

const BASE: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);

/// The wait before retry number `attempt` (0 is the first): doubling from 500 ms to 30 s, its upper half drawn at random.
///
/// `unit_random` is from 0 to 1. Half of the wait stays fixed ("equal jitter"), because "full jitter" may draw next to
/// nothing and ask a struggling upstream again at once; the other half keeps several exporters from marching in step.
pub fn delay(attempt: u32, unit_random: f64) -> Duration {
    let doubled = BASE.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
    let half = doubled.min(CAP) / 2;
    // A NaN passes through clamp and would panic in mul_f64.
    let fraction = if unit_random.is_nan() { 1.0 } else { unit_random.clamp(0.0, 1.0) };
    half + half.mul_f64(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_from_half_a_second_to_thirty() {
        let longest: Vec<_> = (0..9).map(|attempt| delay(attempt, 1.0).as_millis()).collect();
        assert_eq!(longest, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(delay(31, 1.0), CAP);
        assert_eq!(delay(u32::MAX, 1.0), CAP);
    }

    #[test]
    fn never_waits_less_than_half() {
        assert_eq!(delay(0, 0.0), Duration::from_millis(250));
        assert_eq!(delay(2, 0.5), Duration::from_millis(1500));
        assert_eq!(delay(9, 0.0), Duration::from_secs(15));
    }

    #[test]
    fn survives_a_fraction_that_is_none() {
        assert_eq!(delay(0, f64::NAN), Duration::from_millis(500));
        assert_eq!(delay(0, -3.0), Duration::from_millis(250));
        assert_eq!(delay(0, f64::INFINITY), Duration::from_millis(500));
    }
}
