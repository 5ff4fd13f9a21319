//! All repeats of a fan-out run in one table, held to the thresholds.

use serde::Serialize;

use super::fanout::BARE_RATE;
use crate::affinity::Cores;
use crate::memory::Holding;
use crate::options::FanoutOptions;
use crate::verdict::{self, Check, Spread, Verdict};
use crate::window::Measured;

/// Uncoalesced, a delivery may cost this much of a bare `send()`.
const RATIO_AT_20: f64 = 1.25;
/// Coalesced, this much of a bare `send()` at 20 messages a second.
const RATIO_AT_500: f64 = 0.45;
/// Stalled subscribers may raise the others' p99 this much.
const STALLED_P99: f64 = 1.2;
/// A server busier than this is saturated, and its latency a matter of luck.
const SATURATED_PERCENT: f64 = 80.0;
/// The tester's own limits.
const LAG_P99_MS: f64 = 50.0;
const TESTER_CPU_PERCENT: f64 = 95.0;
/// An event loop takes larger bites when it is busy, so a full core alone does not mean that it cannot keep up;
/// finding more to do than it can take in most turns does.
const TESTER_BEHIND_PERCENT: f64 = 50.0;
/// Above this, other processes on the two cores changed what was measured.
const DISTURBED_PERCENT: f64 = 10.0;

/// How many faults are spelled out.
const NOTES: usize = 20;

/// One pass over bare loop and server.
#[derive(Clone, Debug, Serialize)]
pub struct Repeat {
    /// The yardstick.
    pub bare: Measured,
    /// The server, one window per rate.
    pub windows: Vec<Measured>,
    /// The same with stalled subscribers besides.
    pub stalled: Vec<Measured>,
    /// The server's memory at the end.
    pub holding: Holding,
    /// What was started.
    pub server: String,
}

/// A fan-out run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Of this JSON.
    pub schema_version: u32,
    /// The verdict over all checks.
    pub verdict: Verdict,
    /// The server's command or URL.
    pub server: String,
    /// `json` or `msgpack`.
    pub encoding: crate::wire::Encoding,
    /// Subscribers that read.
    pub subscribers: usize,
    /// Subscribers that do not.
    pub stalled: usize,
    /// Bytes of payload.
    pub payload: usize,
    /// Length of a window.
    pub seconds: f64,
    /// CPUs of server and tester.
    pub cores: Option<(usize, usize)>,
    /// The yardstick, then one row per rate, then one per rate with stalled subscribers.
    pub rows: Vec<Row>,
    /// The thresholds.
    pub checks: Vec<Check>,
    /// What went wrong, in words.
    pub notes: Vec<String>,
    /// Everything, unsummarised.
    pub repeats: Vec<Repeat>,
}

/// One rate over all repeats.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `bare`, `server` or `stalled`.
    pub what: &'static str,
    /// Messages a second.
    pub rate: f64,
    /// Deliveries in all repeats.
    pub deliveries: u64,
    /// Deliveries a second, median.
    pub deliveries_per_second: f64,
    /// Server CPU per delivery in microseconds.
    pub cpu_us: Spread,
    /// The same relative to the bare loop of the same repeat.
    pub ratio: Spread,
    /// Share of its core the server used, median, in percent.
    pub server_cpu_percent: f64,
    /// Deliveries per read of the receivers: how much was coalesced.
    pub per_read: f64,
    /// Wire bytes per delivery.
    pub bytes_per_delivery: f64,
    /// Median of the medians.
    pub p50_ms: f64,
    /// Median of the 99th percentiles.
    pub p99_ms: f64,
    /// The largest of all.
    pub max_ms: f64,
    /// Never arrived.
    pub lost: u64,
    /// Arrived again.
    pub duplicate: u64,
    /// Arrived after a later one.
    pub reordered: u64,
    /// Damaged, never sent, ended connections, errors, publishes without acknowledgement.
    pub other: u64,
    /// Of the lost, what the server declared with a `gap`.
    pub signalled: u64,
    /// The tester's send lag, 99th percentile, worst repeat.
    pub lag_p99_ms: f64,
    /// Share of its core the tester used, worst repeat.
    pub tester_cpu_percent: f64,
    /// Share of events that found the tester behind, worst repeat, in percent.
    pub tester_behind_percent: f64,
    /// Share of the time spent waiting for a core that other processes held, worst repeat, in percent.
    pub disturbed_percent: f64,
}

/// Summarises.
#[must_use]
pub fn of(options: &FanoutOptions, cores: Option<Cores>, repeats: Vec<Repeat>) -> Summary {
    let bare: Vec<&Measured> = repeats.iter().map(|repeat| &repeat.bare).collect();
    let mut rows = vec![row("bare", &bare, &bare)];
    for (what, pick) in
        [("server", (|r| &r.windows) as fn(&Repeat) -> &Vec<Measured>), ("stalled", |r| &r.stalled)]
    {
        for at in 0..options.rates.len() {
            let windows: Vec<&Measured> = repeats.iter().filter_map(|repeat| pick(repeat).get(at)).collect();
            if !windows.is_empty() {
                rows.push(row(what, &windows, &bare));
            }
        }
    }
    let checks = checks(&rows);
    let notes = notes(&rows, &repeats);
    Summary {
        schema_version: 1,
        verdict: verdict::over(&checks),
        server: repeats.first().map(|repeat| repeat.server.clone()).unwrap_or_default(),
        encoding: options.encoding,
        subscribers: options.subscribers,
        stalled: options.stalled,
        payload: options.payload,
        seconds: options.seconds,
        cores: cores.map(|cores| (cores.server, cores.tester)),
        rows,
        checks,
        notes,
        repeats,
    }
}

