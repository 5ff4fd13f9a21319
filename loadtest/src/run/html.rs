//! The report with charts: one file that needs nothing else, not even a network.

use std::fmt::Write;
use std::path::Path;

use super::chart::{Chart, Line, Scale, escape, short};
use super::result::{RunResult, Sample};
use super::scenario::Kind;
use super::threshold::{Class, Finding};
use crate::error::Result;
use crate::latency::Figures;
use crate::output;
use crate::verdict::Verdict;

const STYLE: &str = include_str!("style.css");

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

fn write_ledger(out: &mut String, result: &RunResult) -> std::fmt::Result {
    let counts = &result.counts;
    out.push_str("<div class=pair><section><h2>Ledger</h2><div class=card><table><tr><th>messages<th>count<th class=text></tr>");
    for (name, count) in result.ledger.named().into_iter().skip(1) {
        let fault = !matches!(name, "signalled" | "conflated" | "dropped" | "away" | "cut_off");
        if !fault && count == 0 {
            continue;
        }
        let class = if fault && count > 0 { "bad" } else { "" };
        let about = if fault { "" } else { "no fault" };
        write!(
            out,
            "<tr><td>{}<td class=\"{class}\">{count}<td class=\"text soft\">{about}</tr>",
            name.replace('_', " ")
        )?;
    }
    write!(
        out,
        "<tr><td>sent<td>{}<td class=\"text soft\">{} acknowledged, {} refused</tr>",
        counts.sent, counts.acknowledged, counts.refused
    )?;
    write!(
        out,
        "<tr><td>delivered<td>{}<td class=\"text soft\">of {} expected</tr>",
        counts.deliveries, counts.expected
    )?;
    if counts.cuts > 0 {
        write!(
            out,
            "<tr><td>connections cut<td>{}<td class=\"text soft\">{} subscriptions recovered, {} not</tr>",
            counts.cuts, counts.recovered, counts.unrecovered
        )?;
    }
    if counts.kills > 0 {
        write!(
            out,
            "<tr><td>server killed<td>{}<td class=\"text soft\">{} connections ended with it, {} messages sent again, {} subscriptions recovered, {} not</tr>",
            counts.kills, counts.severed, counts.retried, counts.recovered, counts.unrecovered
        )?;
    }
    let read_back = match result.scenario.kind {
        Kind::Document => "updates read back over HTTP",
        _ => "messages read back from the beginning of their topics",
    };
    if counts.audited > 0 {
        write!(out, "<tr><td>audited<td>{}<td class=\"text soft\">{read_back}</tr>", counts.audited)?;
    }
    if result.scenario.kind == Kind::Document {
        let differ = counts.documents_differ;
        write!(
            out,
            "<tr><td>documents differ<td>{differ}<td class=\"text soft\">from what their updates make</tr>"
        )?;
    }
    Ok(())
}

