//! `loadtest compare`: the same scenario against several servers, taking turns, with confidence intervals.
//!
//! What a machine does to one run it does to the next one, too; so the servers take turns within each repeat, in an
//! order that rotates, and the ratios are formed within a repeat.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::chart::{Chart, Line, Scale, escape, short};
use super::course::Show;
use super::result::RunResult;
use super::servers::Choice;
use super::stats::Ratio;
use super::{Overrides, catch_interrupts, effective, html, measure};
use crate::cli::ServerOptions;
use crate::error::{Context, Error, Result};
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
    let stop = catch_interrupts()?;
    let mut servers: Vec<Measured> =
        options.servers.iter().map(|choice| Measured { name: choice.name(), runs: Vec::new() }).collect();
    for repeat in 0..options.repeat {
        for turn in 0..servers.len() {
            let at = (repeat + turn) % servers.len();
            let choice = &options.servers[at];
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
                return Ok(super::INTERRUPTED);
            }
            servers[at].runs.push(result);
        }
    }
    let verdict = worst(servers.iter().map(Measured::verdict));
    let comparison = Comparison { schema_version: 1, verdict, servers };
    print!("{}", text(&comparison));
    write_json(&common, &comparison)?;
    if let Some(path) = &options.common.html {
        std::fs::write(path, page(&comparison)).context("writing the HTML report")?;
    }
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
            let relation = relation(server, first, figure).map_or_else(String::new, |(text, _)| text);
            writeln!(out, "  {:<18}{:>12}   {relation}", server.name, short(median))?;
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

/// How a server's figure relates to the first one's, in words, and whether that is good (more than 1: worse).
fn relation(server: &Measured, first: &Measured, figure: &str) -> Option<(String, &'static str)> {
    if std::ptr::eq(server, first) {
        return None;
    }
    let less_is_better = FIGURES.iter().any(|(name, .., less)| *name == figure && *less);
    let ratio = server.ratio(first, figure)?;
    let Ratio { ratio: middle, low, high } = ratio;
    let text = format!("×{middle:.2} [{low:.2}–{high:.2}]");
    if !ratio.is_significant() {
        return Some((format!("{text} no significant difference"), "soft"));
    }
    Some((text, if (middle < 1.0) == less_is_better { "good" } else { "bad" }))
}

/// The comparison as a page with charts.
#[must_use]
pub fn page(comparison: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut out, comparison);
    let names: Vec<&str> = comparison.servers.iter().map(|server| server.name.as_str()).collect();
    html::document(&format!("Comparison: {}", names.join(", ")), &out)
}

fn write_page(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let Some((first, _)) = comparison.servers.split_first() else { return Ok(()) };
    let Some(sample) = first.runs.first() else { return Ok(()) };
    let names: Vec<String> = comparison.servers.iter().map(|server| escape(&server.name)).collect();
    let scenario = &sample.scenario;
    write!(out, "<header><h1>{}</h1></header>", names.join(" · "))?;
    write!(
        out,
        "<p class=soft>scenario {}: {} subscribers, {} publishers, {} topics, {} messages a second of {} bytes, {:.1} s; \
         {} repeats, taking turns. Medians; ratios to {} with 95 % confidence intervals.</p>",
        escape(&scenario.name),
        scenario.subscribers,
        scenario.publishers,
        scenario.topics,
        scenario.rate,
        scenario.size,
        sample.seconds,
        first.runs.len(),
        names[0]
    )?;
    write_figures(out, comparison, &names)?;
    out.push_str("</tr></table></div><h2>Course</h2><div class=charts>");
    for chart in charts(comparison) {
        out.push_str(&chart.html());
    }
    out.push_str("</div><h2>Runs</h2><div class=card><table><tr><th>server<th>repeat<th>p50 ms<th>p99 ms<th>µs per delivery<th>lost<th class=text></tr>");
    for server in &comparison.servers {
        for (repeat, run) in server.runs.iter().enumerate() {
            write!(
                out,
                "<tr><td>{}<td>{}<td>{:.2}<td>{:.2}<td>{}<td>{}<td class=text>{}</tr>",
                escape(&server.name),
                repeat + 1,
                run.latency.p50_ms,
                run.latency.p99_ms,
                short(run.cost.map_or(0.0, |cost| cost.cpu_us_per_delivery)),
                run.ledger.missing,
                run.verdict.word()
            )?;
        }
    }
    out.push_str("</table></div>");
    let machine = &sample.environment;
    write!(
        out,
        "<h2>Machine and run</h2><p>{} × {}, {}<br><code>{}</code></p><ul>",
        machine.cpus,
        escape(&machine.cpu),
        escape(&machine.kernel),
        escape(&machine.command)
    )?;
    for server in &comparison.servers {
        let command = server.runs.first().map_or("", |run| run.server.as_str());
        write!(out, "<li>{}: <code>{}</code></li>", escape(&server.name), escape(command))?;
    }
    out.push_str("</ul>");
    Ok(())
}