fn row(what: &'static str, windows: &[&Measured], bare: &[&Measured]) -> Row {
    let spread = |pick: fn(&Measured) -> f64| Spread::of(windows.iter().map(|m| pick(m)));
    let sum = |pick: fn(&Measured) -> u64| windows.iter().map(|m| pick(m)).sum::<u64>();
    let deliveries = sum(|m| m.counts.deliveries);
    let per = |total: u64, count: u64| total as f64 / count.max(1) as f64;
    let unacknowledged =
        if what == "bare" { 0 } else { sum(|m| m.sent.saturating_sub(m.counts.acknowledged)) };
    Row {
        what,
        rate: windows[0].rate,
        deliveries,
        deliveries_per_second: spread(|m| m.deliveries_per_second).median,
        cpu_us: spread(|m| m.cpu_us_per_delivery),
        // Each window by the bare loop of its own repeat, as the machine may be faster in one than in the next.
        ratio: Spread::of(
            windows.iter().zip(bare).map(|(m, b)| m.cpu_us_per_delivery / b.cpu_us_per_delivery),
        ),
        server_cpu_percent: spread(|m| m.server_cpu_percent).median,
        per_read: per(deliveries, sum(|m| m.counts.reads)),
        bytes_per_delivery: per(sum(|m| m.counts.bytes), deliveries),
        p50_ms: spread(|m| m.latency.p50_ms).median,
        p99_ms: spread(|m| m.latency.p99_ms).median,
        max_ms: spread(|m| m.latency.max_ms).max,
        lost: sum(|m| m.faults.missing),
        duplicate: sum(|m| m.faults.duplicate),
        reordered: sum(|m| m.faults.reordered),
        other: sum(|m| m.counts.corrupt + m.counts.phantom + m.counts.ended + m.counts.errors)
            + unacknowledged,
        signalled: sum(|m| m.counts.signalled),
        lag_p99_ms: spread(|m| m.lag.p99_ms).max,
        tester_cpu_percent: spread(|m| m.tester_cpu_percent).max,
        tester_behind_percent: spread(|m| m.tester_behind_percent).max,
        disturbed_percent: spread(|m| m.disturbed_percent).max,
    }
}

fn checks(rows: &[Row]) -> Vec<Check> {
    let mut checks = Vec::new();
    let at =
        |what: &str, rate: f64| rows.iter().find(|row| row.what == what && (row.rate - rate).abs() < 1e-6);
    if let Some(row) = at("server", BARE_RATE) {
        checks.push(Check::server(
            "CPU per delivery at 20/s, ratio to bare at 20/s",
            row.ratio.median,
            RATIO_AT_20,
        ));
    }
    if let Some(row) = at("server", 500.0) {
        checks.push(Check::server(
            "CPU per delivery at 500/s, ratio to bare at 20/s",
            row.ratio.median,
            RATIO_AT_500,
        ));
    }
    let wrong = |row: &Row| row.lost + row.duplicate + row.reordered + row.other;
    let faults = rows.iter().map(wrong).sum::<u64>();
    checks.push(Check::server("ledger: lost, duplicate, reordered, other", faults as f64, 0.0));
    for stalled in rows.iter().filter(|row| row.what == "stalled") {
        let Some(without) = at("server", stalled.rate) else { continue };
        if without.server_cpu_percent < SATURATED_PERCENT {
            let name = format!("p99 at {}/s with stalled subscribers, ratio to without", stalled.rate);
            checks.push(Check::server(name, stalled.p99_ms / without.p99_ms, STALLED_P99));
        }
    }
    checks.extend(rows.iter().flat_map(tester_checks));
    checks
}

/// The tester's own limits, as far as it missed them in this row.
fn tester_checks(row: &Row) -> Vec<Check> {
    let name = |what: &str| format!("tester's {what} at {}/s ({})", row.rate, row.what);
    let mut checks = vec![Check::tester(name("send lag p99, ms"), row.lag_p99_ms, LAG_P99_MS)];
    if row.tester_behind_percent > TESTER_BEHIND_PERCENT {
        checks.push(Check::tester(name("CPU while behind, %"), row.tester_cpu_percent, TESTER_CPU_PERCENT));
    }
    // A limit that the tester kept says nothing about the server, so the report leaves it out.
    checks.retain(|check| !check.met());
    checks
}

/// What went wrong in the windows, and whether the machine was quiet.
fn notes(rows: &[Row], repeats: &[Repeat]) -> Vec<String> {
    let windows = repeats.iter().flat_map(|r| [&r.bare].into_iter().chain(&r.windows).chain(&r.stalled));
    let faults = windows.flat_map(|m| m.notes.iter().map(move |note| format!("{}/s: {note}", m.rate)));
    let mut notes: Vec<String> = faults.take(NOTES).collect();
    let most = rows.iter().map(|row| row.disturbed_percent).fold(0.0, f64::max);
    if most > DISTURBED_PERCENT {
        notes.push(format!(
            "DISTURBED: other processes held the two cores for up to {most:.0} % of a window; repeat on a quiet machine"
        ));
    }
    notes
}
