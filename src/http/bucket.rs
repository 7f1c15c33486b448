//! A token bucket: so many requests at once, then one in each interval.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::web_config::Rate;

/// Requests that may still be answered.
#[derive(Debug, Default)]
pub(super) struct Bucket(Mutex<Option<Level>>);

#[derive(Clone, Copy, Debug)]
struct Level {
    rate: Rate,
    /// In requests.
    left: f64,
    at: Instant,
}

impl Bucket {
    /// Takes one, if there is one; a rate that was changed begins with a full bucket.
    pub(super) fn take(&self, rate: Rate) -> bool {
        let now = Instant::now();
        let burst = f64::from(rate.burst);
        let mut level = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = match *level {
            Some(level) if level.rate == rate => {
                let gained = (now - level.at).as_secs_f64() / rate.interval.as_secs_f64();
                Level { left: (level.left + gained).min(burst), at: now, ..level }
            }
            _ => Level { rate, left: burst, at: now },
        };
        let taken = new.left >= 1.0;
        if taken {
            new.left -= 1.0;
        }
        *level = Some(new);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_burst_then_one_in_each_interval() {
        let (bucket, rate) = (Bucket::default(), Rate { interval: Duration::from_secs(2), burst: 3 });
        assert_eq!([0; 4].map(|_| bucket.take(rate)), [true, true, true, false]);
        advance(Duration::from_secs(1)).await;
        assert!(!bucket.take(rate));
        advance(Duration::from_secs(1)).await;
        assert_eq!([0; 2].map(|_| bucket.take(rate)), [true, false]);
        advance(Duration::from_secs(100)).await;
        assert_eq!([0; 4].map(|_| bucket.take(rate)), [true, true, true, false]);
        assert!(bucket.take(Rate { burst: 1, ..rate }));
    }
}
