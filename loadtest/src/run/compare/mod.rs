//! `loadtest compare`: the same scenario against several servers, taking turns, with confidence intervals.
//!
//! What a machine does to one run it does to the next one, too; so the servers take turns within each repeat, in an
//! order that rotates, and the ratios are formed within a repeat.

mod page;

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

pub use self::page::page;
use super::chart::short;
use super::course::Show;
use super::result::RunResult;
use super::servers::Choice;
use super::stats::Ratio;
use super::{Overrides, catch_interrupts, effective, measure};
use crate::error::{Error, Result};
use crate::options::ServerOptions;
use crate::output;
use crate::scenario::{prepare, write_json};
use crate::verdict::{Spread, Verdict};

/// What is compared: the figure's name, how it is called, its unit and a factor, and whether less is better.
const FIGURES: [(&str, &str, &str, f64, bool); 7] = [
    ("server.cpu_per_delivery", "CPU per delivery", "µs", 1e3, true),
    ("latency.p50", "response p50", "ms", 1.0, true),
    ("latency.p99", "response p99", "ms", 1.0, true),
    ("completion.p99", "completion p99", "ms", 1.0, true),
    ("server.memory", "memory, peak", "MiB", 1.0 / 1_048_576.0, true),
    ("bytes_per_delivery", "bytes per delivery", "B", 1.0, true),
    ("deliveries_per_second", "deliveries", "/s", 1.0, false),
];

/// Options of `compare`.
#[derive(Clone, Debug, Args)]
pub struct CompareOptions {
    /// A preset or a TOML file
    pub scenario: String,
    /// The servers, each a name such as fanwire or nats (see README), or NAME=COMMAND; the others are compared with
    /// the first
    #[arg(required = true, num_args = 2..)]
    pub servers: Vec<Choice>,
    /// How often each is measured
    #[arg(long, default_value_t = 5)]
    pub repeat: usize,
    /// Options of all servers.
    #[command(flatten)]
    pub common: CommonOptions,
    /// What differs from the scenario.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Options of commands that start servers by themselves.
#[derive(Clone, Debug, Args)]
pub struct CommonOptions {
    /// Leave it to the system which CPU runs what
    #[arg(long)]
    pub no_pin: bool,
    /// Connections being set up at once
    #[arg(long, default_value_t = 128)]
    pub at_once: usize,
    /// Also write everything measured to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also write a report with charts to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print no progress
    #[arg(long)]
    pub quiet: bool,
}

impl CommonOptions {
    /// The same as options of one server.
    #[must_use]
    pub fn server(&self) -> ServerOptions {
        let Self { no_pin, at_once, json, .. } = self.clone();
        ServerOptions { no_pin, at_once, json, ..ServerOptions::default() }
    }
}

/// Everything a comparison measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// Of this JSON.
    pub schema_version: u32,
    /// The worst verdict of all runs.
    pub verdict: Verdict,
    /// The servers with their runs, one for each repeat.
    pub servers: Vec<Measured>,
}

/// One server's runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// One for each repeat.
    pub runs: Vec<RunResult>,
}

impl Measured {
    /// A figure in each of the runs.
    fn figures<'a>(&'a self, name: &'a str) -> impl Iterator<Item = f64> + 'a {
        self.runs.iter().map(move |run| run.metric(name).unwrap_or(f64::NAN))
    }

    /// How this one's figure relates to that of `first`.
    fn ratio(&self, first: &Self, figure: &str) -> Option<Ratio> {
        let pairs: Vec<(f64, f64)> = first.figures(figure).zip(self.figures(figure)).collect();
        Ratio::of(&pairs)
    }

    /// The run whose p99 is the middle one.
    fn middle(&self) -> Option<&RunResult> {
        let mut runs: Vec<&RunResult> = self.runs.iter().collect();
        runs.sort_by(|one, other| one.latency.p99_ms.total_cmp(&other.latency.p99_ms));
        runs.get(runs.len() / 2).copied()
    }

    fn verdict(&self) -> Verdict {
        worst(self.runs.iter().map(|run| run.verdict))
    }
}

fn worst(verdicts: impl Iterator<Item = Verdict>) -> Verdict {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Pass => 0,
        Verdict::Fail => 1,
        Verdict::Invalid => 2,
        Verdict::Broken => 3,
    };
    verdicts.max_by_key(rank).unwrap_or(Verdict::Pass)
}

