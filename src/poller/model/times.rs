//! Times of one series, every one kept, and what the buckets over them have to be.

use std::collections::BTreeMap;

use crate::domain::distribution::Distribution;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Times {
    values: Vec<u64>,
    /// Bounds that came when there were values already: how many these were, and what was shown for them then.
    late: BTreeMap<u64, Late>,
    /// Every bound that was ever counted.
    counted: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Late {
    values_before: usize,
    /// Not known before it is shown.
    shown_for_these: Option<u64>,
}

impl Times {
    pub(super) fn add(&mut self, value: u64) {
        self.values.push(value);
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.late.clear();
    }

    /// From now on these bounds are counted, too (rule **bounds**).
    pub(super) fn bound_by(&mut self, bounds: &[u64]) {
        for bound in bounds {
            if !self.counted.contains(bound) {
                self.counted.push(*bound);
                if !self.values.is_empty() {
                    let late = Late { values_before: self.values.len(), shown_for_these: None };
                    self.late.insert(*bound, late);
                }
            }
        }
    }

    /// Compares with what is shown; the first look at a late bound is remembered.
    pub(super) fn check(&mut self, shown: &Distribution, bounds: &[u64]) -> Result<(), String> {
        self.bound_by(bounds);
        let sum: u128 = self.values.iter().map(|value| u128::from(*value)).sum();
        same("count", shown.count(), self.values.len() as u64)?;
        same("sum", shown.sum_millis(), sum)?;
        let buckets: Vec<(u64, u64)> = shown.buckets().collect();
        same("bounds", buckets.iter().map(|(bound, _)| *bound).collect::<Vec<_>>(), bounds.to_vec())?;
        if buckets.windows(2).any(|pair| pair[0].1 > pair[1].1) || buckets.iter().any(|(_, many)| *many > shown.count())
        {
            return Err(format!("buckets go down: {buckets:?} of {}", shown.count()));
        }
        for (bound, many) in buckets {
            self.check_bound(bound, many)?;
        }
        let exponential = shown.exponential(160);
        let counted = exponential.zeros + exponential.counts.iter().map(|(_, count)| count).sum::<u64>();
        same("exponential buckets", counted, self.values.len() as u64)
    }

    fn check_bound(&mut self, bound: u64, many: u64) -> Result<(), String> {
        let Some(late) = self.late.get(&bound).copied() else {
            return same(&format!("le {bound}"), many, below(&self.values, bound));
        };
        let (before, after) = self.values.split_at(late.values_before);
        let after = below(after, bound);
        match late.shown_for_these {
            Some(known) => same(&format!("late le {bound}"), many, known + after),
            None => {
                // HDR's bins are less than a percent wide.
                let (least, most) =
                    (below(before, (bound - bound / 100).saturating_sub(1)), below(before, bound + bound / 100 + 1));
                if many < least + after || many > most + after {
                    return Err(format!("new le {bound}: {many}, not {least} to {most} and {after}"));
                }
                let known = Late { shown_for_these: Some(many - after), ..late };
                self.late.insert(bound, known);
                Ok(())
            }
        }
    }
}

fn below(values: &[u64], bound: u64) -> u64 {
    values.iter().filter(|value| **value <= bound).count() as u64
}

/// What is shown has to be what was reckoned.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, shown: T, reckoned: T) -> Result<(), String> {
    if shown == reckoned { Ok(()) } else { Err(format!("{what}: shown {shown:?}, reckoned {reckoned:?}")) }
}
