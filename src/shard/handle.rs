//! A shard as other threads see it.

use std::{
    io,
    sync::{Arc, mpsc},
    time::Duration,
};

use mio::{Registry, Token};
use parking_lot::Mutex;

use super::{
    inbox::{Inbox, Job},
    limits::ShardLimits,
    newcomer::Newcomer,
    orders::Order,
};
use crate::{
    liveness::Pulse,
    topic::{FeedRef, ShardId},
};

/// Connections on their way to a shard. They wait beside its inbox, not in it: what is in there is for connections, and
/// known to them; these bring doors, which know connections.
#[derive(Clone, Default)]
pub(super) struct Arrivals(Arc<Mutex<Vec<Newcomer>>>);

impl Arrivals {
    /// Those that have arrived, in their order.
    pub(super) fn take(&self) -> Vec<Newcomer> {
        std::mem::take(&mut self.0.lock())
    }
}

/// A shard as other threads see it.
#[derive(Clone)]
pub struct ShardHandle {
    /// Its number.
    pub id: ShardId,
    pub(super) inbox: Inbox,
    pub(super) arrivals: Arrivals,
}

impl ShardHandle {
    /// A way into a shard whose thread waits with this registry, and is woken with this token.
    pub(super) fn open(id: ShardId, registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self { id, inbox: Inbox::open(id, registry, token)?, arrivals: Arrivals::default() })
    }

    /// Tells the shard that a topic has something for one of its feeds.
    pub fn notify(&self, feed: FeedRef) {
        self.inbox.notify(feed);
    }

    /// Hands over a connection. What is asked of the shard after this finds it there.
    pub fn adopt(&self, newcomer: Newcomer) {
        // Counted before the shard can close it, or the count could go below zero.
        self.inbox.connection_arrives();
        self.arrivals.0.lock().push(newcomer);
        // Behind the list: one announcement takes all that have arrived, and a later one may find nothing.
        self.inbox.push(Job::Adopt);
    }

    /// Replaces the bounds.
    pub fn limit(&self, limits: ShardLimits) {
        self.inbox.push(Job::Limits(limits));
    }

    /// Gives an order.
    pub fn order(&self, order: Order) {
        self.inbox.push(Job::Order(order));
    }

    /// The receiver hears once the shard has finished whatever it was doing when this was called.
    pub fn sync(&self) -> mpsc::Receiver<()> {
        let (done, wait) = mpsc::sync_channel(1);
        self.inbox.push(Job::Sync(done));
        wait
    }

    /// Orders the shard to deliver what is left and end its connections, within `limit`.
    pub fn finish(&self, limit: Duration) {
        self.inbox.push(Job::Finish(limit));
    }

    /// Its sign of life.
    pub fn pulse(&self) -> &Pulse {
        self.inbox.pulse()
    }

    /// How many bytes wait for its connections, as of the last second.
    pub fn waiting_bytes(&self) -> usize {
        self.inbox.waiting_bytes()
    }

    /// How many connections it owns or is about to.
    pub fn connections(&self) -> usize {
        self.inbox.connections()
    }
}
