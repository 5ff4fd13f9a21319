//! Reports for people. Programs read the JSON instead.

use std::fmt::Write;

use crate::scenario::{idle, publish, summary};
use crate::verdict::{Check, Verdict};

/// The report of a fan-out run.
#[must_use]
pub fn fanout(summary: &summary::Summary) -> String {
    let mut out = String::new();
    let summary::Summary { subscribers, payload, seconds, stalled, .. } = summary;
    let repeats = summary.repeats.len();
    line(&mut out, format_args!("server: {}", summary.server));
    line(
        &mut out,
        format_args!(
            "{subscribers} subscribers, {payload} bytes of payload, {:?}, {seconds} s per window, {repeats} repeats, \
             {stalled} stalled, cores (server, tester) {:?}",
            summary.encoding, summary.cores
        ),
    );
    line(&mut out, format_args!(""));
    line(
        &mut out,
        format_args!(
            "{:<8}{:>6}{:>11}{:>10}  {:<18}{:>7}{:>6}{:>7}{:>7}{:>9}{:>9}{:>9}  {:<18}{:>7}{:>6}{:>8}{:>8}",
            "what",
            "msg/s",
            "deliveries",
            "per s",
            "µs/delivery",
            "ratio",
            "cpu%",
            "/read",
            "bytes",
            "p50 ms",
            "p99 ms",
            "max ms",
            "lost/dup/reord/oth",
            "lag ms",
            "own%",
            "behind%",
            "others%"
        ),
    );
    for row in &summary.rows {
        line(&mut out, format_args!("{}", fanout_row(row)));
    }
    let rss = summary.repeats.iter().map(|repeat| repeat.holding.rss_anon).max().unwrap_or(0);
    line(&mut out, format_args!("\nserver memory at the end: {:.1} MiB", rss as f64 / (1024.0 * 1024.0)));
    ending(&mut out, &summary.checks, &summary.notes, summary.verdict);
    out
}

fn fanout_row(row: &summary::Row) -> String {
    let cpu = format!("{:.2} [{:.2}–{:.2}]", row.cpu_us.median, row.cpu_us.min, row.cpu_us.max);
    let faults = format!("{}/{}/{}/{}", row.lost, row.duplicate, row.reordered, row.other);
    format!(
        "{:<8}{:>6}{:>11}{:>10.0}  {:<18}{:>7.3}{:>6.0}{:>7.2}{:>7.0}{:>9.2}{:>9.2}{:>9.2}  {:<18}{:>7.2}{:>6.0}{:>8.0}{:>8.1}",
        row.what,
        row.rate,
        row.deliveries,
        row.deliveries_per_second,
        cpu,
        row.ratio.median,
        row.server_cpu_percent,
        row.per_read,
        row.bytes_per_delivery,
        row.p50_ms,
        row.p99_ms,
        row.max_ms,
        faults,
        row.lag_p99_ms,
        row.tester_cpu_percent,
        row.tester_behind_percent,
        row.disturbed_percent,
    )
}

/// The report of an idle run.
#[must_use]
pub fn idle(summary: &idle::Summary) -> String {
    let mut out = String::new();
    let topics = if summary.topic_shared { "one topic for all" } else { "a topic each" };
    let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
    line(&mut out, format_args!("server: {}", summary.server));
    line(&mut out, format_args!("{} connections, {topics}", summary.connections));
    line(
        &mut out,
        format_args!(
            "connects per second   {:.0} ({:.1} µs of server CPU each; tester {:.0} % of its core)",
            summary.connects_per_second, summary.connect_cpu_us, summary.tester_cpu_percent
        ),
    );
    line(
        &mut out,
        format_args!(
            "memory per connection {:.0} bytes RssAnon, {:.0} bytes Pss_Anon ({:.1} → {:.1} MiB)",
            summary.rss_per_connection,
            summary.pss_per_connection,
            mib(summary.before.rss_anon),
            mib(summary.after.rss_anon)
        ),
    );
    line(
        &mut out,
        format_args!("descriptors           {} → {}", summary.before.descriptors, summary.after.descriptors),
    );
    line(
        &mut out,
        format_args!(
            "idle CPU              {:.3} % of a core over {:.0} s",
            summary.idle_cpu_percent, summary.idle_seconds
        ),
    );
    ending(&mut out, &summary.checks, &summary.notes, summary.verdict);
    out
}

/// The report of publishers that pipeline.
#[must_use]
pub fn publish(summary: &publish::Summary) -> String {
    let mut out = String::new();
    let means = if summary.durable { "durable" } else { "as the topic's rule says" };
    line(&mut out, format_args!("server: {}", summary.server));
    line(
        &mut out,
        format_args!(
            "{} publishers with {} messages of {} bytes under way each; acknowledged means {means}",
            summary.publishers, summary.window, summary.payload
        ),
    );
    line(
        &mut out,
        format_args!(
            "acknowledged per second {:.0} ({} in all, {} refused)",
            summary.acknowledged_per_second, summary.acknowledged, summary.refused
        ),
    );
    line(
        &mut out,
        format_args!(
            "server CPU per message  {:.2} µs ({:.0} % of a core; tester {:.0} %)",
            summary.cpu_us, summary.server_cpu_percent, summary.tester_cpu_percent
        ),
    );
    let ack = &summary.ack;
    line(
        &mut out,
        format_args!(
            "to the acknowledgement  p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            ack.p50_ms, ack.p99_ms, ack.max_ms
        ),
    );
    ending(&mut out, &summary.checks, &summary.notes, summary.verdict);
    out
}

fn ending(out: &mut String, checks: &[Check], notes: &[String], verdict: Verdict) {
    for note in notes {
        line(out, format_args!("  {note}"));
    }
    for check in checks {
        line(out, format_args!("{}", check.line()));
    }
    line(out, format_args!("{}", verdict.word()));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}
