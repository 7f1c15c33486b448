//! How many known conversations started when, for telling how many pages a range will take.

use std::collections::BTreeMap;

/// Counts by second. They are kept a minute together: over a busy week that is a fraction of a count for each second.
#[derive(Debug, Default)]
pub(super) struct Starts(BTreeMap<i64, Box<Minute>>);

const SECONDS: i64 = 60;

#[derive(Debug)]
struct Minute {
    all: u32,
    by_second: [u32; SECONDS as usize],
}

impl Starts {
    /// A conversation that started in this second is known.
    pub(super) fn add(&mut self, second: i64) {
        let empty = || Box::new(Minute { all: 0, by_second: [0; SECONDS as usize] });
        let minute = self.0.entry(second.div_euclid(SECONDS)).or_insert_with(empty);
        minute.all += 1;
        minute.by_second[second.rem_euclid(SECONDS) as usize] += 1;
    }

    /// One that was added is known no longer.
    pub(super) fn take(&mut self, second: i64) {
        let Some(minute) = self.0.get_mut(&second.div_euclid(SECONDS)) else { return };
        minute.all -= 1;
        minute.by_second[second.rem_euclid(SECONDS) as usize] -= 1;
        if minute.all == 0 {
            self.0.remove(&second.div_euclid(SECONDS));
        }
    }

    /// How many started from `first` to `last`, both included. It counts no further than beyond `most`, for half the ledger
    /// may lie between two seconds.
    pub(super) fn between(&self, first: i64, last: i64, most: u64) -> u64 {
        let mut known = 0;
        if first <= last {
            for (number, minute) in self.0.range(first.div_euclid(SECONDS)..=last.div_euclid(SECONDS)) {
                known += u64::from(minute.between(first - number * SECONDS, last - number * SECONDS));
                if known > most {
                    break;
                }
            }
        }
        known
    }
}

impl Minute {
    /// From second `first` to `last` of this minute, as far as they lie in it.
    fn between(&self, first: i64, last: i64) -> u32 {
        if first <= 0 && last >= SECONDS - 1 {
            return self.all;
        }
        let (first, last) = (first.max(0) as usize, last.min(SECONDS - 1) as usize);
        self.by_second[first..=last].iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn counts_are_those_of_the_seconds(seconds in prop::collection::vec(-300..300i64, 0..60), taken in 0..60usize, most in 0..40u64, first in -400..400i64, width in -5..500i64) {
            let mut starts = Starts::default();
            seconds.iter().for_each(|second| starts.add(*second));
            let taken = taken.min(seconds.len());
            seconds[..taken].iter().for_each(|second| starts.take(*second));
            let last = first + width;
            let expected = seconds[taken..].iter().filter(|second| (first..=last).contains(*second)).count();
            prop_assert_eq!(starts.between(first, last, u64::MAX), expected as u64);
            prop_assert_eq!(starts.between(first, last, most) > most, expected as u64 > most);
            prop_assert!(taken < seconds.len() || starts.0.is_empty());
        }
    }
}
