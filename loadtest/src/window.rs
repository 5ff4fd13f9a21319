//! One measurement window: publish on schedule, receive, drain, and say what it cost.
//!
//! The schedule is open: every message has its due time from the start, and a late tester sends late but never shifts
//! or skips one, so a stall of the server (or of the tester) shows in the latency instead of hiding in it.

use std::time::Duration;

use serde::Serialize;

use crate::adapter::Publication;
use crate::bare::Bare;
use crate::client::pool::Pool;
use crate::clock::{self, MILLISECOND, SECOND};
use crate::cpu;
use crate::error::Result;
use crate::latency::{Figures, Latency};
use crate::ledger::Faults;
use crate::stamp::{self, Stamp};
use crate::tally::{Counts, Tally};

/// From the decision to the first due message.
const LEAD_NS: u64 = 50 * MILLISECOND;
/// When everything has arrived, wait this long for what should not arrive any more.
const GRACE_NS: u64 = 100 * MILLISECOND;
/// Without any arrival for this long, the rest is lost.
const DRAIN_PATIENCE_NS: u64 = 3 * SECOND;
/// A server this far behind at the end has failed.
const DRAIN_LIMIT_NS: u64 = 60 * SECOND;

/// What to do in a window.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Stamped into every message.
    pub publisher: u32,
    /// Messages a second.
    pub rate: f64,
    /// For how long.
    pub seconds: f64,
    /// Bytes of payload.
    pub payload: usize,
    /// The first connections of the pool, which receive.
    pub subscribers: usize,
    /// The process whose CPU is measured.
    pub server_pid: u32,
}

/// Where the messages come from.
#[derive(Debug)]
pub enum Feed<'a> {
    /// Connection `at` of the pool publishes to `topic`.
    Socket {
        /// Number of the publishing connection.
        at: usize,
        /// The topic.
        topic: &'a str,
    },
    /// The bare loop sends by itself, on the same schedule.
    Bare(&'a mut Bare),
}

/// What a window measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Messages a second, as planned.
    pub rate: f64,
    /// Messages published.
    pub sent: u64,
    /// Messages times subscribers.
    pub expected: u64,
    /// CPU time of the server, start to end of drain.
    pub server_cpu_ns: u64,
    /// The same divided by deliveries, in microseconds.
    pub cpu_us_per_delivery: f64,
    /// Deliveries a second over publishing and drain.
    pub deliveries_per_second: f64,
    /// Share of one core the server used meanwhile, in percent.
    pub server_cpu_percent: f64,
    /// From due time to arrival.
    pub latency: Figures,
    /// From due time to sending: the tester's own lag.
    pub lag: Figures,
    /// Share of its core the tester used while publishing, in percent.
    pub tester_cpu_percent: f64,
    /// Share of events that found the tester with more to do than one turn takes, in percent.
    pub tester_behind_percent: f64,
    /// Share of the time server and tester together waited for a core that other processes held, in percent.
    pub disturbed_percent: f64,
    /// The ledger.
    pub faults: Faults,
    /// All other counts.
    pub counts: Counts,
    /// What went wrong, in words.
    pub notes: Vec<String>,
}

