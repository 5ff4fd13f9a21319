//! What is known of connections' subscriptions.

use std::{sync::Arc, time::Duration};

use super::{Fanout, options::SubKey, readers::SubRef, subscriber::Sub};
use crate::topic::Topic;

/// A subscription as its connection sees it.
pub struct Subscription<'a> {
    /// What it is called.
    pub key: SubKey,
    /// To what.
    pub topic: &'a Arc<Topic>,
    /// At most one update per this time; zero for as fast as they come.
    pub interval: Duration,
    /// Whether it comes with presence.
    pub watches: bool,
    /// Whether its member is its own, not the connection's.
    pub has_member: bool,
}

impl Fanout {
    /// A connection's subscriptions.
    pub fn subscriptions(&self, conn: u32) -> impl ExactSizeIterator<Item = Subscription<'_>> {
        self.readers.subs(conn).iter().map(|&at| self.describe(at))
    }

    /// One of them.
    pub fn subscription(&self, conn: u32, key: SubKey) -> Option<Subscription<'_>> {
        self.readers.find(conn, key).map(|at| self.describe(at))
    }

    /// Who subscribes to topics of this name.
    pub fn subscribers(&self, topic: &str) -> Vec<(u32, SubKey)> {
        let feeds = self.feeds.iter().filter(|(_, feed)| feed.topic.name.as_str() == topic);
        feeds.flat_map(|(_, feed)| &feed.subs).map(|sub| (sub.conn, self.readers.key_of(sub))).collect()
    }

    fn describe(&self, at: SubRef) -> Subscription<'_> {
        let (feed, sub) = (&self.feeds[at.feed as usize], self.sub(at));
        Subscription {
            key: at.key,
            topic: &feed.topic,
            interval: feed.interval,
            watches: sub.watch().is_some(),
            has_member: sub.extra.as_ref().is_some_and(|extra| extra.has_member),
        }
    }

    pub(super) fn sub(&self, at: SubRef) -> &Sub {
        &self.feeds[at.feed as usize].subs[at.index as usize]
    }

    pub(super) fn sub_mut(&mut self, at: SubRef) -> &mut Sub {
        &mut self.feeds[at.feed as usize].subs[at.index as usize]
    }
}
