//! Connections as they are described to those who look after the broker.

use std::sync::Arc;

use fanwire_proto::{ClientId, TopicName};

use super::conn::Origin;
use crate::auth::Credential;

/// Which connections are asked for.
#[derive(Clone, Debug, Default)]
pub struct ConnectionQuery {
    /// Text that the client's name, the user, the token's name, the address or the door contains.
    pub search: Option<String>,
    /// A topic that it is subscribed to.
    pub topic: Option<TopicName>,
    /// The highest first; without it, in the order of their slots.
    pub order: Option<ConnectionOrder>,
    /// Most connections.
    pub limit: usize,
}

/// By what connections are put in order, the highest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionOrder {
    /// Bytes that wait for it.
    Outbox,
    /// The time a ping takes.
    RoundTrip,
    /// How many topics it is subscribed to.
    Subscriptions,
    /// When it came, the newest first.
    Opened,
}

/// A connection as it is told to others.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name.
    pub client: ClientId,
    /// Its user.
    pub user: Option<Arc<str>>,
    /// The name of the token or key it came with.
    pub credential: Option<Credential>,
    /// Its door and address.
    pub origin: Origin,
    /// The name of its encoding.
    pub format: &'static str,
    /// When it came, in milliseconds since 1970.
    pub opened_ms: u64,
    /// How many topics it is subscribed to.
    pub subscriptions: usize,
    /// The first of them, at most [`LISTED_TOPICS`](crate::defaults::LISTED_TOPICS).
    pub topics: Vec<TopicName>,
    /// Bytes that wait for it.
    pub outbox_bytes: usize,
    /// Some subscription waits until its socket takes bytes again.
    pub lagging: bool,
    /// What the last ping that was answered took, in microseconds.
    pub round_trip_us: Option<u32>,
}

impl Connection {
    /// Its place when connections are put in order: the highest comes first.
    pub fn rank(&self, order: ConnectionOrder) -> u64 {
        match order {
            ConnectionOrder::Outbox => self.outbox_bytes as u64,
            ConnectionOrder::RoundTrip => u64::from(self.round_trip_us.unwrap_or(0)),
            ConnectionOrder::Subscriptions => self.subscriptions as u64,
            ConnectionOrder::Opened => self.opened_ms,
        }
    }
}

/// Some connections of a shard.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those asked for, at most as many as asked for.
    pub connections: Vec<Connection>,
    /// How many of those looked at fit, listed or not.
    pub matched: usize,
    /// The slot to go on with, unless this was the end.
    pub next: Option<usize>,
}
