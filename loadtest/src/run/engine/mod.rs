//! The run itself: connect, publish on schedule, receive, cut and reconnect, drain.
//!
//! One thread does everything in turns. What is due is sent first, each message stamped with the moment it was due;
//! a tester that is late sends late, but never shifts or skips, and its lateness is part of the report.

pub(super) mod audit;
mod comeback;
mod outage;
mod publishing;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::comeback::Absent;
use self::outage::Outage;
use self::publishing::Publishers;
use super::account::{Account, Closed};
use super::course::Course;
use super::crew::{Company, Ready, Report};
use super::layout::Layout;
use super::rng::Rng;
use super::scenario::{Kind, Scenario, Via};
use super::schedule::Schedule;
use crate::adapter::Subscription;
use crate::client::connection::Role;
use crate::client::pool::{Pace, Pool};
use crate::clock::{self, MILLISECOND, SECOND};
use crate::error::Result;
use crate::latency::Latency;
use crate::memory;
use crate::scenario::Subject;

/// From the decision to the first due message.
const LEAD_NS: u64 = 50 * MILLISECOND;
/// The same where nobody says when a subscription is in force.
const UNCONFIRMED_LEAD_NS: u64 = SECOND / 2;
/// When everything has arrived, wait this long for what should not arrive any more.
const GRACE_NS: u64 = 150 * MILLISECOND;
/// A server this far behind at the end has failed.
const DRAIN_LIMIT_NS: u64 = 60 * SECOND;
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

/// What the engine hands over.
pub(super) struct Ended {
    pub(super) account: Account,
    pub(super) closed: Closed,
    pub(super) course: Course,
    pub(super) lag: Latency,
    pub(super) reconnect: Latency,
    pub(super) restart: Latency,
    pub(super) recovery: Latency,
    pub(super) connects_per_second: f64,
    pub(super) own_cpu_percent: f64,
    pub(super) behind_percent: f64,
    pub(super) connections: usize,
    /// The tester's own memory for them, all processes together, in bytes.
    pub(super) memory: u64,
    /// How many processes took part.
    pub(super) processes: usize,
    /// The average latency of each subscriber.
    pub(super) typical_ns: Vec<u64>,
    pub(super) interrupted: bool,
    pub(super) start_ns: u64,
}

impl Ended {
    /// Adds what another process measured.
    fn add(&mut self, report: &Report) {
        self.closed.ledger.add(&report.ledger);
        self.closed.lost_due_ns.extend(&report.lost_due_ns);
        self.account.counts.add_subscribers(&report.counts);
        self.account.response.add_record(&report.response);
        self.reconnect.add_record(&report.reconnect);
        self.account.add_arrivals(&report.arrivals);
        self.account.last_measured_ns = self.account.last_measured_ns.max(report.last_measured_ns);
        self.account.notes.extend_from_slice(&report.notes);
        self.typical_ns.extend(&report.typical_ns);
        self.own_cpu_percent = self.own_cpu_percent.max(report.cpu_percent);
        self.behind_percent = self.behind_percent.max(report.behind_percent);
    }
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
            pool: Pool::new()?,
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
        let mut ready = vec![self.connect(company)?];
        let (start_ns, others) = self.agree(company, ready[0])?;
        ready.extend(others);
        let connections = ready.iter().map(|ready| ready.connections).sum();
        let connects_per_second = ready.iter().map(|ready| ready.connects_per_second).sum();
        self.course.connected(connections, connects_per_second);

