//! Pauses with full jitter: random between 0 and a bound that doubles up to a cap, so that clients do not come in waves.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    bound: Duration,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, bound: min }
    }

    /// How long to wait before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        let bound = self.bound.min(self.max);
        self.bound = bound.saturating_mul(2);
        bound.mul_f64(random_unit())
    }

    /// An attempt succeeded.
    pub(crate) fn reset(&mut self) {
        self.bound = self.min;
    }
}

/// A random number: the standard library's hashers are seeded by the system.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

fn random_unit() -> f64 {
    (random() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_random_below_a_bound_that_doubles_to_its_cap() {
        let (min, max) = (Duration::from_millis(100), Duration::from_millis(350));
        let mut backoff = Backoff::new(min, max);
        for bound in [100, 200, 350, 350] {
            assert!(backoff.next() <= Duration::from_millis(bound));
        }
        backoff.reset();
        assert!((0..50).all(|_| Backoff::new(min, max).next() <= min));
        let several: Vec<Duration> = (0..20).map(|_| Backoff::new(min, max).next()).collect();
        assert!(several.iter().any(|pause| *pause != several[0]));
    }
}
