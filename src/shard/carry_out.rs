//! Carrying out orders: connections of others are ended, or subscriptions of theirs.

use fanwire_proto::{CloseCode, ErrorCode};

use super::{
    core::{Core, slot32},
    orders::{Order, Who},
};
use crate::{
    fanout::SubKey,
    wire::{Ending, Notice},
};

impl Core {
    pub(super) fn carry_out(&mut self, order: Order) {
        // Whoever asked may not be waiting any more.
        let _heard = match order {
            Order::Disconnect { who, done } => done.send(self.disconnect(&who)).is_ok(),
            Order::Unsubscribe { who, topic, done } => done.send(self.unsubscribe_all(&who, &topic)).is_ok(),
            Order::Disband { topic, done } => done.send(self.disband(&topic)).is_ok(),
            Order::List { query, from, done } => done.send(self.list(&query, from)).is_ok(),
        };
    }

    fn meant(&self, who: &Who) -> Vec<u32> {
        let open = self.out.conns.iter().filter(|(_, conn)| conn.is_open() && who.is(conn));
        open.map(|(slot, _)| slot32(slot)).collect()
    }

    fn disband(&mut self, topic: &str) -> usize {
        let subs = self.fanout.subscribers(topic);
        for &(slot, key) in &subs {
            self.end_subscription(slot, key, ErrorCode::Deleted);
        }
        subs.len()
    }

    /// Ends a subscription with a code, or the connection where it is for nothing else.
    fn end_subscription(&mut self, slot: u32, key: SubKey, code: ErrorCode) {
        let Some(topic) = self.fanout.subscription(slot, key).map(|sub| sub.topic.clone()) else { return };
        match self.out.speaker_of(slot).dialect().ending(code) {
            Ending::Connection(closing) => self.close_with(slot, closing),
            Ending::Subscription => {
                self.out.reply_notice(slot, Some(key), &Notice::Ended { topic: &topic.name, code });
                self.unsubscribe(slot, key);
                self.told.push((slot, key, code));
            }
        }
        self.out.stage_replies(slot);
    }

    fn disconnect(&mut self, who: &Who) -> usize {
        let meant = self.meant(who);
        for &slot in &meant {
            self.close(slot, CloseCode::Disconnected);
            self.out.stage_replies(slot);
        }
        meant.len()
    }

    fn unsubscribe_all(&mut self, who: &Who, topic: &str) -> usize {
        let mut count = 0;
        for slot in self.meant(who) {
            let to_it = self.fanout.subscriptions(slot).filter(|sub| sub.topic.name.as_str() == topic);
            let keys: Vec<SubKey> = to_it.map(|sub| sub.key).collect();
            for &key in &keys {
                self.end_subscription(slot, key, ErrorCode::Forbidden);
            }
            count += keys.len();
        }
        count
    }
}
