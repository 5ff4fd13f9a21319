//! Describing connections to those who look after the broker, a bounded number at a time, so that a shard with many of
//! them goes on serving between two.

use std::{cmp::Reverse, sync::Arc};

use fanwire_proto::TopicName;

use super::{
    conn::Conn,
    core::{Core, slot32},
    listing::{Connection, ConnectionOrder, ConnectionQuery, Listing},
};
use crate::defaults;

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
            // Only the order of slots is known before all have been looked at.
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
            // Texts are made last, and only for those whose names do not fit.
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
