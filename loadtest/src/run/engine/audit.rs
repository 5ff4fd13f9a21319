//! The audit: after all, one reader who was never there reads every topic from its beginning. What was acknowledged must
//! be there, whoever has had it before.

use std::time::Duration;

use super::Engine;
use crate::adapter::Subscription;
use crate::client::Sink;
use crate::client::connection::{Role, State};
use crate::client::pool::{Pace, Pool};
use crate::clock::{self, SECOND};
use crate::error::Result;
use crate::stamp::{Corrupt, Stamp};
use crate::wire::{Position, Reply};

/// Without any arrival for this long, there is no more.
const PATIENCE_NS: u64 = 2 * SECOND;
/// A server that has not answered by then will not.
const SETUP_LIMIT_NS: u64 = 15 * SECOND;

/// What the reader found.
#[derive(Debug, Default)]
pub(in crate::run) struct Found {
    /// Topics, by number, that could not be read from their beginning.
    pub(in crate::run) unread: Vec<usize>,
    /// Every whole message: topic listened to, and stamp.
    pub(in crate::run) stamps: Vec<(usize, Stamp)>,
    /// Damaged ones.
    pub(in crate::run) corrupt: u64,
    last_ns: u64,
    /// The topic of each connection, and whether it could be read from its beginning.
    topics: Vec<(usize, bool)>,
}

impl Sink for Found {
    fn stamped(&mut self, at: usize, stamp: &Stamp, arrived_ns: u64) -> bool {
        self.stamps.push((self.topics[at].0, *stamp));
        self.last_ns = arrived_ns;
        true
    }
    fn damaged(&mut self, _: usize, _: Corrupt) {
        self.corrupt += 1;
    }
    fn subscribed(&mut self, at: usize, reply: &Reply) {
        self.topics[at].1 = reply.recovered == Some(true);
        self.last_ns = clock::now_ns();
    }
    fn reply(&mut self, _: usize, _: &Reply) {}
    fn read(&mut self, _: usize, _: usize) {}
    fn ended(&mut self, _: usize, _: &str) {}
}

impl Engine<'_> {
    /// Whether the scenario asks for an audit.
    pub(super) fn audits(&self) -> bool {
        self.means.scenario.server.as_ref().is_some_and(|server| server.audit)
    }

    /// Reads all topics from the beginning, where the scenario asks for that.
    pub(super) fn audit(&mut self) -> Result<Option<Found>> {
        if !self.audits() || self.outage.is_lost() {
            return Ok(None);
        }
        // Where nobody was told of a topic's epoch, nothing in it was acknowledged either.
        let known = self.account.first_epochs();
        let roles = known.iter().map(|(topic, epoch)| Role::Client(vec![self.whole_of(*topic, epoch)]));
        let roles: Vec<Role> = roles.collect();
        let count = roles.len();
        let topics = known.into_iter().map(|(topic, _)| (topic, false)).collect();
        let mut found = Found { topics, ..Found::default() };
        let mut pool = Pool::new()?;
        let begin_ns = clock::now_ns();
        let pace = Pace { at_once: self.means.at_once, rate: None };
        pool.open_roles(&self.subject.target, roles, pace, &mut found)?;
        loop {
            pool.turn(Some(Duration::from_millis(20)), &mut found)?;
            let now_ns = clock::now_ns();
            let set_up = (0..count).all(|at| *pool.state(at) == State::Live);
            let settled = set_up && now_ns > found.last_ns + PATIENCE_NS;
            if settled || (!set_up && now_ns > begin_ns + SETUP_LIMIT_NS) {
                break;
            }
        }
        found.unread = found.topics.iter().filter(|(_, whole)| !whole).map(|(topic, _)| *topic).collect();
        Ok(Some(found))
    }

    fn whole_of(&self, topic: usize, epoch: &str) -> Subscription {
        Subscription {
            since: Some(Position { epoch: epoch.to_owned(), offset: 0 }),
            ..Subscription::to(&self.layout.topics[topic])
        }
    }
}
