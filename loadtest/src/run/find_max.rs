//! `loadtest find-max`: the highest rate, or the most subscribers, that a server carries within limits.

use clap::{Args, ValueEnum};

use super::compare::CommonOptions;
use super::course::Show;
use super::result::RunResult;
use super::scenario::Scenario;
use super::servers::Choice;
use super::threshold::{self, Threshold};
use super::{Overrides, catch_interrupts, effective, measure};
use crate::clock;
use crate::error::{Error, Result};
use crate::scenario::{prepare, write_json};
use crate::verdict::Verdict;

/// What is raised until it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Vary {
    /// Messages a second.
    Rate,
    /// Subscribing connections.
    Subscribers,
}

/// Options of `find-max`.
#[derive(Clone, Debug, Args)]
pub struct FindMaxOptions {
    /// A preset or a TOML file
    pub scenario: String,
    /// The server: a name such as fanwire or nats (see README), or NAME=COMMAND
    #[arg(long, default_value = "fanwire")]
    pub against: Choice,
    /// What to raise
    #[arg(long, value_enum, default_value = "rate")]
    pub vary: Vary,
    /// Where to begin
    #[arg(long, default_value_t = 100.0)]
    pub from: f64,
    /// Where to end at the latest
    #[arg(long, default_value_t = 100_000.0)]
    pub to: f64,
    /// What must hold, besides that nothing is lost
    #[arg(long, num_args = 1.., value_name = "FIGURE OP VALUE", default_value = "latency.p99 < 50ms")]
    pub slo: Vec<String>,
    /// Runs that must confirm the result
    #[arg(long, default_value_t = 2)]
    pub confirm: usize,
    /// Stop when the answer is known to this factor
    #[arg(long, default_value_t = 1.1)]
    pub precision: f64,
    /// Options of the server.
    #[command(flatten)]
    pub common: CommonOptions,
    /// What differs from the scenario.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// What a search says next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Try this.
    Try(f64),
    /// This is the most (0: not even the beginning).
    Done(f64),
}

/// The search: doubling until something breaks, then halving the interval in between, geometrically.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    good: f64,
    bad: f64,
    from: f64,
    to: f64,
    precision: f64,
}

impl Search {
    /// From the least to the most worth trying.
    #[must_use]
    pub fn new(from: f64, to: f64, precision: f64) -> Self {
        Self { good: 0.0, bad: f64::INFINITY, from, to, precision }
    }

    /// What to try next.
    #[must_use]
    pub fn next(&self) -> Next {
        if self.good == 0.0 {
            return if self.bad.is_finite() { Next::Done(0.0) } else { Next::Try(self.from) };
        }
        if self.good >= self.to || self.bad <= self.good * self.precision {
            return Next::Done(self.good);
        }
        // The geometric mean, as `precision` is a factor: at 100 and at 100 000 the search takes the same number of
        // steps.
        let guess = if self.bad.is_finite() { (self.good * self.bad).sqrt() } else { self.good * 2.0 };
        Next::Try(guess.min(self.to))
    }

    /// Enters whether `value` was carried.
    pub fn enter(&mut self, value: f64, carried: bool) {
        if carried {
            self.good = self.good.max(value);
        } else {
            self.bad = self.bad.min(value);
            if self.good >= self.bad {
                // It was carried once and now is not: search below it.
                self.good = self.bad / self.precision;
            }
        }
    }
}

