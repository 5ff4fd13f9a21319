//! Clients that lose their connection, by churn, in a storm or with their server, and come back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Engine;
use crate::client::connection::{Role, State};
use crate::clock::{self, SECOND};
use crate::error::Result;
use crate::run::crew::Company;
use crate::run::scenario::{Churn, Storm};

/// A client that has not been set up again by then will not be.
const RECONNECT_LIMIT_NS: u64 = 15 * SECOND;

/// Who is away, and when the next one goes.
#[derive(Debug, Default)]
pub(super) struct Absent {
    /// Which subscriber is cut next by churn, and when.
    next: usize,
    next_ns: u64,
    /// Storms to come, the next one last.
    storms: Vec<Storm>,
    /// When who comes back.
    away: BinaryHeap<Reverse<(u64, usize)>>,
    /// Connection and since when it has been reconnecting.
    returning: Vec<(usize, u64)>,
}

impl Absent {
    /// Whether anyone is away or on the way.
    pub(super) fn anyone(&self) -> bool {
        !self.away.is_empty() || !self.returning.is_empty()
    }

    /// Connection `at` comes back at `back_ns`.
    pub(super) fn expect(&mut self, at: usize, back_ns: u64) {
        self.away.push(Reverse((back_ns, at)));
    }
}

impl Engine<'_> {
    /// Decides when connections break: storms here, outages of the server besides.
    pub(super) fn plan_disturbances(&mut self, company: &Company, end_ns: u64) {
        self.absent.next_ns = self.start_ns;
        self.absent.storms.clone_from(&self.means.scenario.storm);
        self.absent.storms.sort_by(|a, b| b.at.0.total_cmp(&a.at.0));
        self.plan_outages(company, end_ns);
    }

    /// Cuts who is due to be cut.
    pub(super) fn disturb(&mut self, company: &mut Company, now_ns: u64) -> Result<()> {
        self.outage(company, now_ns)?;
        if let Some(churn) = &self.means.scenario.churn {
            self.churn(churn, now_ns);
        }
        while let Some(storm) = self.absent.storms.last().copied() {
            if now_ns < self.start_ns + clock::span_ns(storm.at.0) {
                break;
            }
            self.absent.storms.pop();
            self.storm(storm, now_ns);
        }
        Ok(())
    }

    /// When the next thing of this kind happens.
    pub(super) fn disturbance_wake_ns(&self, now_ns: u64) -> u64 {
        let cut_ns = if self.means.scenario.churn.is_some() { self.absent.next_ns } else { u64::MAX };
        let storm = self.absent.storms.last().map(|storm| self.start_ns + clock::span_ns(storm.at.0));
        let back = self.absent.away.peek().map(|&Reverse((back_ns, _))| back_ns);
        let back = back.filter(|_| self.outage.is_up());
        let soonest = [storm, back].into_iter().flatten().min().unwrap_or(u64::MAX);
        cut_ns.min(soonest).min(self.outage_wake_ns(now_ns))
    }

    fn churn(&mut self, churn: &Churn, now_ns: u64) {
        while self.absent.next_ns <= now_ns {
            self.absent.next_ns += clock::span_ns(1.0 / churn.rate);
            let at = self.absent.next % self.healthy();
            self.absent.next += 1;
            self.cut(at, now_ns + clock::span_ns(churn.away.0));
        }
    }

    fn storm(&mut self, storm: Storm, now_ns: u64) {
        let count = clock::whole(storm.share.0 * self.healthy() as f64);
        for at in 0..usize::try_from(count).unwrap_or(usize::MAX) {
            let spread_ns = clock::span_ns(storm.spread.0 * at as f64 / count as f64);
            self.cut(at, now_ns + clock::span_ns(storm.away.0) + spread_ns);
        }
    }

    /// The subscribers that read: the first ones.
    fn healthy(&self) -> usize {
        self.means.scenario.subscribers - self.sippers.len()
    }

    fn cut(&mut self, at: usize, back_ns: u64) {
        // One on its way back is not cut again: its end would be entered twice, and it is expected once already.
        if *self.pool.state(at) == State::Live && !self.account.is_away(at) {
            self.pool.cut(at);
            self.account.cut(at);
            self.absent.expect(at, back_ns);
        }
    }

    /// Connects who is due to come back, and sees who has arrived.
    pub(super) fn bring_back(&mut self, now_ns: u64) -> Result<()> {
        self.gather_fallen(now_ns);
        while let Some(&Reverse((back_ns, at))) = self.absent.away.peek() {
            if back_ns > now_ns || !self.outage.is_up() {
                break;
            }
            self.absent.away.pop();
            let is_subscriber = at < self.means.scenario.subscribers;
            let role = if is_subscriber {
                Role::Client(self.subscriptions(at, self.means.scenario.resumes()))
            } else {
                self.publisher_role()
            };
            self.account.expect_to_last(at);
            self.pool.reconnect(at, &self.subject.target, role)?;
            self.absent.returning.push((at, now_ns));
        }
        for (at, since_ns) in std::mem::take(&mut self.absent.returning) {
            match self.pool.state(at) {
                State::Live => self.welcome_back(at, since_ns, now_ns)?,
                // Not tried again: who cannot come back stays away in the account, where it is seen.
                State::Ended(_) => {}
                _ if now_ns > since_ns + RECONNECT_LIMIT_NS => {}
                _ => self.absent.returning.push((at, since_ns)),
            }
        }
        Ok(())
    }

    fn welcome_back(&mut self, at: usize, since_ns: u64, now_ns: u64) -> Result<()> {
        match at.checked_sub(self.means.scenario.subscribers) {
            Some(nth) => self.send_again(nth),
            None => {
                self.reconnect.enter(since_ns, now_ns);
                self.outage.recovered(at, now_ns);
                Ok(())
            }
        }
    }
}
