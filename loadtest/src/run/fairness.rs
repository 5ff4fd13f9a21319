//! How evenly a server serves its subscribers: whether it is always the same ones who are late.

use serde::{Deserialize, Serialize};

use crate::clock::MILLISECOND;

/// How the subscribers' average latencies compare. Slow readers, and who has got nothing, are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fairness {
    /// Jain's index: 1 when all are the same, 1/n when one bears everything.
    pub index: f64,
    /// The average of the slowest tenth, as a multiple of the median subscriber's.
    pub slowest_tenth: f64,
    /// From the fastest subscriber to the slowest.
    pub spread_ms: f64,
    /// How many subscribers.
    pub subscribers: usize,
}

impl Fairness {
    /// Of the subscribers with these average latencies.
    #[must_use]
    pub fn of(mut typical_ns: Vec<u64>) -> Self {
        typical_ns.sort_unstable();
        let (Some(&least), Some(&most)) = (typical_ns.first(), typical_ns.last()) else {
            return Self { index: 1.0, slowest_tenth: 1.0, ..Self::default() };
        };
        let count = typical_ns.len();
        let sum = |values: &[u64]| values.iter().map(|&ns| ns as f64).sum::<f64>();
        let squares: f64 = typical_ns.iter().map(|&ns| (ns as f64).powi(2)).sum();
        let slowest = &typical_ns[count - count.div_ceil(10)..];
        let median = typical_ns[count / 2].max(1) as f64;
        Self {
            index: if squares > 0.0 { sum(&typical_ns).powi(2) / (count as f64 * squares) } else { 1.0 },
            slowest_tenth: sum(slowest) / slowest.len() as f64 / median,
            spread_ms: (most - least) as f64 / MILLISECOND as f64,
            subscribers: count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_are_fair_and_one_who_waits_for_all_is_not() {
        let equal = Fairness::of(vec![5 * MILLISECOND; 20]);
        assert!((equal.index - 1.0).abs() < 1e-9 && (equal.slowest_tenth - 1.0).abs() < 1e-9);
        let mut one = vec![MILLISECOND; 10];
        one[3] = 100 * MILLISECOND;
        let unfair = Fairness::of(one);
        assert!((unfair.index - 109.0_f64.powi(2) / (10.0 * 10_009.0)).abs() < 1e-6, "{unfair:?}");
        assert!((unfair.slowest_tenth - 100.0).abs() < 1e-6 && (unfair.spread_ms - 99.0).abs() < 1e-6);
        assert_eq!(Fairness::of(Vec::new()).subscribers, 0);
    }
}
