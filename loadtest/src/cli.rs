//! The command line.

use clap::{Parser, Subcommand};

use crate::options::{BareOptions, FanoutOptions, IdleOptions, NullOptions, PublishOptions, RelayOptions};
use crate::run::compare::CompareOptions;
use crate::run::diff::DiffOptions;
use crate::run::doctor::DoctorOptions;
use crate::run::find_max::FindMaxOptions;
use crate::run::{ReportOptions, RunOptions};

/// Measures pub/sub brokers: deliveries, losses, latency and what the server spends.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to measure.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all thresholds met, 1 a threshold missed, 2 usage or set-up failure, \
3 INVALID (the tester itself was the bottleneck), 4 messages lost, repeated, reordered, altered or invented, \
130 interrupted.";

/// The measurements.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A scenario: latency from the due time, a ledger of every message, the server's cost, and a verdict
    Run(Box<RunOptions>),
    /// The presets of `run`, or one of them as a scenario file
    Presets {
        /// Which one
        name: Option<String>,
    },
    /// The same scenario against several servers, taking turns, with confidence intervals
    Compare(Box<CompareOptions>),
    /// What changed from one run to another, both written with --json
    Diff(DiffOptions),
    /// The highest rate, or the most subscribers, within limits
    FindMax(Box<FindMaxOptions>),
    /// What this machine allows, and the tester's own ceiling
    Doctor(DoctorOptions),
    /// The report of a run from its JSON
    Report(ReportOptions),
    /// CPU per delivery, latency and ledger of one topic with many subscribers, next to a bare send() loop
    Fanout(FanoutOptions),
    /// Memory, descriptors and CPU of many idle subscribed connections, and connects per second
    Idle(IdleOptions),
    /// How many messages a second publishers that pipeline get acknowledged, and what each costs
    Publish(PublishOptions),
    /// The bare send() loop that `fanout` starts by itself
    #[command(hide = true)]
    Bare(BareOptions),
    /// One more process of a run that takes several
    #[command(hide = true)]
    Follow,
    /// A relay before a real broker that misbehaves: to see whether the tester notices
    #[command(hide = true)]
    Relay(RelayOptions),
    /// A naive broker that does nothing but fan out: the tester's own ceiling
    #[command(hide = true)]
    Null(NullOptions),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
