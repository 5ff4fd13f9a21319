//! `loadtest run`: a scenario against a server, with a ledger of every message and a verdict.
//!
//! Reading order: [`scenario`] (what to do) → [`layout`] and [`schedule`] (who, and when) → `engine` (doing it) →
//! `account` (what became of every message) → [`result`] (what was measured) → [`threshold`] (whether it is good).

mod account;
pub mod chart;
pub mod compare;
mod counts;
mod course;
pub mod crew;
pub mod diff;
pub mod doctor;
mod engine;
pub mod fairness;
pub mod find_max;
pub mod finding;
pub mod html;
pub mod layout;
mod options;
pub mod result;
pub mod rng;
pub mod scenario;
pub mod schedule;
pub mod servers;
pub mod stats;
pub mod text;
pub mod threshold;
pub mod units;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{SystemTime, UNIX_EPOCH};

pub use counts::{Counts, Ledger};
pub use options::{Overrides, ReportOptions, RunOptions};

use self::course::{Course, Show};
use self::crew::{Company, Lead};
use self::engine::{Ended, Engine, Means};
use self::fairness::Fairness;
use self::finding::Class;
use self::result::{Cost, Environment, RunResult, Tester};
use self::scenario::Scenario;
use self::threshold::Threshold;
use crate::affinity::Cores;
use crate::error::{Context, Error, INTERRUPTED, Result};
use crate::options::ServerOptions;
use crate::scenario::{SPARE_DESCRIPTORS, Subject, prepare, write_json};
use crate::verdict::Verdict;
use crate::{clock, memory, output, stamp};

/// A silence worth mentioning.
const SILENCE_MS: f64 = 1000.0;

/// The scenario that the options describe.
///
/// # Errors
/// When they contradict each other.
pub fn effective(name: &str, overrides: &Overrides) -> Result<Scenario> {
    let mut scenario = scenario::load(name)?;
    overrides.clone().apply(&mut scenario);
    scenario.check()?;
    Ok(scenario)
}

/// Runs the command and returns the exit code.
///
/// # Errors
/// When the run cannot be made.
pub fn run(options: &RunOptions) -> Result<u8> {
    let prepared = options.against.map(|known| known.prepare(&options.server)).transpose()?;
    let mut overrides = options.overrides.clone();
    if let Some(prepared) = &prepared {
        prepared.adjust(&mut overrides);
    }
    let server = prepared.as_ref().map_or(&options.server, |prepared| &prepared.options);
    let scenario = effective(&options.scenario, &overrides)?;
    // All that can be wrong with what was asked for is found out before the server starts: a slip in a threshold must
    // not cost a run.
    let mut own = threshold::parse(&scenario.thresholds)?;
    own.extend(threshold::parse(&options.threshold)?);
    let cores = prepare(server, 0)?;
    output::check(options.html.as_deref())?;
    let stop = catch_interrupts()?;
    let show = if options.quiet { Show::Nothing } else { Show::fitting() };
    let result = measure(&scenario, server, cores, &own, &stop, show)?;
    print!("{}", text::report(&result));
    // Where one cannot be written, the other still may.
    let written = write_json(&options.server, &result);
    if let Some(path) = &options.html {
        html::save(path, &result)?;
    }
    written?;
    Ok(exit_code(&result))
}

/// The first interrupt ends the publishing, the second one everything.
fn catch_interrupts() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Before the other: at the first interrupt the flag is still down when this looks, so only the second one ends
        // the process.
        signal_hook::flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&stop))
            .context("signals")?;
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("signals")?;
    }
    Ok(stop)
}

fn exit_code(result: &RunResult) -> u8 {
    if result.interrupted { INTERRUPTED } else { result.verdict.exit_code() }
}