fn write_machine(out: &mut String, result: &RunResult) -> std::fmt::Result {
    let RunResult { scenario, environment, .. } = result;
    out.push_str("</section></div><h2>Machine and run</h2><div class=card><table>");
    let tester = &result.tester;
    let mut row = |name: &str, text: String| {
        write!(out, "<tr><td>{name}<td class=text style=\"white-space:normal\">{}</tr>", escape(&text))
    };
    row("command", environment.command.clone())?;
    row("machine", format!("{} × {}, {}", environment.cpus, environment.cpu, environment.kernel))?;
    row(
        "tester",
        format!(
            "loadtest {}, {:.0} % of a core, {:.0} % of events behind, {} connections in {} processes at {:.0} a second, {:.0} bytes each",
            environment.version,
            tester.cpu_percent,
            tester.behind_percent,
            tester.connections,
            tester.processes,
            tester.connects_per_second,
            tester.bytes_per_connection
        ),
    )?;
    let fairness = result.fairness;
    if fairness.subscribers > 1 {
        row(
            "fairness",
            format!(
                "index {:.3}; the slowest tenth of the subscribers waits {:.2} times as long as the median one; {:.2} ms from the fastest to the slowest",
                fairness.index, fairness.slowest_tenth, fairness.spread_ms
            ),
        )?;
    }
    if let Some(cost) = result.cost {
        row(
            "server",
            format!(
                "{:.0} % of a core, {:.0} bytes per connection, descriptors {} → {}",
                cost.cpu_percent, cost.bytes_per_connection, cost.before.descriptors, cost.after.descriptors
            ),
        )?;
    }
    out.push_str("</table></div>");
    let toml = toml::to_string(scenario).unwrap_or_default();
    write!(out, "<details><summary>The scenario as a file</summary><pre>{}</pre></details>", escape(&toml))
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

fn write_latency(out: &mut String, result: &RunResult) -> std::fmt::Result {
    out.push_str("<div class=card><table><tr><th>ms<th>p50<th>p90<th>p99<th>p99.9<th>max<th>samples<th class=text></tr>");
    for (name, figures, about) in [
        ("response", &result.latency, "from the due time to the arrival"),
        ("service", &result.service, "from the actual sending"),
        ("completion", &result.completion, "until the last subscriber had it"),
        ("ack", &result.ack, "until the publisher was answered"),
        ("reconnect", &result.reconnect, "until subscribed again"),
        ("restart", &result.restart, "until the killed server listened again"),
        ("recovery", &result.recovery, "from the kill until subscribed again"),
        ("send lag", &result.lag, "the tester's own lateness"),
    ] {
        if figures.samples == 0 {
            continue;
        }
        let Figures { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, samples, .. } = figures;
        write!(out, "<tr><td>{name}")?;
        for value in [p50_ms, p90_ms, p99_ms, p999_ms, max_ms] {
            write!(out, "<td>{value:.2}")?;
        }
        write!(out, "<td>{samples}<td class=\"text soft\">{about}</tr>")?;
    }
    out.push_str("</table></div>");
    Ok(())
}

fn write_checks(out: &mut String, checks: &[Finding]) -> std::fmt::Result {
    out.push_str("<div class=card><table><tr><th>threshold<th>measured<th class=text></tr>");
    let (missed, met): (Vec<_>, Vec<_>) = checks.iter().partition(|finding| !finding.met);
    for Finding { threshold, value, met, class } in missed.into_iter().chain(met) {
        let (colour, word) = match (met, class) {
            (true, _) => ("good", "✓ holds"),
            (false, Class::Integrity) => ("bad", "✗ broken promise"),
            (false, Class::Threshold) => ("bad", "✗ missed"),
            (false, Class::Tester) => ("warn", "✗ the tester was the bottleneck"),
        };
        let value = if value.is_nan() { "nothing".into() } else { short(*value) };
        write!(out, "<tr><td>{}<td>{value}<td class=\"text {colour}\">{word}</tr>", escape(threshold))?;
    }
    out.push_str("</table></div>");
    Ok(())
}

fn charts(result: &RunResult) -> Vec<Chart> {
    let over_time = |pick: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
        result.timeline.iter().map(|sample| (sample.at_s, pick(sample))).collect()
    };
    // Intervals in which nothing arrived have no latency.
    let latency = |pick: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
        over_time(pick).into_iter().filter(|&(_, ms)| ms > 0.0).collect()
    };
    let time = |title: &str, y, y_scale, lines| Chart {
        title: title.into(),
        x: "seconds",
        y,
        x_scale: Scale::Even,
        y_scale,
        lines,
        events: result.kills_s.clone(),
    };
    let mut charts = Vec::new();
    if result.latency.samples > 0 {
        charts.push(time(
            "Response latency over time",
            "ms",
            Scale::Log,
            vec![
                Line::new("max", 3, latency(|s| s.max_ms)),
                Line::new("p99", 1, latency(|s| s.p99_ms)),
                Line::new("p50", 0, latency(|s| s.p50_ms)),
            ],
        ));
        charts.push(Chart {
            title: "Latency by percentile".into(),
            x: "percentile",
            y: "ms",
            x_scale: Scale::Nines,
            y_scale: Scale::Log,
            events: Vec::new(),
            lines: vec![
                Line::new("response", 0, result.curve.clone()),
                Line::new("service", 2, result.service_curve.clone()),
            ],
        });
    }
    if result.counts.sent > 0 {
        let delivered = Line::new("delivered", 2, over_time(|s| s.deliveries_per_second));
        charts.push(time("Deliveries", "per second", Scale::Even, vec![delivered]));
        let sent = Line::new("sent", 0, over_time(|s| s.sent_per_second));
        charts.push(time("Messages published", "per second", Scale::Even, vec![sent]));
    }
    if result.ledger.missing > 0 {
        let lost = Line { bars: true, ..Line::new("lost", 3, over_time(|s| s.lost as f64)) };
        charts.push(time("Losses, by when they were due", "deliveries lost", Scale::Even, vec![lost]));
    }
    if result.cost.is_some() {
        let cpu = Line::new("server", 4, over_time(|s| s.server_cpu_percent));
        charts.push(time("Server CPU", "% of a core", Scale::Even, vec![cpu]));
        let memory = Line::new("server", 5, over_time(|s| s.server_mib));
        charts.push(time("Server memory", "MiB", Scale::Even, vec![memory]));
    }
    if result.counts.cuts + result.counts.disconnects + result.counts.kills > 0 {
        let connected = Line::new("connected", 0, over_time(|s| s.connected as f64));
        charts.push(time("Subscribers connected", "subscribers", Scale::Even, vec![connected]));
    }
    charts
}
