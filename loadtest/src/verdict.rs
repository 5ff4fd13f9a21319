//! Thresholds, and what they make of a run.

use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Every threshold met.
    #[default]
    Pass,
    /// A threshold missed.
    Fail,
    /// The tester itself was the bottleneck: the figures say nothing about the server.
    Invalid,
    /// The server lost, repeated, reordered, altered or invented messages.
    Broken,
}

impl Verdict {
    /// The process's exit code; 2 is taken by errors.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Invalid => 3,
            Self::Broken => 4,
        }
    }

    /// The word in capitals.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Invalid => "INVALID",
            Self::Broken => "BROKEN",
        }
    }
}

/// One threshold: the figure may be at most the limit.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What is held to the limit.
    pub name: String,
    /// What was measured.
    pub value: f64,
    /// The most it may be.
    pub limit: f64,
    /// Whether missing it makes the run invalid instead of failed.
    pub of_tester: bool,
}

impl Check {
    /// A threshold on the server.
    #[must_use]
    pub fn server(name: impl Into<String>, value: f64, limit: f64) -> Self {
        Self { name: name.into(), value, limit, of_tester: false }
    }

    /// A threshold on the tester.
    #[must_use]
    pub fn tester(name: impl Into<String>, value: f64, limit: f64) -> Self {
        Self { name: name.into(), value, limit, of_tester: true }
    }

    /// Whether it is met; a figure that is not a number meets nothing.
    #[must_use]
    pub fn met(&self) -> bool {
        self.value <= self.limit
    }

    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let word = match (self.met(), self.of_tester) {
            (true, _) => "ok     ",
            (false, false) => "MISSED ",
            (false, true) => "INVALID",
        };
        format!("{word} {}: {} (limit {})", self.name, short(self.value), short(self.limit))
    }
}

/// The verdict over all checks. Invalid wins: a saturated tester proves neither success nor failure.
#[must_use]
pub fn over(checks: &[Check]) -> Verdict {
    let missed = |of_tester| checks.iter().any(|check| check.of_tester == of_tester && !check.met());
    if missed(true) {
        Verdict::Invalid
    } else if missed(false) {
        Verdict::Fail
    } else {
        Verdict::Pass
    }
}

/// Three digits after the point unless it is a whole number.
fn short(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// Middle, smallest and largest of some figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of any number of figures; not-a-number when there are none.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (Some(&min), Some(&max)) = (figures.first(), figures.last()) else {
            return Self { median: f64::NAN, min: f64::NAN, max: f64::NAN };
        };
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Self { median, min, max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0]);
        assert_eq!(spread, Spread { median: 2.5, min: 1.0, max: 4.0 });
        assert!(Spread::of([]).median.is_nan());
    }

    #[test]
    fn invalid_beats_failed_beats_passed() {
        let good = Check::server("a", 1.25, 1.25);
        let missed = Check::server("b", 1.3, 1.25);
        let saturated = Check::tester("c", 96.0, 95.0);
        assert_eq!(over(std::slice::from_ref(&good)), Verdict::Pass);
        assert_eq!(over(&[good, missed.clone()]), Verdict::Fail);
        assert_eq!(over(&[missed, saturated]), Verdict::Invalid);
        assert!(!Check::server("nan", f64::NAN, 1.0).met());
    }
}
