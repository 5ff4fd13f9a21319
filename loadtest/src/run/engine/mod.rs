//! The run itself: connect, publish on schedule, receive, cut and reconnect, drain.
//!
//! One thread does everything in turns. What is due is sent first, each message stamped with the moment it was due;
//! a tester that is late sends late, but never shifts or skips, and its lateness is part of the report.

pub(super) mod audit;
mod comeback;
mod company;
mod connecting;
pub(super) mod documents;
mod draining;
mod ended;
mod outage;
mod publishing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::comeback::Absent;
pub(super) use self::ended::Ended;
use self::outage::Outage;
use self::publishing::Publishers;
use super::account::Account;
use super::course::Course;
use super::crew::Company;
use super::layout::Layout;
use super::rng::Rng;
use super::scenario::Scenario;
use super::schedule::Schedule;
use crate::client::pool::Pool;
use crate::clock::{self, MILLISECOND, SECOND};
use crate::error::Result;
use crate::latency::Latency;
use crate::memory;
use crate::scenario::Subject;

/// From the decision to the first due message.
const LEAD_NS: u64 = 50 * MILLISECOND;
/// The same where nobody says when a subscription is in force.
const UNCONFIRMED_LEAD_NS: u64 = SECOND / 2;
/// Sent in a row before reading again.
const BURST: usize = 32;
/// How often a slow reader reads.
const SIP_NS: u64 = 100 * MILLISECOND;
/// How often a server that is away is looked after.
const WATCH_NS: u64 = 5 * MILLISECOND;

/// A slow reader: connection and bytes per sip; 0 is stalled.
#[derive(Clone, Copy, Debug)]
struct Sipper {
    at: usize,
    bytes: usize,
}

/// What the engine needs besides the scenario.
pub(super) struct Means<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) run: u32,
    /// Number of this process's first subscriber.
    pub(super) first: usize,
    pub(super) at_once: usize,
    /// The most connections a second.
    pub(super) connect_rate: Option<f64>,
    pub(super) stop: Arc<AtomicBool>,
}

/// A run under way.
pub(super) struct Engine<'a> {
    means: &'a Means<'a>,
    subject: Subject,
    /// What this process held before it did anything.
    memory: u64,
    layout: Layout,
    pool: Pool,
    account: Account,
    course: Course,
    rng: Rng,
    lag: Latency,
    reconnect: Latency,
    start_ns: u64,
    sippers: Vec<Sipper>,
    absent: Absent,
    outage: Outage,
    publishers: Publishers,
}

impl<'a> Engine<'a> {
    pub(super) fn new(means: &'a Means<'a>, subject: Subject, course: Course) -> Result<Self> {
        let scenario = means.scenario;
        let memory = memory::rss_anon(std::process::id())?;
        let layout = Layout::new(scenario, means.run).starting_at(means.first);
        Ok(Self {
            means,
            subject,
            memory,
            pool: Pool::new()?.until(&means.stop),
            account: Account::new(means.run, scenario, layout.clone())?,
            layout,
            course,
            rng: Rng::new(scenario.seed),
            lag: Latency::new()?,
            reconnect: Latency::new()?,
            start_ns: 0,
            sippers: Vec::new(),
            absent: Absent::default(),
            outage: Outage::new()?,
            publishers: Publishers::new(scenario),
        })
    }

