//! What a few repeats allow one to say.

use serde::{Deserialize, Serialize};

/// 97.5 % points of Student's t for 1 to 20 degrees of freedom.
const T: [f64; 20] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086,
];

/// A ratio with its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The geometric mean of the paired ratios.
    pub ratio: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Ratio {
    /// Of pairs (one, other), one pair for each repeat: other divided by one. The logarithms of the ratios are taken
    /// as normally distributed, and pairing takes out what a repeat did to both. `None` when there are fewer than two
    /// pairs or a figure is not positive.
    #[must_use]
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let usable = |&(one, other): &(f64, f64)| one > 0.0 && other > 0.0 && (other / one).is_finite();
        if pairs.len() < 2 || !pairs.iter().all(usable) {
            return None;
        }
        let logs: Vec<f64> = pairs.iter().map(|(one, other)| (other / one).ln()).collect();
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let t = T.get(logs.len() - 2).copied().unwrap_or(1.96);
        let reach = t * (variance / count).sqrt();
        Some(Self { ratio: mean.exp(), low: (mean - reach).exp(), high: (mean + reach).exp() })
    }

    /// Whether the interval leaves out 1.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_difference_is_significant_and_noise_is_not() {
        let steady = Ratio::of(&[(1.0, 2.0), (2.0, 4.1), (3.0, 5.9)]).unwrap();
        assert!(steady.is_significant() && (steady.ratio - 2.0).abs() < 0.02, "{steady:?}");
        let noise = Ratio::of(&[(1.0, 2.0), (2.0, 1.0), (3.0, 3.1)]).unwrap();
        assert!(!noise.is_significant() && noise.low < 1.0 && noise.high > 1.0, "{noise:?}");
    }

    #[test]
    fn the_interval_is_students() {
        // Logs 0 and 2: mean 1, standard error 1, one degree of freedom.
        let ratio = Ratio::of(&[(1.0, 1.0), (1.0, 2.0_f64.exp())]).unwrap();
        assert!((ratio.high.ln() - 13.706).abs() < 1e-9);
    }

    #[test]
    fn one_pair_or_a_zero_says_nothing() {
        assert_eq!(Ratio::of(&[(1.0, 2.0)]), None);
        assert_eq!(Ratio::of(&[(1.0, 2.0), (0.0, 1.0)]), None);
    }
}