fn write_figures(out: &mut String, comparison: &Comparison, names: &[String]) -> std::fmt::Result {
    let Some((first, _)) = comparison.servers.split_first() else { return Ok(()) };
    out.push_str("<h2>Figures</h2><div class=card><table><tr><th>");
    for name in names {
        write!(out, "<th>{name}")?;
    }
    out.push_str("</tr>");
    for (figure, title, unit, factor, _) in FIGURES {
        write!(out, "<tr><td>{title} <span class=soft>{unit}</span>")?;
        for server in &comparison.servers {
            let spread = Spread::of(server.figures(figure));
            let (low, high) = (short(spread.min * factor), short(spread.max * factor));
            write!(out, "<td><b>{}</b> <small>{low}–{high}</small>", short(spread.median * factor))?;
            if let Some((text, class)) = relation(server, first, figure) {
                write!(out, "<br><small class={class}>{text}</small>")?;
            }
        }
        out.push_str("</tr>");
    }
    out.push_str("<tr><td>lost messages, verdict");
    for server in &comparison.servers {
        let lost: u64 = server.runs.iter().map(|run| run.ledger.missing).sum();
        write!(out, "<td>{} lost<br>{}", lost, html::badge(server.verdict()))?;
    }
    Ok(())
}

fn charts(comparison: &Comparison) -> Vec<Chart> {
    let lines = |pick: &dyn Fn(&RunResult) -> Vec<(f64, f64)>| -> Vec<Line> {
        let middle = comparison.servers.iter().map(|server| (server, server.middle()));
        middle
            .zip(0..)
            .filter_map(|((server, run), colour)| Some(Line::new(&server.name, colour % 6, pick(run?))))
            .collect()
    };
    let over_time = |title: &str, y, y_scale, pick: fn(&super::result::Sample) -> f64| Chart {
        title: title.into(),
        x: "seconds",
        y,
        x_scale: Scale::Even,
        y_scale,
        events: Vec::new(),
        lines: lines(&|run| {
            let points = run.timeline.iter().map(|sample| (sample.at_s, pick(sample)));
            points.filter(|&(_, value)| y_scale != Scale::Log || value > 0.0).collect()
        }),
    };
    vec![
        Chart {
            title: "Response latency by percentile, middle run".into(),
            x: "percentile",
            y: "ms",
            x_scale: Scale::Nines,
            y_scale: Scale::Log,
            events: Vec::new(),
            lines: lines(&|run| run.curve.clone()),
        },
        over_time("p99 over time, middle run", "ms", Scale::Log, |sample| sample.p99_ms),
        over_time("Server CPU", "% of a core", Scale::Even, |sample| sample.server_cpu_percent),
        over_time("Server memory", "MiB", Scale::Even, |sample| sample.server_mib),
    ]
}
