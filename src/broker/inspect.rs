//! For those who look after the broker: all topics at a glance, and the connections, a page at a time.

use std::{cmp::Reverse, sync::Arc};

use super::{Broker, asking::ask};
use crate::{
    shard::{Connection, ConnectionQuery, Listing, Order, ShardHandle},
    topic::Topic,
};

/// A page of connections.
#[derive(Debug, Default)]
pub struct ConnectionPage {
    /// Those asked for.
    pub connections: Vec<Connection>,
    /// How many of those looked at fit, listed or not. In a list with an order that is all of them.
    pub matched: usize,
    /// Shard and slot to go on with; only without an order.
    pub next: Option<(usize, usize)>,
}

impl Broker {
    /// Calls `look` with each topic. Topics that come or go meanwhile may be missed.
    pub fn each_topic(&self, mut look: impl FnMut(&Arc<Topic>)) {
        self.topics.iter().for_each(|entry| look(entry.value()));
    }

    /// How many connections shards own.
    pub fn connection_count(&self) -> usize {
        self.shards.iter().map(ShardHandle::connections).sum()
    }

    /// Connections from a shard and slot on. Each shard is asked again and again for a few, so none is kept from its
    /// work; what changes meanwhile may be missed.
    pub async fn connections(&self, query: ConnectionQuery, from: (usize, usize)) -> ConnectionPage {
        let mut query = Arc::new(query);
        let (mut page, (mut shard, mut slot)) = (ConnectionPage::default(), from);
        while let Some(handle) = self.shards.get(shard) {
            let listing = ask(handle, |done| Order::List { query: query.clone(), from: slot, done });
            let Listing { connections, matched, next } = listing.await.unwrap_or_default();
            page.matched += matched;
            page.connections.extend(connections);
            (shard, slot) = next.map_or((shard + 1, 0), |next| (shard, next));
            // With an order every connection competes with every other, so all shards are asked and the best are kept;
            // there is no place at which such a list could go on.
            match query.order {
                Some(order) => {
                    page.connections.sort_by_key(|connection| Reverse(connection.rank(order)));
                    page.connections.truncate(query.limit);
                }
                None if matched == query.limit => {
                    page.next = (shard < self.shards.len()).then_some((shard, slot));
                    break;
                }
                None => Arc::make_mut(&mut query).limit -= matched,
            }
        }
        page
    }
}
