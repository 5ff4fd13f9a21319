//! Pauses with full jitter: random between 0 and a bound that doubles up to a cap, so that clients do not come in waves.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    bound: Duration,
    /// A pause that was asked for was kept, and no attempt has succeeded since.
    sent_away: bool,
}

impl Backoff {
    pub(crate) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, bound: min, sent_away: false }
    }

    /// How long to wait after the end of a connection, for which the broker may have asked for a pause. A broker that sends
    /// everyone away who comes must not be asked all the time.
    pub(crate) fn after(&mut self, asked: Option<Duration>) -> Duration {
        match asked {
            // Kept as it is the first time: the broker spreads those it sends away over the pause that it names.
            Some(asked) if !std::mem::replace(&mut self.sent_away, true) => asked,
            asked => asked.unwrap_or_default().max(self.next()),
        }
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
        self.sent_away = false;
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
    fn a_pause_that_is_asked_for_is_kept_and_the_next_one_grows() {
        let (min, max) = (Duration::from_secs(100), Duration::from_secs(800));
        let mut backoff = Backoff::new(min, max);
        let asked = Some(Duration::from_millis(7));
        assert_eq!(backoff.after(asked), Duration::from_millis(7));
        let longest = (0..50).map(|_| backoff.after(asked)).max().unwrap();
        assert!(longest > min, "{longest:?}");
        assert!(backoff.after(Some(2 * max)) == 2 * max, "never less than what is asked for");
        backoff.reset();
        assert_eq!(backoff.after(asked), Duration::from_millis(7));
    }

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
