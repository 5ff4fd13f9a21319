//! The server's outages: killed when the scenario says so, started again, and everyone told to come back.
//!
//! ```text
//! Up ─▶ Bracing ─▶ Ending ─▶ Starting ─▶ Up     of the process that started the server; Bracing only where there
//!           └────▶ Standing ───────────▶ Up     are others to tell
//! Up ─▶ Away ──────────────────────────▶ Up     of the others
//! ```

use std::collections::HashSet;
use std::collections::VecDeque;
use std::rc::Rc;

use rustix::process::Signal as Number;

use super::{Engine, WATCH_NS};
use crate::clock::{self, SECOND};
use crate::error::{Error, Result};
use crate::latency::Latency;
use crate::run::crew::{Back, Company, Endpoint};
use crate::run::rng::Rng;
use crate::run::scenario::Signal;

/// A process of the tester that has not answered by then is stuck.
const BRACING_LIMIT_NS: u64 = 30 * SECOND;
/// A server that was asked to end and has not is killed.
const ENDING_LIMIT_NS: u64 = 60 * SECOND;
/// A server that does not listen by then has not come back.
const STARTING_LIMIT_NS: u64 = 30 * SECOND;

/// How the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Up,
    /// The other processes are told that it is about to be killed, since then.
    Bracing(u64),
    /// Told to end, at this time.
    Ending(u64),
    /// Stands still, since then.
    Standing(u64),
    /// Started again, at this time.
    Starting(u64),
    /// As the lead says.
    Away,
    /// It did not come back.
    Lost,
}

/// The outages of a run.
#[derive(Debug)]
pub(super) struct Outage {
    /// When it is killed.
    times: VecDeque<u64>,
    /// Where another process kills it: how often it is still to be killed.
    to_come: usize,
    phase: Phase,
    /// When it was killed last, and when it was back.
    killed_ns: u64,
    up_ns: u64,
    /// Clients that have to come back once it is up.
    waiting: VecDeque<usize>,
    /// Subscribers that the last kill cost their connection, and that are not back.
    severed: HashSet<usize>,
    pub(super) restart: Latency,
    pub(super) recovery: Latency,
}

impl Outage {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            times: VecDeque::new(),
            to_come: 0,
            phase: Phase::Up,
            killed_ns: 0,
            up_ns: 0,
            waiting: VecDeque::new(),
            severed: HashSet::new(),
            restart: Latency::new()?,
            recovery: Latency::new()?,
        })
    }

    /// Whether clients can connect.
    pub(super) fn is_up(&self) -> bool {
        self.phase == Phase::Up
    }

    /// Whether it did not come back.
    pub(super) fn is_lost(&self) -> bool {
        self.phase == Phase::Lost
    }

    /// Whether it will come back, or another process has still to kill it.
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.phase, Phase::Up | Phase::Lost) || (self.to_come > 0 && !self.is_lost())
    }

    /// It is not killed any more.
    pub(super) fn cancel(&mut self) {
        self.times.clear();
        self.to_come = 0;
    }

    /// It will not come back, the lead says.
    pub(super) fn hear_of_loss(&mut self) {
        self.phase = Phase::Lost;
    }

    /// Subscriber `at` is back.
    pub(super) fn recovered(&mut self, at: usize, now_ns: u64) {
        if self.severed.remove(&at) {
            self.recovery.enter(self.killed_ns, now_ns);
        }
    }
}

