//! The server's outages: killed when the scenario says so, started again, and everyone told to come back.

use std::collections::HashSet;
use std::collections::VecDeque;

use rustix::process::Signal as Number;

use super::{Engine, WATCH_NS};
use crate::clock::{self, SECOND};
use crate::error::Result;
use crate::latency::Latency;
use crate::run::rng::Rng;
use crate::run::scenario::Signal;

/// A server that was asked to end and has not is killed.
const ENDING_LIMIT_NS: u64 = 60 * SECOND;
/// A server that does not listen by then has not come back.
const STARTING_LIMIT_NS: u64 = 30 * SECOND;

/// How the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Up,
    /// Told to end, at this time.
    Ending(u64),
    /// Stands still, since then.
    Standing(u64),
    /// Started again, at this time.
    Starting(u64),
    /// It did not come back.
    Lost,
}

/// The outages of a run.
#[derive(Debug)]
pub(super) struct Outage {
    /// When it is killed.
    times: VecDeque<u64>,
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

    /// Whether it will come back, or clients still have to.
    pub(super) fn is_under_way(&self) -> bool {
        !matches!(self.phase, Phase::Up | Phase::Lost)
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
    pub(super) fn plan_outages(&mut self, end_ns: u64) {
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
        self.outage.times = times.into_iter().filter(|&at_ns| at_ns < end_ns).collect();
    }

    pub(super) fn outage_wake_ns(&self, now_ns: u64) -> u64 {
        if self.outage.is_under_way() {
            return now_ns + WATCH_NS;
        }
        self.outage.times.front().copied().unwrap_or(u64::MAX)
    }

    /// Takes the server one step further.
    pub(super) fn outage(&mut self, now_ns: u64) -> Result<()> {
        let Some(plan) = &self.means.scenario.server else { return Ok(()) };
        let away_ns = clock::span_ns(plan.restart_after.0);
        match self.outage.phase {
            Phase::Up if self.outage.times.front().is_some_and(|&at_ns| at_ns <= now_ns) => {
                self.outage.times.pop_front();
                self.kill(plan.signal, now_ns);
            }
            Phase::Standing(since_ns) if now_ns >= since_ns + away_ns => {
                self.subject.signal(Number::CONT);
                self.back(now_ns);
            }
            Phase::Ending(since_ns) if now_ns < since_ns + away_ns => {}
            Phase::Ending(_) if self.subject.ended().is_some() => {
                self.subject.start_again()?;
                self.outage.phase = Phase::Starting(now_ns);
            }
            Phase::Ending(since_ns) if now_ns > since_ns + ENDING_LIMIT_NS => {
                self.account.remark("the server did not end when it was told to, and was killed");
                self.subject.signal(Number::KILL);
            }
            Phase::Starting(since_ns) => match self.subject.is_back() {
                Ok(true) => {
                    self.outage.restart.enter(since_ns, now_ns);
                    self.course.restarted(self.subject.pid)?;
                    self.back(now_ns);
                }
                Ok(false) if now_ns < since_ns + STARTING_LIMIT_NS => {}
                Ok(false) => self.lose("the server did not come back: it never listened"),
                Err(error) => self.lose(&error.to_string()),
            },
            _ => {}
        }
        Ok(())
    }

    fn kill(&mut self, signal: Signal, now_ns: u64) {
        self.account.counts.kills += 1;
        self.course.mark_kill(now_ns);
        self.outage.killed_ns = now_ns;
        if signal == Signal::Stop {
            self.subject.signal(Number::STOP);
            self.outage.phase = Phase::Standing(now_ns);
            return;
        }
        self.account.doom_all(self.pool.len());
        self.subject.signal(if signal == Signal::Term { Number::TERM } else { Number::KILL });
        self.outage.phase = Phase::Ending(now_ns);
    }

    fn back(&mut self, now_ns: u64) {
        self.outage.phase = Phase::Up;
        self.outage.up_ns = now_ns;
    }

    fn lose(&mut self, reason: &str) {
        self.account.counts.failed_restarts += 1;
        self.account.remark(reason);
        self.outage.phase = Phase::Lost;
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
