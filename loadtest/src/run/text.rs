//! The report for people.

use std::fmt::Write;

use super::result::RunResult;
use super::scenario::Kind;
use crate::latency::Figures;

/// The report of a run.
#[must_use]
pub fn report(result: &RunResult) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, result);
    out
}

fn write(out: &mut String, result: &RunResult) -> std::fmt::Result {
    let RunResult { scenario, counts, .. } = result;
    writeln!(out, "{} against {}", scenario.name, result.server)?;
    writeln!(
        out,
        "{} subscribers, {} publishers, {} topics ({:?}), {} bytes, {} for {:.1} s",
        scenario.subscribers,
        scenario.publishers,
        scenario.topics,
        scenario.kind,
        scenario.size,
        scenario.adapter,
        result.seconds
    )?;
    writeln!(
        out,
        "\nsent {}, acknowledged {}, refused {}; delivered {} of {} ({:.0}/s, {:.0} bytes each)",
        counts.sent,
        counts.acknowledged,
        counts.refused,
        counts.deliveries,
        counts.expected,
        result.deliveries_per_second,
        result.bytes_per_delivery
    )?;
    write_latency(out, result)?;
    write_ledger(out, result)?;
    write_costs(out, result)?;
    for note in &result.notes {
        writeln!(out, "  {note}")?;
    }
    for finding in &result.checks {
        writeln!(out, "{}", finding.line())?;
    }
    if result.interrupted {
        writeln!(out, "interrupted")?;
    }
    writeln!(out, "{}", result.verdict.word())
}

fn write_latency(out: &mut String, result: &RunResult) -> std::fmt::Result {
    writeln!(
        out,
        "\n{:<12}{:>10}{:>10}{:>10}{:>10}{:>10}{:>12}",
        "ms", "p50", "p90", "p99", "p99.9", "max", "samples"
    )?;
    for (name, figures) in [
        ("response", &result.latency),
        ("service", &result.service),
        ("completion", &result.completion),
        ("ack", &result.ack),
        ("reconnect", &result.reconnect),
        ("restart", &result.restart),
        ("recovery", &result.recovery),
        ("send lag", &result.lag),
    ] {
        if figures.samples > 0 {
            let Figures { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, samples, negative } = figures;
            write!(
                out,
                "{name:<12}{p50_ms:>10.2}{p90_ms:>10.2}{p99_ms:>10.2}{p999_ms:>10.2}{max_ms:>10.2}{samples:>12}"
            )?;
            writeln!(
                out,
                "{}",
                if *negative > 0 { format!("  {negative} NEGATIVE") } else { String::new() }
            )?;
        }
    }
    Ok(())
}

fn write_ledger(out: &mut String, result: &RunResult) -> std::fmt::Result {
    let RunResult { scenario, ledger, .. } = result;
    write!(
        out,
        "\nledger: {} lost ({} of them acknowledged), {} duplicate, {} reordered, {} corrupt, {} phantom, {} wrong topic",
        ledger.missing,
        ledger.acked_missing,
        ledger.duplicate,
        ledger.reordered,
        ledger.corrupt,
        ledger.phantom,
        ledger.wrong_topic
    )?;
    match scenario.kind {
        Kind::Log | Kind::Document => write!(out, "; signalled gaps {}", ledger.signalled)?,
        Kind::Latest => write!(
            out,
            "; conflated {}, last values missing {}, skipped counts wrong {}, stale {}",
            ledger.conflated, ledger.last_value_missing, ledger.skipped_mismatch, ledger.stale
        )?,
        Kind::Volatile => write!(out, "; dropped {}", ledger.dropped)?,
    }
    for (name, count) in
        [("redelivered", ledger.redelivered), ("while away", ledger.away), ("cut off", ledger.cut_off)]
    {
        if count > 0 {
            write!(out, "; {name} {count}")?;
        }
    }
    writeln!(out)
}

fn write_costs(out: &mut String, result: &RunResult) -> std::fmt::Result {
    let RunResult { counts, tester, .. } = result;
    if counts.cuts > 0 {
        writeln!(
            out,
            "churn: {} connections cut, {} subscriptions recovered, {} not",
            counts.cuts, counts.recovered, counts.unrecovered
        )?;
    }
    if counts.kills > 0 {
        writeln!(
            out,
            "server killed {} times: {} connections ended with it, {} messages sent again, {} subscriptions recovered, {} not",
            counts.kills, counts.severed, counts.retried, counts.recovered, counts.unrecovered
        )?;
    }
    if result.scenario.kind == Kind::Document {
        let (updates, differ) = (counts.audited, counts.documents_differ);
        writeln!(out, "documents: {updates} updates read back over HTTP; {differ} documents differ")?;
    } else if counts.audited > 0 {
        writeln!(out, "audit: {} messages read back from the beginning of their topics", counts.audited)?;
    }
    if let Some(cost) = result.cost {
        let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
        writeln!(
            out,
            "server: {:.2} µs CPU per delivery, {:.0} % of a core, memory {:.1} → {:.1} MiB (peak {:.1}; {:.0} bytes per connection), descriptors {} → {}",
            cost.cpu_us_per_delivery,
            cost.cpu_percent,
            mib(cost.before.rss_anon),
            mib(cost.after.rss_anon),
            mib(cost.peak_rss),
            cost.bytes_per_connection,
            cost.before.descriptors,
            cost.after.descriptors
        )?;
    }
    let fairness = result.fairness;
    if fairness.subscribers > 1 {
        writeln!(
            out,
            "fairness: index {:.3}, the slowest tenth waits {:.2} times as long as the median subscriber, spread {:.2} ms",
            fairness.index, fairness.slowest_tenth, fairness.spread_ms
        )?;
    }
    let processes =
        if tester.processes > 1 { format!(" in {} processes", tester.processes) } else { String::new() };
    writeln!(
        out,
        "tester: {:.0} % of a core, {:.0} % of events behind, {} connections{processes} at {:.0} a second, {:.0} bytes each\n",
        tester.cpu_percent,
        tester.behind_percent,
        tester.connections,
        tester.connects_per_second,
        tester.bytes_per_connection
    )
}
