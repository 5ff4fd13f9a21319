//! The report with charts: one file that needs nothing else, not even a network.

mod charts;
mod tables;

use std::fmt::Write;
use std::path::Path;

use self::charts::charts;
use self::tables::{write_checks, write_latency, write_ledger, write_machine};
use super::chart::{escape, short};
use super::finding::Class;
use super::result::RunResult;
use super::scenario::Kind;
use crate::error::Result;
use crate::latency::Figures;
use crate::output;
use crate::verdict::Verdict;

const STYLE: &str = include_str!("../style.css");

/// Writes the report of a run to a file.
///
/// # Errors
/// When the file cannot be written.
pub fn save(path: &Path, result: &RunResult) -> Result<()> {
    output::write(path, &page(result))
}

/// The report of a run as a page.
#[must_use]
pub fn page(result: &RunResult) -> String {
    let title = format!("{}: {}", result.scenario.name, result.verdict.word());
    document(&title, &body(result))
}

/// A page around `body`.
#[must_use]
pub(super) fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <title>{}</title><style>{STYLE}</style><body>{body}</body></html>\n",
        escape(title)
    )
}

fn body(result: &RunResult) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_body(&mut out, result);
    out
}

/// The word and its colour.
pub(super) fn badge(verdict: Verdict) -> String {
    let colour = match verdict {
        Verdict::Pass => "good",
        Verdict::Fail | Verdict::Broken => "bad",
        Verdict::Invalid => "warn",
    };
    format!("<span class=\"verdict {colour}\">{}</span>", verdict.word())
}

fn write_body(out: &mut String, result: &RunResult) -> std::fmt::Result {
    let RunResult { scenario, .. } = result;
    write!(out, "<header><h1>{}</h1>{}", escape(&scenario.name), badge(result.verdict))?;
    if result.interrupted {
        write!(out, "<span class=\"verdict warn\">INTERRUPTED</span>")?;
    }
    write!(out, "</header><p class=soft>{} subscribers, ", scenario.subscribers)?;
    write!(
        out,
        "{} publishers, {} topics of kind {}, ",
        scenario.publishers,
        scenario.topics,
        kind(scenario.kind)
    )?;
    write!(out, "{} bytes, {}, {:.1} s measured<br>", scenario.size, scenario.adapter, result.seconds)?;
    write!(out, "against <code>{}</code></p>", escape(&result.server))?;

    write_tiles(out, result)?;
    if !result.notes.is_empty() {
        out.push_str("<h2>What happened</h2><ul>");
        for note in &result.notes {
            write!(out, "<li>{}</li>", escape(note))?;
        }
        out.push_str("</ul>");
    }
    out.push_str("<h2>Course</h2>");
    if !result.kills_s.is_empty() {
        out.push_str("<p class=soft>Broken lines: the server was killed.</p>");
    }
    out.push_str("<div class=charts>");
    for chart in charts(result) {
        out.push_str(&chart.html());
    }
    out.push_str("</div><h2>Latency</h2>");
    write_latency(out, result)?;
    write_ledger(out, result)?;
    out.push_str("</table></div></section><section><h2>Checks</h2>");
    write_checks(out, &result.checks)?;
    write_machine(out, result)
}

fn write_tiles(out: &mut String, result: &RunResult) -> std::fmt::Result {
    out.push_str("<div class=tiles>");
    let ms = |figures: &Figures, value: f64| {
        if figures.samples == 0 { "–".into() } else { format!("{} ms", short(value)) }
    };
    let latency = &result.latency;
    tile(out, "response p50", &ms(latency, latency.p50_ms), "")?;
    tile(out, "response p99", &ms(latency, latency.p99_ms), "")?;
    tile(out, "response max", &ms(latency, latency.max_ms), "")?;
    tile(out, "deliveries per second", &short(result.deliveries_per_second), "")?;
    let lost = result.ledger.missing;
    tile(out, "lost", &lost.to_string(), if lost > 0 { "bad" } else { "good" })?;
    let broken: usize = result.checks.iter().filter(|f| f.class == Class::Integrity && !f.met).count();
    tile(out, "broken promises", &broken.to_string(), if broken > 0 { "bad" } else { "good" })?;
    if let Some(cost) = result.cost {
        tile(out, "server CPU per delivery", &format!("{} µs", short(cost.cpu_us_per_delivery)), "")?;
        tile(out, "server memory, peak", &format!("{} MiB", short(cost.peak_rss as f64 / 1_048_576.0)), "")?;
    }
    out.push_str("</div>");
    Ok(())
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Log => "log",
        Kind::Document => "document",
        Kind::Latest => "latest",
        Kind::Volatile => "volatile",
    }
}

/// A figure that one should see first.
pub(super) fn tile(out: &mut String, name: &str, value: &str, class: &str) -> std::fmt::Result {
    write!(out, "<div class=tile><small>{name}</small><b class=\"{class}\">{value}</b></div>")
}