/// Runs one window.
///
/// # Errors
/// When the server process is gone or the system fails; what the server does wrong is in the result.
pub fn run(pool: &mut Pool, plan: &Plan, feed: Feed<'_>) -> Result<Measured> {
    let total = clock::whole(plan.rate * plan.seconds).max(1);
    let mut tally = Tally::new(plan.publisher, plan.subscribers)?;
    let mut lag = Latency::new()?;
    let own_pid = std::process::id();
    let (server_before, tester_before) = (cpu::sample(plan.server_pid)?, cpu::sample(own_pid)?);
    let (own_before, load_before) = (clock::own_cpu_ns(), pool.load());
    let start_ns = clock::now_ns() + LEAD_NS;
    let mut schedule = Schedule { start_ns, rate: plan.rate, total, sent: 0 };
    match feed {
        Feed::Socket { at, topic } => publish(pool, plan, &mut schedule, at, topic, &mut lag, &mut tally)?,
        Feed::Bare(bare) => {
            bare.run(plan.publisher, plan.rate, total, start_ns)?;
            while clock::now_ns() < schedule.due_ns(total) {
                pool.turn(Some(Duration::from_millis(20)), &mut tally)?;
            }
        }
    }
    let own_cpu = clock::own_cpu_ns() - own_before;
    let tester_behind_percent = pool.load().behind_percent(load_before);
    // Before the drain: a tester that only waits then would look less busy than it was while it mattered.
    let published_ns = clock::now_ns() - (start_ns - LEAD_NS);
    drain(pool, total * plan.subscribers as u64, &mut tally)?;
    let (server_after, tester_after) = (cpu::sample(plan.server_pid)?, cpu::sample(own_pid)?);
    let server_cpu_ns = server_after.since(&server_before);
    let waited_ns = server_after.waited_since(&server_before) + tester_after.waited_since(&tester_before);
    // Without the grace at the end, in which nothing is expected any more.
    let elapsed_ns = clock::now_ns().saturating_sub(start_ns + GRACE_NS).max(1);
    let closed = tally.close(total);
    Ok(Measured {
        rate: plan.rate,
        sent: total,
        expected: total * plan.subscribers as u64,
        server_cpu_ns,
        cpu_us_per_delivery: server_cpu_ns as f64 / 1e3 / closed.counts.deliveries.max(1) as f64,
        deliveries_per_second: closed.counts.deliveries as f64 * 1e9 / elapsed_ns as f64,
        server_cpu_percent: server_cpu_ns as f64 * 100.0 / elapsed_ns as f64,
        latency: closed.latency.figures(),
        lag: lag.figures(),
        tester_cpu_percent: own_cpu as f64 * 100.0 / published_ns.max(1) as f64,
        tester_behind_percent,
        disturbed_percent: waited_ns as f64 * 100.0 / elapsed_ns as f64,
        faults: closed.faults,
        counts: closed.counts,
        notes: closed.notes,
    })
}

/// When each message is due.
#[derive(Debug)]
struct Schedule {
    start_ns: u64,
    rate: f64,
    total: u64,
    sent: u64,
}

impl Schedule {
    fn due_ns(&self, sequence: u64) -> u64 {
        self.start_ns + clock::span_ns(sequence as f64 / self.rate)
    }
}

fn publish(
    pool: &mut Pool,
    plan: &Plan,
    schedule: &mut Schedule,
    at: usize,
    topic: &str,
    lag: &mut Latency,
    tally: &mut Tally,
) -> Result<()> {
    let mut armed_ns = 0;
    while schedule.sent < schedule.total {
        let due_ns = schedule.due_ns(schedule.sent);
        let now_ns = clock::now_ns();
        if now_ns < due_ns {
            // Once per message: a turn often brings a single delivery, and would pay for one more system call.
            if armed_ns != due_ns {
                pool.wake_at(due_ns)?;
                armed_ns = due_ns;
            }
            pool.turn(None, tally)?;
            continue;
        }
        let stamp = Stamp {
            run: plan.publisher,
            stream: 0,
            sequence: schedule.sent,
            intended_ns: due_ns,
            lag_ns: now_ns - due_ns,
        };
        let data = stamp.payload(plan.payload);
        lag.enter(due_ns, now_ns);
        let publication = Publication {
            id: schedule.sent + 2,
            topic,
            key: None,
            message_id: None,
            durable: false,
            update: None,
            webhook: false,
            data: &data,
        };
        pool.publish(at, &publication)?;
        schedule.sent += 1;
    }
    Ok(())
}

fn drain(pool: &mut Pool, expected: u64, tally: &mut Tally) -> Result<()> {
    let begin_ns = clock::now_ns();
    let mut accepted = tally.accepted;
    let mut progress_ns = begin_ns;
    loop {
        pool.turn(Some(Duration::from_millis(5)), tally)?;
        let now_ns = clock::now_ns();
        if tally.accepted != accepted {
            accepted = tally.accepted;
            progress_ns = now_ns;
        }
        // With everything there it goes on for a little, since repeats and strays come last.
        let patience = if accepted >= expected { GRACE_NS } else { DRAIN_PATIENCE_NS };
        if now_ns - progress_ns > patience || now_ns - begin_ns > DRAIN_LIMIT_NS {
            return Ok(());
        }
    }
}

/// One window after another, each with a publisher number of its own.
#[derive(Debug)]
pub struct Publishers(u32);

impl Publishers {
    /// Starts with numbers that another tester on the same server will not use.
    #[must_use]
    pub fn new() -> Self {
        Self(std::process::id() << 10)
    }

    /// A number not used before.
    pub fn fresh(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(1) % stamp::NUMBERS;
        self.0
    }
}

impl Default for Publishers {
    fn default() -> Self {
        Self::new()
    }
}