        self.start_ns = start_ns;
        let scenario = self.means.scenario;
        let end_ns = self.start_ns + clock::span_ns(scenario.seconds());
        self.account.measured_ns = (self.start_ns + clock::span_ns(scenario.warmup.0), end_ns);
        self.plan_disturbances(end_ns);
        self.course.start(self.start_ns)?;
        let (own_before, load_before) = (clock::own_cpu_ns(), self.pool.load());
        let interrupted = self.publish(company, end_ns)?;
        let spent_ns = clock::now_ns().saturating_sub(self.start_ns).max(1);
        let own_cpu_percent = (clock::own_cpu_ns() - own_before) as f64 * 100.0 / spent_ns as f64;
        let behind_percent = self.pool.load().behind_percent(load_before);
        self.drain(company)?;
        let reports = self.settle(company)?;
        self.course.finish(&self.account);
        let found = self.audit()?;
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
        ended.account.enter_completion();
        Ok(ended)
    }

    /// Agrees with the others when the first message is due; what the others report of themselves.
    fn agree(&mut self, company: &mut Company, own: Ready) -> Result<(u64, Vec<Ready>)> {
        let confirmed = self.subject.target.adapter.greets();
        let lead_ns = if confirmed { LEAD_NS } else { UNCONFIRMED_LEAD_NS };
        let (pool, account) = (&mut self.pool, &mut self.account);
        let idle = || pool.turn(Some(Duration::from_millis(1)), account);
        match company {
            Company::Alone => Ok((clock::now_ns() + lead_ns, Vec::new())),
            Company::Lead(lead) => lead.begin(lead_ns + LEAD_NS, idle),
            Company::Follower(line) => Ok((line.begin(own, idle)?, Vec::new())),
        }
    }

    /// Tells the others what became of the messages, or is told; what the others measured.
    fn settle(&mut self, company: &mut Company) -> Result<Vec<Report>> {
        match company {
            Company::Alone => Ok(Vec::new()),
            Company::Lead(lead) => {
                let (pool, account) = (&mut self.pool, &mut self.account);
                lead.wait_for_the_last(|| pool.turn(Some(Duration::from_millis(1)), account))?;
                let fates = self.account.fates();
                let (pool, account) = (&mut self.pool, &mut self.account);
                lead.settle(fates, || pool.turn(Some(Duration::from_millis(1)), account))
            }
            Company::Follower(line) => {
                let (pool, account) = (&mut self.pool, &mut self.account);
                let fates = line.settle(|| pool.turn(Some(Duration::from_millis(1)), account))?;
                self.account.adopt(&fates);
                Ok(Vec::new())
            }
        }
    }

    /// Hears from the others, or tells how things are.
    fn keep_company(&mut self, company: &mut Company, now_ns: u64) -> Result<()> {
        match company {
            Company::Alone => Ok(()),
            Company::Lead(lead) => {
                self.course.elsewhere = lead.look()?;
                if self.means.stop.load(Ordering::Relaxed) { lead.stop() } else { Ok(()) }
            }
            Company::Follower(line) => line.look(now_ns, &self.account),
        }
    }

    fn connect(&mut self, company: &Company) -> Result<Ready> {
        let begin_ns = clock::now_ns();
        let scenario = self.means.scenario;
        let mut roles: Vec<Role> =
            (0..scenario.subscribers).map(|at| Role::Client(self.subscriptions(at, false))).collect();
        let publishes = company.publishes() && scenario.legs().iter().any(|leg| leg.from.max(leg.to) > 0.0);
        roles.extend((0..if publishes { scenario.publishers } else { 0 }).map(|_| self.publisher_role()));
        let pace = Pace { at_once: self.means.at_once, rate: self.means.connect_rate };
        self.pool.open_roles(&self.subject.target, roles, pace, &mut self.account)?;
        let connections = self.pool.len();
        let ready = Ready {
            connections,
            connects_per_second: connections as f64 * 1e9 / (clock::now_ns() - begin_ns).max(1) as f64,
            memory: memory::rss_anon(std::process::id())?.saturating_sub(self.memory),
        };
        let mut next = scenario.subscribers;
        for slow in &scenario.slow {
            let count = clock::whole(slow.share.0 * scenario.subscribers as f64);
            let bytes =
                (slow.read_rate.0 * usize::try_from(SIP_NS / MILLISECOND).unwrap_or(1)).div_ceil(1000);
            for _ in 0..count {
                // From the end, so that the first subscribers are the healthy ones.
                next = next.saturating_sub(1);
                self.account.set_slow(next);
                // Its receive buffer is left alone: the system enlarges only those of quick readers, and one made
                // smaller than the window already granted drops segments, which come again only after seconds.
                self.pool.mute(next)?;
                self.sippers.push(Sipper { at: next, bytes });
            }
        }
        Ok(ready)
    }

    fn publisher_role(&self) -> Role {
        match self.means.scenario.publish {
            Via::Http | Via::Webhook => Role::HttpPublisher,
            Via::Socket => Role::Client(Vec::new()),
        }
    }

    fn subscriptions(&self, at: usize, resume: bool) -> Vec<Subscription> {
        let max_rate = Some(self.means.scenario.max_rate).filter(|&rate| rate > 0.0);
        let subscription = |(nth, topic): (usize, usize)| Subscription {
            topic: self.layout.topics[topic].clone(),
            since: if resume { self.account.position(at, nth) } else { None },
            max_rate,
        };
        self.layout.topics_of(at).enumerate().map(subscription).collect()
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
            if self.means.stop.load(Ordering::Relaxed) {
                return Ok(true);
            }
            if self.account.all_ended() || self.outage.is_lost() {
                // Nobody is left to send to: the server is gone.
                return Ok(false);
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
            self.disturb(now_ns)?;
            self.bring_back(now_ns)?;
            self.course.turn(now_ns, &mut self.account);
            let due_ns = schedule.peek().map_or(end_ns, |due_ns| due_ns.saturating_sub(ahead_ns));
            let mut wake_ns = due_ns.min(self.course.next_ns()).min(self.disturbance_wake_ns(now_ns));
            if let Company::Follower(line) = company {
                wake_ns = wake_ns.min(line.next_ns());
            }
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

    /// Lets everyone read to the end, and waits for what is missing.
    fn drain(&mut self, company: &mut Company) -> Result<()> {
        for sipper in std::mem::take(&mut self.sippers) {
            if !self.account.has_ended(sipper.at) {
                self.pool.unmute(sipper.at)?;
            }
        }
        let mut begin_ns = clock::now_ns();
        let patience_ns = self.patience_ns();
        let mut progress_ns = begin_ns;
        let mut before = (0, 0);
        loop {
            self.pool.turn(Some(Duration::from_millis(5)), &mut self.account)?;
            let now_ns = clock::now_ns();
            self.keep_company(company, now_ns)?;
            self.outage(now_ns)?;
            self.bring_back(now_ns)?;
            self.course.turn(now_ns, &mut self.account);
            let state = (self.account.accepted, self.account.unanswered());
            let under_way = self.outage.is_under_way() || self.absent.anyone();
            if state != before || under_way {
                (before, progress_ns) = (state, now_ns);
            }
            if under_way {
                // A server has its time to catch up from when everyone is back.
                begin_ns = now_ns;
            }
            let answered = state.1 == 0 || !self.acknowledged() || !company.publishes();
            if now_ns < progress_ns + GRACE_NS {
                continue;
            }
            let patience_ns = if answered && self.account.is_whole() { GRACE_NS } else { patience_ns };
            if now_ns - progress_ns > patience_ns || now_ns - begin_ns > DRAIN_LIMIT_NS {
                return Ok(());
            }
        }
    }

    /// How long without any arrival until what is missing counts as missing. Kind volatile never delivers
    /// everything to everyone, so there the end is when nothing has come for a while.
    fn patience_ns(&self) -> u64 {
        let scenario = self.means.scenario;
        let patience = match scenario.kind {
            Kind::Volatile => scenario.drain.0.min(1.0),
            Kind::Log | Kind::Latest | Kind::Document => scenario.drain.0,
        };
        clock::span_ns(patience)
    }

    fn acknowledged(&self) -> bool {
        self.means.scenario.publish != Via::Socket || self.subject.target.adapter.acknowledges()
    }
}
