//! A token bucket: so many a second, with bursts of as many as one second brings.

use std::time::Instant;

/// Counts down with use and up with time.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    tokens: f64,
    filled: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(per_second: u32, now: Instant) -> Self {
        Self { tokens: f64::from(per_second), filled: now }
    }

    /// Takes one token if there is one. `per_second` may change between calls.
    pub fn take(&mut self, per_second: u32, now: Instant) -> bool {
        let rate = f64::from(per_second);
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * rate).min(rate);
        self.filled = now;
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }

    /// Takes what something has cost beside the token that was taken for it. What is not there is owed, so that whatever costs
    /// more than the bucket holds can be done, but not often.
    pub fn owe(&mut self, cost: u32) {
        self.tokens -= f64::from(cost);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_owed_is_paid_before_anything_else() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, start);
        assert!(bucket.take(10, start));
        bucket.owe(24);
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        assert!(!bucket.take(10, start) && !bucket.take(10, at(1.5)));
        assert!(bucket.take(10, at(1.7)));
    }

    #[test]
    fn exactly_the_rate_passes() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(10, start);
        assert_eq!((0..20).filter(|_| bucket.take(10, start)).count(), 10);
        let later = start + Duration::from_millis(500);
        assert_eq!((0..20).filter(|_| bucket.take(10, later)).count(), 5);
        let much_later = start + Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| bucket.take(10, much_later)).count(), 10);
    }
}
