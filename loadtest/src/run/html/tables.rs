//! The tables of a report: latencies, the ledger, checks, machine and run.

use std::fmt::Write;

use crate::latency::Figures;
use crate::run::chart::{escape, short};
use crate::run::finding::{Class, Finding};
use crate::run::result::RunResult;
use crate::run::scenario::Kind;

pub(super) fn write_latency(out: &mut String, result: &RunResult) -> std::fmt::Result {
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

pub(super) fn write_ledger(out: &mut String, result: &RunResult) -> std::fmt::Result {
    let counts = &result.counts;
    out.push_str("<div class=pair><section><h2>Ledger</h2><div class=card><table><tr><th>messages<th>count<th class=text></tr>");
    // The first two are the same figure under two names.
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

pub(super) fn write_checks(out: &mut String, checks: &[Finding]) -> std::fmt::Result {
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

pub(super) fn write_machine(out: &mut String, result: &RunResult) -> std::fmt::Result {
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