/// Starts the server (or takes the one there is) and runs the scenario once.
fn measure(
    scenario: &Scenario,
    server: &ServerOptions,
    cores: Option<Cores>,
    own: &[Threshold],
    stop: &Arc<AtomicBool>,
    show: Show,
) -> Result<RunResult> {
    let mut server = server.clone();
    if let (None, None, Some(plan)) = (&server.serve, &server.url, &scenario.server) {
        server.serve.clone_from(&plan.serve);
    }
    server.config = scenario.server.as_ref().and_then(|plan| plan.config.clone());
    let subject = Subject::start(&server, scenario.adapter.adapter(), cores)?;
    if scenario.restarts() && !subject.is_own() {
        return Err(Error::Usage("only a server that the tester starts, with --serve, can be killed".into()));
    }
    let name = subject.name.clone();
    let before = subject.pid.map(memory::holding).transpose()?;
    let course = Course::new(subject.pid, scenario, show)?;
    let run = run_number();
    let count = processes(scenario, &server)?;
    let (mut company, part) = if count > 1 {
        let (lead, part) = Lead::start(scenario, run, count, &subject.target, &server)?;
        (Company::Lead(lead), part)
    } else {
        (Company::Alone, scenario.clone())
    };
    let means = Means {
        scenario: &part,
        run,
        first: 0,
        at_once: server.at_once,
        connect_rate: server.connect_rate.map(|rate| rate / count as f64),
        stop: Arc::clone(stop),
    };
    let mut ended = Engine::new(&means, subject, course)?.run(&mut company)?;
    ended.course.mark_losses(ended.start_ns, &ended.closed.lost_due_ns);
    let cost = before.map(|before| cost(&ended, before, ended.course.after.unwrap_or(before)));
    let mut result = result_of(scenario, name, ended, cost)?;
    if result.silence_ms > SILENCE_MS {
        result
            .notes
            .push(format!("nothing arrived for {:.0} ms although messages were due", result.silence_ms));
    }
    result.checks = threshold::findings(&result, own)?;
    result.verdict = verdict(&result);
    Ok(result)
}

/// How many processes a scenario takes.
fn processes(scenario: &Scenario, server: &ServerOptions) -> Result<usize> {
    let descriptors = usize::try_from(memory::raise_descriptor_limit()?).unwrap_or(usize::MAX);
    let connections = scenario.subscribers + scenario.publishers;
    let room = descriptors.saturating_sub(SPARE_DESCRIPTORS);
    let count = crew::processes(server.processes, connections, room);
    if count > scenario.subscribers {
        return Err(Error::Usage(format!("{count} processes are more than there are subscribers")));
    }
    if connections.div_ceil(count) > room {
        return Err(Error::Usage(format!(
            "{connections} connections are too many for {count} processes with {descriptors} descriptors each"
        )));
    }
    Ok(count)
}

fn verdict(result: &RunResult) -> Verdict {
    let missed = |class| result.checks.iter().any(|finding| finding.class == class && !finding.met);
    // A lost or altered message is one however busy the tester was; a latency is not.
    if missed(Class::Integrity) {
        Verdict::Broken
    } else if missed(Class::Tester) {
        Verdict::Invalid
    } else if missed(Class::Threshold) {
        Verdict::Fail
    } else {
        Verdict::Pass
    }
}

fn cost(ended: &Ended, before: memory::Holding, after: memory::Holding) -> Cost {
    let cpu_ns = ended.course.server_cpu_ns().unwrap_or(0) as f64;
    let deliveries = ended.account.counts.deliveries;
    let elapsed_ns = clock::now_ns().saturating_sub(ended.start_ns).max(1) as f64;
    Cost {
        cpu_us_per_delivery: if deliveries == 0 { 0.0 } else { cpu_ns / 1e3 / deliveries as f64 },
        cpu_percent: cpu_ns * 100.0 / elapsed_ns,
        before,
        after,
        // The peak is of samples, between which the end may be higher.
        peak_rss: ended.course.peak_rss.max(after.rss_anon),
        bytes_per_connection: after.rss_anon.saturating_sub(before.rss_anon) as f64
            / ended.connections.max(1) as f64,
    }
}

