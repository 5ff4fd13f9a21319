//! Setting up the connections, of which some read slowly.

use super::{Engine, SIP_NS, Sipper};
use crate::adapter::Subscription;
use crate::client::connection::Role;
use crate::client::pool::Pace;
use crate::clock::{self, MILLISECOND};
use crate::error::Result;
use crate::memory;
use crate::run::crew::{Company, Ready};
use crate::run::scenario::Via;

impl Engine<'_> {
    pub(super) fn connect(&mut self, company: &Company) -> Result<Ready> {
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
            epochs: if self.audits() { self.account.first_epochs() } else { Vec::new() },
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

    pub(super) fn publisher_role(&self) -> Role {
        match self.means.scenario.publish {
            Via::Http | Via::Webhook => Role::HttpPublisher,
            Via::Socket => Role::Client(Vec::new()),
        }
    }

    pub(super) fn subscriptions(&self, at: usize, resume: bool) -> Vec<Subscription> {
        let max_rate = Some(self.means.scenario.max_rate).filter(|&rate| rate > 0.0);
        let subscription = |(nth, topic): (usize, usize)| Subscription {
            topic: self.layout.topics[topic].clone(),
            since: if resume { self.account.position(at, nth) } else { None },
            max_rate,
        };
        self.layout.topics_of(at).enumerate().map(subscription).collect()
    }
}
