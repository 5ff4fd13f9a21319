//! Many connections that do nothing: what each costs the server in memory, descriptors and CPU, and how fast they come.

use std::time::Duration;

use serde::Serialize;

use super::{Subject, prepare, write_json};
use crate::adapter::Subscription;
use crate::client::Sink;
use crate::client::pool::Pool;
use crate::clock::{self, MILLISECOND, SECOND};
use crate::error::{Error, Result};
use crate::memory::{self, Holding};
use crate::options::IdleOptions;
use crate::stamp::{Corrupt, Stamp};
use crate::verdict::{self, Check, Verdict};
use crate::wire::Reply;
use crate::{cpu, report};

/// Lets the server finish what connecting left behind before its memory is read.
const SETTLE_NS: u64 = SECOND;

/// What an idle run measured.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Of this JSON.
    pub schema_version: u32,
    /// The verdict over all checks.
    pub verdict: Verdict,
    /// The server's command or URL.
    pub server: String,
    /// Connections opened.
    pub connections: usize,
    /// Whether all subscribed to one topic.
    pub topic_shared: bool,
    /// Connections set up (handshake, welcome, subscription) per second.
    pub connects_per_second: f64,
    /// Server CPU per connection set up, in microseconds.
    pub connect_cpu_us: f64,
    /// Share of its core the tester used meanwhile, in percent.
    pub tester_cpu_percent: f64,
    /// The server before, with one connection.
    pub before: Holding,
    /// The server with all connections.
    pub after: Holding,
    /// Growth of `RssAnon` per connection in bytes.
    pub rss_per_connection: f64,
    /// Growth of `Pss_Anon` per connection in bytes.
    pub pss_per_connection: f64,
    /// How long the connections idled.
    pub idle_seconds: f64,
    /// Share of its core the server used while idle, in percent.
    pub idle_cpu_percent: f64,
    /// Connections that ended by themselves.
    pub ended: usize,
    /// The first reason.
    pub notes: Vec<String>,
    /// The thresholds.
    pub checks: Vec<Check>,
}

/// Runs the scenario, prints its report and returns the exit code.
///
/// # Errors
/// When the server cannot be started or measured.
pub fn run(options: &IdleOptions) -> Result<u8> {
    if options.connections == 0 {
        return Err(Error::Usage("--connections must not be 0".into()));
    }
    let cores = prepare(&options.server, options.connections + 1)?;
    let subject = Subject::start(&options.server, std::rc::Rc::new(options.encoding), cores)?;
    let summary = measure(options, &subject)?;
    print!("{}", report::idle(&summary));
    write_json(&options.server, &summary)?;
    Ok(summary.verdict.exit_code())
}

fn measure(options: &IdleOptions, subject: &Subject) -> Result<Summary> {
    let pid = subject.measured_pid()?;
    let mut pool = Pool::new()?;
    let mut watch = Watch::default();
    // One connection first, so that what the server allocates once is not charged to the others.
    pool.open(&subject.target, vec![vec![Subscription::to("idle:first")]], 1)?;
    idle(&mut pool, SETTLE_NS, &mut watch)?;
    let before = memory::holding(pid)?;

    let (cpu_before, own_before, start_ns) = (cpu::sample(pid)?, clock::own_cpu_ns(), clock::now_ns());
    let topic = |at| if options.topic_shared { "idle:shared".to_owned() } else { format!("idle:{at}") };
    let topics = (0..options.connections).map(|at| vec![Subscription::to(&topic(at))]).collect();
    pool.open(&subject.target, topics, options.server.at_once)?;
    let connect_ns = (clock::now_ns() - start_ns).max(1) as f64;
    let own_ns = (clock::own_cpu_ns() - own_before) as f64;
    let connect_cpu_ns = cpu::sample(pid)?.since(&cpu_before);
    eprintln!("{} connections are set up", options.connections);

    idle(&mut pool, SETTLE_NS, &mut watch)?;
    let after = memory::holding(pid)?;
    let (cpu_before, start_ns) = (cpu::sample(pid)?, clock::now_ns());
    idle(&mut pool, clock::span_ns(options.seconds), &mut watch)?;
    let idle_ns = (clock::now_ns() - start_ns).max(1) as f64;
    let idle_cpu_ns = cpu::sample(pid)?.since(&cpu_before);

    let count = options.connections as f64;
    let growth = |before: u64, after: u64| after.saturating_sub(before) as f64 / count;
    let rss_per_connection = growth(before.rss_anon, after.rss_anon);
    let ended = pool.ended();
    let checks = vec![
        Check::server("user memory per idle connection, bytes", rss_per_connection, options.max_memory),
        Check::server("connections that ended", ended as f64, 0.0),
    ];
    Ok(Summary {
        schema_version: 1,
        verdict: verdict::over(&checks),
        server: subject.name.clone(),
        connections: options.connections,
        topic_shared: options.topic_shared,
        connects_per_second: count * 1e9 / connect_ns,
        connect_cpu_us: connect_cpu_ns as f64 / 1e3 / count,
        tester_cpu_percent: own_ns * 100.0 / connect_ns,
        before,
        after,
        rss_per_connection,
        pss_per_connection: growth(before.pss_anon, after.pss_anon),
        idle_seconds: idle_ns / 1e9,
        idle_cpu_percent: idle_cpu_ns as f64 * 100.0 / idle_ns,
        ended,
        notes: watch.notes,
        checks,
    })
}

fn idle(pool: &mut Pool, span_ns: u64, watch: &mut Watch) -> Result<()> {
    let end_ns = clock::now_ns() + span_ns;
    loop {
        let left = end_ns.saturating_sub(clock::now_ns());
        if left == 0 {
            return Ok(());
        }
        pool.turn(Some(Duration::from_nanos(left.max(MILLISECOND))), watch)?;
    }
}

/// Remembers why the first connections ended.
#[derive(Debug, Default)]
struct Watch {
    notes: Vec<String>,
}

impl Sink for Watch {
    fn stamped(&mut self, _: usize, _: &Stamp, _: u64) -> bool {
        true
    }
    fn damaged(&mut self, _: usize, _: Corrupt) {}
    fn reply(&mut self, _: usize, _: &Reply) {}
    fn read(&mut self, _: usize, _: usize) {}
    fn ended(&mut self, at: usize, reason: &str) {
        if self.notes.len() < 5 {
            self.notes.push(format!("connection {at} ended: {reason}"));
        }
    }
}