impl Engine<'_> {
    /// Decides when the server is killed: at the times given, and by chance.
    pub(super) fn plan_outages(&mut self, company: &Company, end_ns: u64) {
        let Some(plan) = &self.means.scenario.server else { return };
        let mut times: Vec<u64> =
            plan.kill_at.iter().map(|at| self.start_ns + clock::span_ns(at.0)).collect();
        if let Some(every) = plan.kill_every {
            // Its own sequence: what is published stays the same.
            let mut rng = Rng::new(!self.means.scenario.seed);
            let mut at_ns = self.start_ns;
            loop {
                at_ns += clock::span_ns(every.0 * (0.5 + rng.unit()));
                if at_ns >= end_ns {
                    break;
                }
                times.push(at_ns);
            }
        }
        times.sort_unstable();
        times.retain(|&at_ns| at_ns < end_ns);
        match company {
            // All processes plan the same from the same seed, but only the one that started the server kills it; the
            // others wait for so many outages before they end.
            Company::Follower(_) => self.outage.to_come = times.len(),
            _ => self.outage.times = times.into(),
        }
    }

    pub(super) fn outage_wake_ns(&self, now_ns: u64) -> u64 {
        match self.outage.phase {
            Phase::Up => self.outage.times.front().copied().unwrap_or(u64::MAX),
            // The lead will say.
            Phase::Away | Phase::Lost => u64::MAX,
            _ => now_ns + WATCH_NS,
        }
    }

    /// Takes the server one step further, where this process is the one that started it.
    pub(super) fn outage(&mut self, company: &mut Company, now_ns: u64) -> Result<()> {
        let Some(plan) = &self.means.scenario.server else { return Ok(()) };
        let away_ns = clock::span_ns(plan.restart_after.0);
        match self.outage.phase {
            Phase::Up if self.outage.times.front().is_some_and(|&at_ns| at_ns <= now_ns) => {
                self.outage.times.pop_front();
                match company {
                    Company::Lead(lead) => {
                        lead.brace(plan.signal != Signal::Stop)?;
                        self.outage.phase = Phase::Bracing(now_ns);
                    }
                    _ => self.kill(plan.signal, now_ns),
                }
            }
            Phase::Bracing(since_ns) => match company {
                Company::Lead(lead) if lead.is_braced() => self.kill(plan.signal, now_ns),
                _ if now_ns > since_ns + BRACING_LIMIT_NS => {
                    return Err(Error::Setup("another process of the tester does not listen".into()));
                }
                _ => {}
            },
            Phase::Standing(since_ns) if now_ns >= since_ns + away_ns => {
                self.subject.signal(Number::CONT);
                self.back(company, now_ns)?;
            }
            // Away for at least as long as the scenario says, also if it ended at once.
            Phase::Ending(since_ns) if now_ns < since_ns + away_ns => {}
            Phase::Ending(_) if self.subject.ended().is_some() => {
                self.subject.start_again()?;
                self.outage.phase = Phase::Starting(now_ns);
            }
            Phase::Ending(since_ns) if now_ns > since_ns + ENDING_LIMIT_NS => {
                self.account.remark("the server did not end when it was told to, and was killed");
                self.subject.signal(Number::KILL);
            }
            Phase::Starting(since_ns) => return self.await_start(company, since_ns, now_ns),
            _ => {}
        }
        Ok(())
    }

    fn await_start(&mut self, company: &mut Company, since_ns: u64, now_ns: u64) -> Result<()> {
        let reason = match self.subject.is_back() {
            Ok(true) => {
                self.outage.restart.enter(since_ns, now_ns);
                self.course.restarted(self.subject.pid)?;
                return self.back(company, now_ns);
            }
            Ok(false) if now_ns < since_ns + STARTING_LIMIT_NS => return Ok(()),
            Ok(false) => "the server did not come back: it never listened".to_owned(),
            Err(error) => error.to_string(),
        };
        self.account.counts.failed_restarts += 1;
        self.account.remark(&reason);
        self.outage.phase = Phase::Lost;
        if let Company::Lead(lead) = company { lead.lost() } else { Ok(()) }
    }

    fn kill(&mut self, signal: Signal, now_ns: u64) {
        self.account.counts.kills += 1;
        self.course.mark_kill(now_ns);
        self.outage.killed_ns = now_ns;
        // A server that stands still keeps its connections: whoever loses one meanwhile has found a fault.
        if signal == Signal::Stop {
            self.subject.signal(Number::STOP);
            self.outage.phase = Phase::Standing(now_ns);
            return;
        }
        // Before the signal, so that no end that it brings is taken for a fault of the server.
        self.account.doom_all(self.pool.len());
        self.subject.signal(if signal == Signal::Term { Number::TERM } else { Number::KILL });
        self.outage.phase = Phase::Ending(now_ns);
    }

    fn back(&mut self, company: &mut Company, now_ns: u64) -> Result<()> {
        self.outage.phase = Phase::Up;
        self.outage.up_ns = now_ns;
        let Company::Lead(lead) = company else { return Ok(()) };
        let endpoint = Endpoint::of(&self.subject.target);
        lead.back(Back { endpoint, killed_ns: self.outage.killed_ns, up_ns: now_ns })
    }

    /// Another process is about to kill the server.
    pub(super) fn brace(&mut self, deadly: bool) {
        self.outage.to_come = self.outage.to_come.saturating_sub(1);
        self.outage.phase = Phase::Away;
        if deadly {
            self.account.doom_all(self.pool.len());
        }
    }

    /// The server that another process killed is back.
    pub(super) fn hear_of_return(&mut self, back: Back) {
        let Back { endpoint, killed_ns, up_ns } = back;
        self.subject.target = Rc::new(endpoint.instead_of(&self.subject.target));
        (self.outage.killed_ns, self.outage.up_ns) = (killed_ns, up_ns);
        self.outage.phase = Phase::Up;
    }

    /// Takes in who lost the connection to a killed server, and lets them come back when it is up.
    pub(super) fn gather_fallen(&mut self, now_ns: u64) {
        let Some(plan) = &self.means.scenario.server else { return };
        for at in self.account.take_fallen() {
            match at.checked_sub(self.means.scenario.subscribers) {
                Some(nth) => self.publishers.falls(nth),
                None => drop(self.outage.severed.insert(at)),
            }
            self.outage.waiting.push_back(at);
        }
        if !self.outage.is_up() {
            return;
        }
        let count = self.means.scenario.subscribers;
        while let Some(at) = self.outage.waiting.pop_front() {
            // Publishers first: what is published while a subscriber is away is what it has to resume.
            let share = if at < count { at as f64 / count as f64 } else { 0.0 };
            let turn_ns = clock::span_ns(plan.spread.0 * share);
            self.absent.expect(at, now_ns.max(self.outage.up_ns + turn_ns));
        }
    }
}