fn result_of(scenario: &Scenario, server: String, ended: Ended, cost: Option<Cost>) -> Result<RunResult> {
    let Ended { account, closed, course, .. } = ended;
    let (from, to) = account.measured_ns;
    let seconds = to.saturating_sub(from) as f64 / 1e9;
    let counts = account.counts;
    // A server that falls behind delivers the rest after the end: that time counts, too.
    let delivering = account.last_measured_ns.max(to).saturating_sub(from) as f64 / 1e9;
    Ok(RunResult {
        schema_version: 1,
        verdict: Verdict::Pass,
        interrupted: ended.interrupted,
        server,
        scenario: scenario.clone(),
        environment: environment()?,
        seconds,
        ledger: closed.ledger,
        counts,
        latency: account.response.figures(),
        service: account.service.figures(),
        lag: ended.lag.figures(),
        completion: account.completion.figures(),
        ack: account.ack.figures(),
        reconnect: ended.reconnect.figures(),
        restart: ended.restart.figures(),
        recovery: ended.recovery.figures(),
        curve: account.response.curve(),
        service_curve: account.service.curve(),
        deliveries_per_second: counts.measured as f64 / delivering.max(1e-9),
        bytes_per_delivery: if counts.deliveries == 0 {
            0.0
        } else {
            counts.bytes as f64 / counts.deliveries as f64
        },
        silence_ms: course.silence_ns as f64 / clock::MILLISECOND as f64,
        cost,
        tester: Tester {
            cpu_percent: ended.own_cpu_percent,
            behind_percent: ended.behind_percent,
            connections: ended.connections,
            connects_per_second: ended.connects_per_second,
            processes: ended.processes,
            bytes_per_connection: ended.memory as f64 / ended.connections.max(1) as f64,
        },
        fairness: Fairness::of(ended.typical_ns),
        timeline: course.samples,
        kills_s: course.kills_s,
        notes: account.notes,
        checks: Vec::new(),
    })
}

/// A number that another run on the same server will hardly have.
fn run_number() -> u32 {
    let [a, b, c, ..] = (clock::now_ns() ^ (u64::from(std::process::id()) << 20)).to_le_bytes();
    let [d, e, f, ..] = clock::now_ns().rotate_right(24).to_le_bytes();
    u32::from_le_bytes([a ^ d, b ^ e, c ^ f, 0]) % stamp::NUMBERS
}

fn environment() -> Result<Environment> {
    let name = rustix::system::uname();
    let words = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let command: Vec<String> = std::env::args().skip(1).collect();
    Ok(Environment {
        version: env!("CARGO_PKG_VERSION").into(),
        command: format!("loadtest {}", command.join(" ")),
        started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs()),
        kernel: format!("{} {}", words(name.sysname()), words(name.release())),
        cpu: model.map_or_else(String::new, |(_, model)| model.to_owned()),
        cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count().max(1),
        descriptors: memory::raise_descriptor_limit()?,
    })
}

/// Makes the report with charts of a run that was written as JSON.
///
/// # Errors
/// When the file cannot be read, or is no such report.
pub fn report(options: &ReportOptions) -> Result<u8> {
    let result = RunResult::load(&options.run)?;
    print!("{}", text::report(&result));
    if let Some(path) = &options.html {
        html::save(path, &result)?;
    }
    Ok(0)
}

/// Prints the presets, or one of them as a file.
///
/// # Errors
/// When there is none of that name.
pub fn presets(name: Option<&str>) -> Result<u8> {
    let Some(name) = name else {
        for (name, about, _) in scenario::PRESETS {
            println!("{name:<14}{about}");
        }
        return Ok(0);
    };
    let scenario = scenario::load(name)?;
    let text = toml::to_string(&scenario).map_err(|error| Error::Encode(error.to_string()))?;
    print!("{text}");
    Ok(0)
}
