//! `loadtest doctor`: what this machine allows, and how much of it the tester itself needs.

use std::fs;

use clap::Args;

use super::course::Show;
use super::scenario::Scenario;
use super::servers::Known;
use super::units::{Sizes, Span};
use super::{catch_interrupts, environment, measure};
use crate::affinity::Cores;
use crate::clock;
use crate::error::Result;
use crate::memory;
use crate::options::ServerOptions;
use crate::scenario::{fanout, prepare};

/// How often a clock or a timer is asked.
const CLOCK_READS: u32 = 200_000;
const TIMER_WAITS: usize = 200;
const TIMER_NS: u64 = 500_000;
/// Load of the self-test.
const SUBSCRIBERS: usize = 500;
const RATE: f64 = 1000.0;

/// Options of `doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorOptions {
    /// Leave out the self-test against the null server
    #[arg(long)]
    pub quick: bool,
    /// Leave it to the system which CPU runs what
    #[arg(long)]
    pub no_pin: bool,
}

/// Prints what it finds and returns the exit code: 1 when something stands in the way of good figures.
///
/// # Errors
/// When the system does not tell.
pub fn run(options: &DoctorOptions) -> Result<u8> {
    let environment = environment()?;
    let mut warnings = 0;
    let mut line = |good: bool, text: String| {
        warnings += u8::from(!good);
        println!("{} {text}", if good { "ok  " } else { "WARN" });
    };
    line(
        environment.cpus >= 2,
        format!("{} CPUs ({}); server and tester each need one", environment.cpus, environment.cpu),
    );
    let descriptors = memory::raise_descriptor_limit()?;
    line(
        descriptors >= 4096,
        format!("{descriptors} descriptors: at most that many connections less a few dozen"),
    );
    let ports = port_range();
    line(ports >= 20_000, format!("{ports} local ports: connections to one address and port"));
    let backlog = number("/proc/sys/net/core/somaxconn");
    line(backlog >= 1024, format!("accept queue of at most {backlog} (somaxconn)"));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    line(load < 0.5, format!("load average {load}: other processes disturb the figures"));
    let stolen = steal_percent();
    line(stolen < 1.0, format!("{stolen:.1} % of CPU time since boot was taken by the host (steal)"));
    let clock_ns = clock_cost_ns();
    line(clock_ns < 200.0, format!("reading the clock takes {clock_ns:.0} ns"));
    let (usual_us, worst_us) = timer_overshoot_us();
    line(
        worst_us < 5000.0,
        format!("timers ring {usual_us:.0} µs late, {worst_us:.0} µs at worst of {TIMER_WAITS}"),
    );
    if !options.quick {
        let server = ServerOptions { no_pin: options.no_pin, at_once: 128, ..ServerOptions::default() };
        // Once: a pinned process sees one CPU only.
        let cores = prepare(&server, SUBSCRIBERS + 1)?;
        let floor = fanout::floor(&server, cores, SUBSCRIBERS, 2.0)?;
        line(
            floor.faults.is_clean(),
            format!(
                "bare send() loop, {SUBSCRIBERS} receivers: {:.2} µs CPU per delivery, p50 {:.2} ms, p99 {:.2} ms: the floor",
                floor.cpu_us_per_delivery, floor.latency.p50_ms, floor.latency.p99_ms
            ),
        );
        let (good, text) = self_test(&server, cores)?;
        line(good, text);
    }
    Ok(u8::from(warnings > 0))
}

fn number(path: &str) -> u64 {
    fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn port_range() -> u64 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = text.split_ascii_whitespace().filter_map(|bound| bound.parse::<u64>().ok());
    bounds.next().zip(bounds.next()).map_or(0, |(low, high)| (high + 1).saturating_sub(low))
}

/// The eighth number of the first line of /proc/stat, as a share of all.
fn steal_percent() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let times: Vec<f64> =
        line.split_ascii_whitespace().skip(1).filter_map(|time| time.parse().ok()).collect();
    // Guests, the ninth and tenth, are in the first two already.
    let all: f64 = times.iter().take(8).sum();
    times.get(7).map_or(0.0, |steal| steal * 100.0 / all.max(1.0))
}

fn clock_cost_ns() -> f64 {
    let begin_ns = clock::now_ns();
    for _ in 1..CLOCK_READS {
        std::hint::black_box(clock::now_ns());
    }
    (clock::now_ns() - begin_ns) as f64 / f64::from(CLOCK_READS)
}

fn timer_overshoot_us() -> (f64, f64) {
    let mut late: Vec<u64> = (0..TIMER_WAITS)
        .map(|_| {
            let due_ns = clock::now_ns() + TIMER_NS;
            clock::sleep_until(due_ns);
            clock::now_ns() - due_ns
        })
        .collect();
    late.sort_unstable();
    let us = |ns: Option<&u64>| ns.map_or(0.0, |&ns| ns as f64 / 1e3);
    (us(late.get(TIMER_WAITS / 2)), us(late.last()))
}

/// Half a million deliveries a second from the null server, with the full ledger.
fn self_test(server: &ServerOptions, cores: Option<Cores>) -> Result<(bool, String)> {
    let prepared = Known::Null.prepare(server)?;
    let scenario = Scenario {
        name: "self-test".into(),
        subscribers: SUBSCRIBERS,
        rate: RATE,
        size: Sizes { min: 128, max: 128 },
        warmup: Span(0.5),
        duration: Span(3.0),
        ..Scenario::default()
    };
    let result = measure(&scenario, &prepared.options, cores, &[], &catch_interrupts()?, Show::Nothing)?;
    let ceiling = result.deliveries_per_second * 100.0 / result.tester.cpu_percent.max(1.0);
    let text = format!(
        "self-test against the null server: {:.0} deliveries/s at {:.0} % of a core (so at most about {ceiling:.0}), \
         p50 {:.2} ms, p99 {:.2} ms, send lag p99 {:.2} ms, lost {}",
        result.deliveries_per_second,
        result.tester.cpu_percent,
        result.latency.p50_ms,
        result.latency.p99_ms,
        result.lag.p99_ms,
        result.ledger.missing
    );
    Ok((ceiling >= 500_000.0 && result.ledger.missing == 0, text))
}