/// Runs the comparison and returns the exit code.
///
/// # Errors
/// When a server cannot be started or measured.
pub fn run(options: &CompareOptions) -> Result<u8> {
    if options.repeat == 0 {
        return Err(Error::Usage("--repeat must not be 0".into()));
    }
    let common = options.common.server();
    effective(&options.scenario, &options.overrides)?;
    let cores = prepare(&common, 0)?;
    output::check(options.common.html.as_deref())?;
    let stop = catch_interrupts()?;
    let mut servers: Vec<Measured> =
        options.servers.iter().map(|choice| Measured { name: choice.name(), runs: Vec::new() }).collect();
    for repeat in 0..options.repeat {
        for turn in 0..servers.len() {
            // Another one begins in each repeat, so that none is always measured on a machine that the one before has
            // warmed up.
            let at = (repeat + turn) % servers.len();
            let choice = &options.servers[at];
            // Anew for each run: a server that has served one is not what the next one is to be measured on.
            let prepared = choice.prepare(&common)?;
            let mut overrides = options.overrides.clone();
            prepared.adjust(&mut overrides);
            let scenario = effective(&options.scenario, &overrides)?;
            let result = measure(&scenario, &prepared.options, cores, &[], &stop, Show::Nothing)?;
            if !options.common.quiet {
                eprintln!(
                    "repeat {} of {}: {:<16} p50 {:.2} ms, p99 {:.2} ms, {:.2} µs CPU per delivery, {}",
                    repeat + 1,
                    options.repeat,
                    choice.name(),
                    result.latency.p50_ms,
                    result.latency.p99_ms,
                    result.cost.map_or(f64::NAN, |cost| cost.cpu_us_per_delivery),
                    result.verdict.word()
                );
            }
            if result.interrupted {
                return Err(Error::Interrupted);
            }
            servers[at].runs.push(result);
        }
    }
    let verdict = worst(servers.iter().map(Measured::verdict));
    let comparison = Comparison { schema_version: 1, verdict, servers };
    print!("{}", text(&comparison));
    // Where one cannot be written, the other still may.
    let written = write_json(&common, &comparison);
    if let Some(path) = &options.common.html {
        output::write(path, &page(&comparison))?;
    }
    written?;
    Ok(verdict.exit_code())
}

/// The comparison for people.
#[must_use]
pub fn text(comparison: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_text(&mut out, comparison);
    out
}

fn write_text(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let Some((first, _)) = comparison.servers.split_first() else { return Ok(()) };
    writeln!(
        out,
        "{} repeats; medians, and ratios to {} with 95 % confidence intervals\n",
        first.runs.len(),
        first.name
    )?;
    for (figure, title, unit, factor, _) in FIGURES {
        writeln!(out, "{title} ({unit})")?;
        for server in &comparison.servers {
            let median = Spread::of(server.figures(figure)).median * factor;
            let relation = Relation::of(server, first, figure);
            let (text, remark) = relation.as_ref().map_or(("", ""), |r| (r.text.as_str(), r.remark()));
            writeln!(out, "  {:<18}{:>12}   {text}{remark}", server.name, short(median))?;
        }
    }
    for server in &comparison.servers {
        writeln!(out, "{}: {}", server.name, server.verdict().word())?;
        for finding in server.runs.iter().flat_map(|run| &run.checks).filter(|finding| !finding.met).take(3) {
            writeln!(out, "  {}", finding.line())?;
        }
    }
    Ok(())
}

/// How a server's figure relates to the first one's.
struct Relation {
    /// The ratio and its interval.
    text: String,
    /// Whether it is better; `None` when that cannot be told.
    better: Option<bool>,
}

impl Relation {
    /// `None` for the first one itself, and where there is nothing to compare.
    fn of(server: &Measured, first: &Measured, figure: &str) -> Option<Self> {
        if std::ptr::eq(server, first) {
            return None;
        }
        let less_is_better = FIGURES.iter().any(|(name, .., less)| *name == figure && *less);
        let ratio = server.ratio(first, figure)?;
        let Ratio { ratio: middle, low, high } = ratio;
        let text = format!("×{middle:.2} [{low:.2}–{high:.2}]");
        Some(Self { text, better: ratio.is_significant().then_some((middle < 1.0) == less_is_better) })
    }

    fn remark(&self) -> &'static str {
        if self.better.is_none() { " no significant difference" } else { "" }
    }
}
