//! A connection's subscriptions, on behalf of its door.

use std::sync::Arc;

use fanwire_proto::{ErrorCode, Member, Payload};

use super::core::Core;
use crate::{
    fanout::{Connections, Item, Moment, SubKey, SubscribeOptions},
    topic::{FeedRef, Joined, Refusal, Topic},
};

impl Core {
    pub(super) fn subscribe(
        &mut self,
        slot: u32,
        topic: &Arc<Topic>,
        options: &SubscribeOptions,
    ) -> Result<Joined, Refusal> {
        let at = Moment { now: self.now, unix_ms: self.now_ms };
        let member = &self.out.conns[slot as usize].member;
        let notify = |feed: FeedRef| self.peers[feed.shard.0].notify(feed);
        self.fanout.subscribe((slot, member), topic, options, at, notify)
    }

    /// Sends the past that came with the reply, and lets the rest follow as the client reads.
    pub(super) fn start_subscription(&mut self, slot: u32, key: SubKey, joined: &Joined) {
        let Some(to) = self.out.receiver(slot) else { return };
        let past = self.fanout.start(slot, to, key, joined);
        self.out.reply(slot, Some(key), past.map(|message| Item::Message(message, 0)));
    }

    /// Shows others something else of the client on one topic; without it, what they see of it elsewhere.
    pub(super) fn show(&mut self, slot: u32, key: SubKey, info: Option<Arc<Payload>>) {
        let Some(conn) = self.out.conns.get(slot as usize) else { return };
        let Some(topic) = self.fanout.set_member(slot, key, info.is_some()) else { return };
        let info = info.or_else(|| conn.member.info.clone());
        let member = Member { info, ..conn.member.clone() };
        topic.identify(&member, |feed| self.peers[feed.shard.0].notify(feed));
    }

    pub(super) fn unsubscribe(&mut self, slot: u32, key: SubKey) -> bool {
        let Some(conn) = self.out.conns.get(slot as usize) else { return false };
        let notify = |feed: FeedRef| self.peers[feed.shard.0].notify(feed);
        self.fanout.unsubscribe((slot, &conn.member), key, self.now_ms, notify)
    }

    /// Ends all subscriptions of a connection.
    pub(super) fn leave_all(&mut self, slot: u32) {
        let Some(conn) = self.out.conns.get(slot as usize) else { return };
        let notify = |feed: FeedRef| self.peers[feed.shard.0].notify(feed);
        self.fanout.leave_all((slot, &conn.member), self.now_ms, notify);
    }

    /// Removes the subscriptions that fan-out had to end.
    pub(super) fn remove_ended(&mut self) {
        // They were told by the pass that ended them; what is left is to take them off the lists.
        for (slot, key) in self.fanout.take_ended() {
            self.unsubscribe(slot, key);
            self.told.push((slot, key, ErrorCode::Overloaded));
        }
    }
}
