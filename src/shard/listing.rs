//! Describing connections to those who look after the broker, a bounded number at a time, so that a shard with many of
//! them goes on serving between two.

use std::{cmp::Reverse, sync::Arc};

use fanwire_proto::{ClientId, TopicName};

use super::{
    conn::{Conn, Origin},
    core::{Core, slot32},
};
use crate::{auth::Credential, defaults};

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
    /// The first of them, at most [`defaults::LISTED_TOPICS`].
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

impl Core {
    /// Looks at connections from a slot on, as many as one turn may.
    pub(super) fn list(&self, query: &ConnectionQuery, from: usize) -> Listing {
        let slots = self.out.conns.capacity();
        let mut end = slots.min(from.saturating_add(defaults::LISTING_SLOTS));
        let mut fitting = Vec::new();
        for slot in from..end {
            let fits = |conn: &&Conn| conn.is_open() && self.fits(slot32(slot), conn, query);
            let Some(conn) = self.out.conns.get(slot).filter(fits) else { continue };
            fitting.push((query.order.map_or(0, |order| self.rank(slot32(slot), conn, order)), slot));
            if query.order.is_none() && fitting.len() >= query.limit {
                end = slot + 1;
                break;
            }
        }
        let matched = fitting.len();
        // Only the best are described: descriptions are what costs.
        fitting.sort_by_key(|(rank, _)| Reverse(*rank));
        fitting.truncate(query.limit);
        let connections =
            fitting.iter().map(|(_, slot)| self.describe(slot32(*slot), &self.out.conns[*slot])).collect();
        Listing { connections, matched, next: (end < slots).then_some(end) }
    }

    fn fits(&self, slot: u32, conn: &Conn, query: &ConnectionQuery) -> bool {
        let subscribed =
            |topic: &TopicName| self.fanout.subscriptions(slot).any(|sub| sub.topic.name == *topic);
        let says = |text: &String| {
            let named = |name: &Option<Arc<str>>| name.as_ref().is_some_and(|name| name.contains(text));
            conn.origin.door.contains(text.as_str())
                || named(&conn.member.user)
                || named(&conn.credential.as_ref().map(|credential| credential.name().clone()))
                || conn.member.client.to_string().contains(text)
                || conn.origin.address.to_string().contains(text)
        };
        query.topic.as_ref().is_none_or(subscribed) && query.search.as_ref().is_none_or(says)
    }

    fn describe(&self, slot: u32, conn: &Conn) -> Connection {
        let subscriptions = self.fanout.subscriptions(slot);
        Connection {
            client: conn.member.client,
            user: conn.member.user.clone(),
            credential: conn.credential.clone(),
            origin: conn.origin,
            format: self.out.speaker_in(conn.encoding).dialect().name(),
            opened_ms: conn.opened_ms,
            subscriptions: subscriptions.len(),
            topics: subscriptions.take(defaults::LISTED_TOPICS).map(|sub| sub.topic.name.clone()).collect(),
            outbox_bytes: conn.backlog_bytes(),
            lagging: self.fanout.is_lagging(slot),
            round_trip_us: conn.round_trip_us.map(std::num::NonZeroU32::get),
        }
    }

    /// The same as [`Connection::rank`], before it is described.
    fn rank(&self, slot: u32, conn: &Conn, order: ConnectionOrder) -> u64 {
        match order {
            ConnectionOrder::Outbox => conn.backlog_bytes() as u64,
            ConnectionOrder::RoundTrip => conn.round_trip_us.map_or(0, |micros| u64::from(micros.get())),
            ConnectionOrder::Subscriptions => self.fanout.subscriptions(slot).len() as u64,
            ConnectionOrder::Opened => conn.opened_ms,
        }
    }
}