    /// Does it all.
    pub(super) fn run(mut self, company: &mut Company) -> Result<Ended> {
        let own = self.connect(company)?;
        let (start_ns, ready) = self.agree(company, own)?;
        let connections = ready.iter().map(|ready| ready.connections).sum();
        let connects_per_second = ready.iter().map(|ready| ready.connects_per_second).sum();
        self.course.connected(connections, connects_per_second);

        self.start_ns = start_ns;
        let scenario = self.means.scenario;
        let end_ns = self.start_ns + clock::span_ns(scenario.seconds());
        self.account.measured_ns = (self.start_ns + clock::span_ns(scenario.warmup.0), end_ns);
        self.plan_disturbances(company, end_ns);
        self.course.start(self.start_ns)?;
        let (own_before, load_before) = (clock::own_cpu_ns(), self.pool.load());
        let interrupted = self.publish(company, end_ns)?;
        let spent_ns = clock::now_ns().saturating_sub(self.start_ns).max(1);
        let own_cpu_percent = (clock::own_cpu_ns() - own_before) as f64 * 100.0 / spent_ns as f64;
        let behind_percent = self.pool.load().behind_percent(load_before);
        self.drain(company)?;
        let reports = self.settle(company)?;
        // Before the audit, whose readers are not part of what the server is measured for.
        self.course.finish(&self.account);
        let found = if company.publishes() { self.audit()? } else { None };
        let served = if company.publishes() { self.read_documents() } else { Vec::new() };
        let (mut account, mut closed) = self.account.close();
        if let Some(found) = found {
            account.enter_audit(&found, &mut closed);
        }
        let mut ended = Ended {
            typical_ns: account.typical_ns(),
            account,
            closed,
            course: self.course,
            lag: self.lag,
            reconnect: self.reconnect,
            restart: self.outage.restart,
            recovery: self.outage.recovery,
            connects_per_second,
            own_cpu_percent,
            behind_percent,
            connections,
            memory: ready.iter().map(|ready| ready.memory).sum(),
            processes: ready.len(),
            interrupted,
            start_ns: self.start_ns,
        };
        for report in &reports {
            ended.add(report);
        }
        // Only now is it known what has come to anyone.
        ended.account.enter_documents(&served);
        ended.account.enter_completion();
        Ok(ended)
    }

    /// Sends everything that becomes due until the end; true when interrupted.
    fn publish(&mut self, company: &mut Company, end_ns: u64) -> Result<bool> {
        let scenario = self.means.scenario;
        let schedule = Schedule::new(scenario.legs(), scenario.arrival, scenario.seed, self.start_ns);
        let mut schedule = schedule.peekable();
        let mut sip_ns = self.start_ns;
        let mut armed_ns = 0;
        let ahead_ns = company.ahead_ns();
        loop {
            let now_ns = clock::now_ns();
            self.keep_company(company, now_ns)?;
            let interrupted = self.means.stop.load(Ordering::Relaxed);
            if interrupted || self.account.all_ended() || self.outage.is_lost() {
                // Somebody has had enough, or nobody is left to send to.
                self.break_off(company)?;
                return Ok(interrupted);
            }
            let mut sent = 0;
            let until_ns = now_ns + ahead_ns;
            while let Some(due_ns) = schedule.next_if(|&due_ns| due_ns <= until_ns && sent < BURST) {
                self.send(due_ns, company.publishes())?;
                sent += 1;
            }
            if now_ns >= end_ns && schedule.peek().is_none() {
                return Ok(false);
            }
            if now_ns >= sip_ns {
                self.sip();
                sip_ns += SIP_NS;
            }
            self.disturb(company, now_ns)?;
            self.bring_back(now_ns)?;
            let due_ns = schedule.peek().map_or(end_ns, |due_ns| due_ns.saturating_sub(ahead_ns));
            let look_ns = match company {
                Company::Follower(line) => line.next_ns(),
                _ => self.course.next_ns(),
            };
            let mut wake_ns = due_ns.min(look_ns).min(self.disturbance_wake_ns(now_ns));
            if !self.sippers.is_empty() {
                wake_ns = wake_ns.min(sip_ns);
            }
            if wake_ns <= clock::now_ns() {
                self.pool.turn(Some(Duration::ZERO), &mut self.account)?;
                continue;
            }
            // Once per moment: a turn often brings a single delivery, and would pay for one more system call.
            if armed_ns != wake_ns {
                self.pool.wake_at(wake_ns)?;
                armed_ns = wake_ns;
            }
            self.pool.turn(None, &mut self.account)?;
        }
    }

    fn sip(&mut self) {
        for sipper in self.sippers.iter().filter(|sipper| sipper.bytes > 0) {
            self.pool.sip(sipper.at, sipper.bytes, &mut self.account);
        }
    }
}
