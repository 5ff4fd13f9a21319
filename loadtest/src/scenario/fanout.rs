//! One topic, many subscribers: what a delivery costs next to a bare `send()` loop of the same run.

use std::rc::Rc;

use super::summary::{self, Repeat};
use super::{Subject, prepare, write_json};
use crate::adapter::Subscription;
use crate::affinity::Cores;
use crate::bare::Bare;
use crate::client::connection::Target;
use crate::client::pool::Pool;
use crate::error::{Error, Result};
use crate::memory;
use crate::options::{FanoutOptions, ServerOptions};
use crate::report;
use crate::stamp;
use crate::window::{self, Feed, Measured, Plan, Publishers};
use crate::wire::Encoding;

/// The rate of the yardstick: so low that nothing can be coalesced.
pub const BARE_RATE: f64 = 20.0;
const WARMUP_RATE: f64 = 50.0;

/// Runs the scenario, prints its report and returns the exit code.
///
/// # Errors
/// When the server cannot be started or measured.
pub fn run(options: &FanoutOptions) -> Result<u8> {
    check(options)?;
    let cores = prepare(&options.server, options.subscribers + options.stalled + 1)?;
    let mut publishers = Publishers::new();
    let mut repeats = Vec::new();
    for number in 1..=options.repeat {
        repeats.push(repeat(options, cores, number, &mut publishers)?);
    }
    let summary = summary::of(options, cores, repeats);
    print!("{}", report::fanout(&summary));
    write_json(&options.server, &summary)?;
    Ok(summary.verdict.exit_code())
}

fn check(options: &FanoutOptions) -> Result<()> {
    let problem = if options.payload < stamp::LENGTH {
        format!("--payload must be at least {}, the length of the stamp", stamp::LENGTH)
    } else if options.subscribers == 0 || options.repeat == 0 || options.rates.is_empty() {
        "--subscribers, --repeat and --rates must not be empty".into()
    } else if options.rates.iter().chain([&options.seconds]).any(|&v| !v.is_finite() || v <= 0.0) {
        "--rates and --seconds must be positive".into()
    } else {
        return Ok(());
    };
    Err(Error::Usage(problem))
}

fn repeat(
    options: &FanoutOptions,
    cores: Option<Cores>,
    number: usize,
    publishers: &mut Publishers,
) -> Result<Repeat> {
    let topic = format!("bench:fanout-{:07}-{number:02}", std::process::id());
    let bare = measure_bare(options, cores, &topic, publishers)?;
    progress(number, "bare loop", &bare);

    let subject = Subject::start(&options.server, Rc::new(options.encoding), cores)?;
    let mut pool = Pool::new()?;
    let mut topics = vec![vec![Subscription::to(&topic)]; options.subscribers];
    topics.push(Vec::new());
    pool.open(&subject.target, topics, options.server.at_once)?;
    let mut run = Series { options, pool, topic: &topic, pid: subject.measured_pid()?, publishers };
    run.warm_up()?;
    let windows = run.windows(number, "server")?;
    let mut stalled = Vec::new();
    if options.stalled > 0 {
        run.stall(&subject.target)?;
        stalled = run.windows(number, "with stalled")?;
    }
    let holding = memory::holding(subject.measured_pid()?)?;
    Ok(Repeat { bare, windows, stalled, holding, server: subject.name.clone() })
}

/// The floor of this machine: what the bare loop needs for a delivery to `subscribers`.
///
/// # Errors
/// When the loop cannot be started.
pub fn floor(
    server: &ServerOptions,
    cores: Option<Cores>,
    subscribers: usize,
    seconds: f64,
) -> Result<Measured> {
    let options = FanoutOptions {
        server: server.clone(),
        encoding: Encoding::Json,
        subscribers,
        rates: Vec::new(),
        payload: 128,
        seconds,
        repeat: 1,
        stalled: 0,
        warmup: 0.5,
    };
    measure_bare(&options, cores, "bench:floor", &mut Publishers::new())
}

fn measure_bare(
    options: &FanoutOptions,
    cores: Option<Cores>,
    topic: &str,
    publishers: &mut Publishers,
) -> Result<Measured> {
    let mut bare = Bare::start(options.subscribers, options.encoding, topic, options.payload, cores)?;
    let target = Target { bare: true, ..Target::new(bare.address, "", "", Rc::new(options.encoding)) };
    let mut pool = Pool::new()?;
    pool.open(&Rc::new(target), vec![Vec::new(); options.subscribers], options.server.at_once)?;
    bare.wait_ready()?;
    let pid = bare.pid();
    let mut plan = |rate, seconds| plan(options, publishers.fresh(), pid, rate, seconds);
    let warm_up = plan(WARMUP_RATE, options.warmup);
    let measured = plan(BARE_RATE, options.seconds);
    if options.warmup > 0.0 {
        window::run(&mut pool, &warm_up, Feed::Bare(&mut bare))?;
    }
    window::run(&mut pool, &measured, Feed::Bare(&mut bare))
}

fn plan(options: &FanoutOptions, publisher: u32, server_pid: u32, rate: f64, seconds: f64) -> Plan {
    Plan { publisher, rate, seconds, payload: options.payload, subscribers: options.subscribers, server_pid }
}

/// The windows of one repeat on one server.
struct Series<'a> {
    options: &'a FanoutOptions,
    pool: Pool,
    topic: &'a str,
    pid: u32,
    publishers: &'a mut Publishers,
}

impl Series<'_> {
    fn warm_up(&mut self) -> Result<()> {
        if self.options.warmup > 0.0 {
            self.window(WARMUP_RATE, self.options.warmup)?;
        }
        Ok(())
    }

    fn windows(&mut self, number: usize, what: &str) -> Result<Vec<Measured>> {
        let mut windows = Vec::new();
        for &rate in &self.options.rates {
            let measured = self.window(rate, self.options.seconds)?;
            progress(number, what, &measured);
            windows.push(measured);
        }
        Ok(windows)
    }

    fn window(&mut self, rate: f64, seconds: f64) -> Result<Measured> {
        let plan = plan(self.options, self.publishers.fresh(), self.pid, rate, seconds);
        let feed = Feed::Socket { at: self.options.subscribers, topic: self.topic };
        window::run(&mut self.pool, &plan, feed)
    }

    /// Adds the subscribers that never read.
    fn stall(&mut self, target: &Rc<Target>) -> Result<()> {
        let first = self.pool.len();
        let topics = vec![vec![Subscription::to(self.topic)]; self.options.stalled];
        self.pool.open(target, topics, self.options.server.at_once)?;
        (first..self.pool.len()).try_for_each(|at| self.pool.mute(at))
    }
}

fn progress(number: usize, what: &str, measured: &Measured) {
    eprintln!(
        "repeat {number}: {what} at {}/s: {:.2} µs per delivery, p99 {:.2} ms, {:.0} deliveries/s, lost {}",
        measured.rate,
        measured.cpu_us_per_delivery,
        measured.latency.p99_ms,
        measured.deliveries_per_second,
        measured.faults.missing,
    );
}
