//! `loadtest diff`: what changed from one run to another, and whether that is a step back.

use std::path::PathBuf;

use clap::Args;

use super::chart::short;
use super::result::RunResult;
use super::units::Share;
use crate::error::Result;
use crate::verdict::Verdict;

/// The figures in which less is better.
const FIGURES: [&str; 11] = [
    "latency.p50",
    "latency.p99",
    "latency.p999",
    "completion.p99",
    "ack.p99",
    "missing",
    "duplicate",
    "reordered",
    "server.cpu_per_delivery",
    "server.memory",
    "bytes_per_delivery",
];

/// Options of `diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffOptions {
    /// The run before, as `run --json` wrote it
    pub before: PathBuf,
    /// The run after
    pub after: PathBuf,
    /// How much more a figure may be; one pair of runs says little, so do not make it tight
    #[arg(long, value_name = "SHARE")]
    pub max_regression: Option<Share>,
}

/// How one figure changed.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    name: &'static str,
    before: f64,
    after: f64,
}

impl Change {
    /// Whether the figure grew by more than `limit`, a share.
    fn is_step_back(&self, limit: f64) -> bool {
        self.after > self.before * (1.0 + limit)
    }

    fn line(&self) -> String {
        let Self { name, before, after } = self;
        let percent =
            if *before > 0.0 { format!("{:+.1} %", (after / before - 1.0) * 100.0) } else { String::new() };
        format!("{name:<26}{:>12} {:>12}   {percent}", short(*before), short(*after))
    }
}

fn changes(before: &RunResult, after: &RunResult) -> Vec<Change> {
    let change = |name| Some(Change { name, before: before.metric(name)?, after: after.metric(name)? });
    FIGURES.into_iter().filter_map(change).filter(|c| c.before.is_finite() && c.after.is_finite()).collect()
}

/// Prints the changes and returns the exit code: 1 when one is beyond the limit.
///
/// # Errors
/// When one of the files cannot be read.
pub fn run(options: &DiffOptions) -> Result<u8> {
    let (before, after) = (RunResult::load(&options.before)?, RunResult::load(&options.after)?);
    if before.scenario != after.scenario {
        println!("note: the scenarios differ");
    }
    println!("{:<26}{:>12} {:>12}", "", "before", "after");
    let mut verdict = Verdict::Pass;
    for change in changes(&before, &after) {
        let missed = options.max_regression.is_some_and(|limit| change.is_step_back(limit.0));
        println!("{}{}", change.line(), if missed { "   STEP BACK" } else { "" });
        if missed {
            verdict = Verdict::Fail;
        }
    }
    println!("{} → {}", before.verdict.word(), after.verdict.word());
    Ok(verdict.exit_code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_is_growth_beyond_the_limit_also_from_nothing() {
        let change = |before, after| Change { name: "missing", before, after };
        assert!(!change(100.0, 105.0).is_step_back(0.05) && change(100.0, 106.0).is_step_back(0.05));
        assert!(change(0.0, 1.0).is_step_back(0.05) && !change(0.0, 0.0).is_step_back(0.05));
        assert!(change(4.0, 5.0).line().ends_with("+25.0 %"));
    }
}
