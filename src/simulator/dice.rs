//! Chance that falls the same way every time: SplitMix64 over a seed.
//!
//! Own code rather than a crate, because the worlds that tests rely on must not change with a dependency.

/// A stream of numbers that depends on nothing but its seed.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    /// The stream of these numbers together; their order matters.
    pub(super) fn of(parts: &[u64]) -> Self {
        let mut dice = Self(0x9E37_79B9_7F4A_7C15);
        for part in parts {
            dice.0 ^= part.wrapping_mul(0xD6E8_FEB8_6659_FD93);
            dice.0 = dice.next();
        }
        dice
    }

    /// The stream of a text.
    pub(super) fn of_text(salt: u64, text: &str) -> Self {
        // FNV-1a.
        let hash = text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Self::of(&[salt, hash])
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something of this probability happens.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((self.unit() * bound as f64) as usize).min(bound.saturating_sub(1))
    }

    /// A number in [low, high).
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    /// The index of one of these weights, the heavier the likelier; 0 when there is no weight at all.
    pub(super) fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.unit() * weights.clone().sum::<f64>();
        let mut last = 0;
        for (index, weight) in weights.enumerate() {
            last = index;
            left -= weight;
            if left < 0.0 {
                break;
            }
        }
        last
    }

    /// A number of the standard normal distribution (Box-Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A log-normal number: half of them lie below the median, a `spread` of 1 makes one in six more than e times it.
    pub(super) fn log_normal(&mut self, median: f64, spread: f64) -> f64 {
        median * (self.normal() * spread).exp()
    }

    /// How many of independent events fall into a stretch that holds `mean` of them on average.
    pub(super) fn poisson(&mut self, mean: f64) -> usize {
        if mean > 30.0 {
            // e^-mean soon underflows; the normal distribution is close enough here.
            return (mean + self.normal() * mean.sqrt()).round().max(0.0) as usize;
        }
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_falls_the_same_way() {
        let rolls = |parts: &[u64]| {
            let mut dice = Dice::of(parts);
            (0..8).map(|_| dice.next()).collect::<Vec<_>>()
        };
        assert_eq!(rolls(&[1, 2]), rolls(&[1, 2]));
        assert_ne!(rolls(&[1, 2]), rolls(&[2, 1]));
        assert_eq!(rolls(&[1, 2])[0], 0x8BC6_8783_B714_1ADD, "the worlds of all tests would change");
    }

    #[test]
    fn averages_come_out() {
        let mut dice = Dice::of(&[7]);
        for mean in [0.4, 5.0, 80.0] {
            let sum: usize = (0..4000).map(|_| dice.poisson(mean)).sum();
            assert!((sum as f64 / 4000.0 - mean).abs() < mean * 0.1, "{sum} for {mean}");
        }
        assert_eq!(dice.poisson(0.0), 0);
        let heavy = (0..4000).filter(|_| dice.weighted([1.0, 3.0].into_iter()) == 1).count();
        assert!((2800..3200).contains(&heavy), "{heavy}");
        assert!((0..4000).all(|_| dice.below(3) < 3));
    }
}
