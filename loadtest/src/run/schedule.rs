//! When each message is due: fixed before the first is sent, whatever the server does.
//!
//! Arrivals are generated at one per unit of a stretched time and mapped back through the integral of the rate, so
//! constant and Poisson arrivals work on every profile, ramps included.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::rng::Rng;
use crate::clock;

/// How messages follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrival {
    /// Evenly.
    #[default]
    Constant,
    /// By chance, as from many people who know nothing of each other.
    Poisson,
}

/// A stretch of time in which the rate changes evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// Messages a second at its beginning.
    pub from: f64,
    /// And at its end.
    pub to: f64,
    /// Its length.
    pub seconds: f64,
}

impl Leg {
    fn messages(&self) -> f64 {
        f64::midpoint(self.from, self.to) * self.seconds
    }

    /// The moment by which `count` messages of this leg are due.
    fn moment(&self, count: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds;
        if slope.abs() < 1e-9 {
            return count / self.from;
        }
        // count = from·t + slope·t²/2, solved without cancellation.
        let root = (self.from * self.from + 2.0 * slope * count).max(0.0).sqrt();
        2.0 * count / (self.from + root)
    }
}

/// Due times, in order.
#[derive(Clone, Debug)]
pub struct Schedule {
    legs: Vec<Leg>,
    arrival: Arrival,
    rng: Rng,
    start_ns: u64,
    leg: usize,
    leg_begin: f64,
    leg_count: f64,
}

impl Schedule {
    /// The schedule that begins at `start_ns`.
    #[must_use]
    pub fn new(legs: Vec<Leg>, arrival: Arrival, seed: u64, start_ns: u64) -> Self {
        let mut schedule =
            Self { legs, arrival, rng: Rng::new(seed), start_ns, leg: 0, leg_begin: 0.0, leg_count: 0.0 };
        if arrival == Arrival::Poisson {
            schedule.leg_count = schedule.rng.exponential();
        }
        schedule
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            let leg = self.legs.get(self.leg)?;
            let messages = leg.messages();
            // A millionth of a message of slack: the rounding of 10 s × 0.1/s must not lose or invent one.
            if self.leg_count + 1e-6 < messages {
                let due = self.leg_begin + leg.moment(self.leg_count);
                self.leg_count += match self.arrival {
                    Arrival::Constant => 1.0,
                    Arrival::Poisson => self.rng.exponential(),
                };
                return Some(self.start_ns + clock::span_ns(due));
            }
            // What reaches beyond this leg is kept, so that arrivals go on across the border as if there were none.
            self.leg_count = (self.leg_count - messages).max(0.0);
            self.leg_begin += leg.seconds;
            self.leg += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{MILLISECOND, SECOND};

    fn due(legs: &[Leg], arrival: Arrival) -> Vec<u64> {
        Schedule::new(legs.to_vec(), arrival, 7, 1000).collect()
    }

    const STEADY: Leg = Leg { from: 10.0, to: 10.0, seconds: 1.0 };

    #[test]
    fn a_constant_rate_is_even_across_legs() {
        let due = due(&[STEADY, STEADY], Arrival::Constant);
        assert_eq!(due.len(), 20);
        assert!(
            due.iter().enumerate().all(|(i, &ns)| ns.abs_diff(1000 + i as u64 * 100 * MILLISECOND) < 1000)
        );
    }

    #[test]
    fn a_ramp_sends_its_integral_and_ends_denser_than_it_began() {
        for (from, to) in [(0.0, 100.0), (100.0, 0.0), (20.0, 80.0)] {
            let due = due(&[Leg { from, to, seconds: 2.0 }], Arrival::Constant);
            assert_eq!(due.len(), 100, "{from} to {to}");
            assert!(due.is_sorted() && due[99] <= 1000 + 2 * SECOND);
            let first_half = due.iter().filter(|&&ns| ns < SECOND).count();
            assert_eq!(first_half < 50, from < to);
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_repeat_with_the_seed() {
        let legs = [Leg { from: 1000.0, to: 1000.0, seconds: 10.0 }];
        let times = due(&legs, Arrival::Poisson);
        assert!((9_700..10_300).contains(&times.len()), "{}", times.len());
        assert_eq!(times, due(&legs, Arrival::Poisson));
        let short = times.windows(2).filter(|pair| pair[1] - pair[0] < MILLISECOND / 10).count();
        assert!(short > 500, "gaps of a Poisson process are often short, here {short} times");
    }

    #[test]
    fn silence_is_a_schedule_too() {
        assert_eq!(due(&[Leg { from: 0.0, to: 0.0, seconds: 5.0 }], Arrival::Poisson), Vec::<u64>::new());
        assert!(due(&[], Arrival::Constant).is_empty());
    }
}