/// Searches, prints the steps, and returns the exit code.
///
/// # Errors
/// When the server cannot be started or measured.
pub fn run(options: &FindMaxOptions) -> Result<u8> {
    let sound = options.from >= 1.0 && options.to >= options.from && options.precision > 1.0;
    if !sound {
        return Err(Error::Usage("it must hold that 1 <= --from <= --to and --precision > 1".into()));
    }
    let common = options.common.server();
    let own = threshold::parse(&options.slo)?;
    // For its mistakes only, before a server is started; each step makes it anew.
    effective(&options.scenario, &options.overrides)?;
    let cores = prepare(&common, 0)?;
    let stop = catch_interrupts()?;
    let mut search = Search::new(options.from, options.to, options.precision);
    let mut steps: Vec<RunResult> = Vec::new();
    let (mut confirmed, mut saturated) = (0, false);
    let found = loop {
        let value = match search.next() {
            // A confirmation that failed has moved the bounds, so what was confirmed before it was another value.
            Next::Try(value) => {
                confirmed = 0;
                value
            }
            Next::Done(value) if value == 0.0 || confirmed >= options.confirm => break value,
            Next::Done(value) => {
                confirmed += 1;
                value
            }
        };
        let result = one(value, options, &own, cores, &stop)?;
        if result.interrupted {
            return Err(Error::Interrupted);
        }
        saturated |= result.verdict == Verdict::Invalid;
        search.enter(value, result.verdict == Verdict::Pass);
        steps.push(result);
    };
    let slo: Vec<String> = own.iter().map(ToString::to_string).collect();
    let what = if options.vary == Vary::Rate { "messages a second" } else { "subscribers" };
    println!("most {what} with {} and nothing lost: {found:.0}", slo.join(", "));
    if found >= options.to {
        println!("that is the --to of this search; the server may carry more");
    }
    if saturated {
        println!("beyond that the tester was the bottleneck (INVALID), not the server");
    }
    write_json(&common, &steps)?;
    Ok(match (found > 0.0, saturated) {
        // What was found is then the tester's own limit, be it as high as it may.
        (_, true) => Verdict::Invalid.exit_code(),
        (true, false) => Verdict::Pass.exit_code(),
        (false, false) => Verdict::Fail.exit_code(),
    })
}

fn varied(base: &Scenario, vary: Vary, value: f64) -> Scenario {
    let mut scenario = base.clone();
    match vary {
        Vary::Rate => {
            scenario.rate = value;
            scenario.load.clear();
        }
        Vary::Subscribers => scenario.subscribers = usize::try_from(clock::whole(value)).unwrap_or(1),
    }
    scenario
}

fn one(
    value: f64,
    options: &FindMaxOptions,
    own: &[Threshold],
    cores: Option<crate::affinity::Cores>,
    stop: &std::sync::Arc<std::sync::atomic::AtomicBool>,
) -> Result<RunResult> {
    let prepared = options.against.prepare(&options.common.server())?;
    let mut overrides = options.overrides.clone();
    prepared.adjust(&mut overrides);
    let scenario = varied(&effective(&options.scenario, &overrides)?, options.vary, value);
    let result = measure(&scenario, &prepared.options, cores, own, stop, Show::Nothing)?;
    let missed: Vec<&str> = result
        .checks
        .iter()
        .filter(|finding| !finding.met)
        .map(|finding| finding.threshold.as_str())
        .collect();
    println!(
        "{:>8.0} messages/s, {:>6} subscribers: {:>9.0} deliveries/s, p99 {:.2} ms, {} {}",
        scenario.rate,
        scenario.subscribers,
        result.deliveries_per_second,
        result.latency.p99_ms,
        result.verdict.word(),
        missed.join(", ")
    );
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(from: f64, to: f64, carries: impl Fn(f64) -> bool) -> f64 {
        let mut search = Search::new(from, to, 1.1);
        for _ in 0..50 {
            match search.next() {
                Next::Try(value) => search.enter(value, carries(value)),
                Next::Done(value) => return value,
            }
        }
        f64::NAN
    }

    #[test]
    fn the_most_is_found_to_the_precision() {
        for limit in [100.0, 101.0, 777.0, 3000.0, 99_999.0] {
            let found = search(100.0, 100_000.0, |value| value <= limit);
            assert!(found <= limit && found * 1.1 >= limit, "{limit}: {found}");
        }
        assert!((search(100.0, 5000.0, |_| true) - 5000.0).abs() < 1e-9);
        assert!(search(100.0, 5000.0, |_| false).abs() < 1e-9);
    }

    #[test]
    fn a_result_that_is_not_confirmed_is_lowered() {
        let mut search = Search::new(100.0, 1000.0, 1.1);
        search.enter(800.0, true);
        search.enter(850.0, false);
        assert_eq!(search.next(), Next::Done(800.0));
        search.enter(800.0, false);
        assert!(matches!(search.next(), Next::Done(value) | Next::Try(value) if value < 800.0));
    }
}
