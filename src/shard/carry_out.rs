//! Carrying out orders: connections of others are ended, or subscriptions of theirs ended or made.

use fanwire_proto::{CloseCode, ErrorCode};
use slab::Slab;

use super::{
    core::{Core, slot32},
    door::{Cx, Door},
    guarded::Guarded,
    orders::{Order, ServerSubs, Who},
};
use crate::{
    auth::ServerSub,
    defaults,
    fanout::SubKey,
    wire::{Ending, Notice},
};

/// Carries an order out, and reports what it met.
pub(super) fn carry_out(core: &mut Core, doors: &mut Slab<Guarded>, order: Order) {
    // Whoever asked may not be waiting any more.
    let _heard = match order {
        Order::Disconnect { who, done } => done.send(core.disconnect(&who)).is_ok(),
        Order::Unsubscribe { who, topic, done } => done.send(core.unsubscribe_all(&who, &topic)).is_ok(),
        Order::Subscribe { who, sub, from, done } => {
            done.send(subscribe_some(core, doors, (&who, &sub), from)).is_ok()
        }
        Order::Disband { topic, done } => done.send(core.disband(&topic)).is_ok(),
        Order::List { query, from, done } => done.send(core.list(&query, from)).is_ok(),
    };
}

/// Has the doors of those meant subscribe, from a slot on, as many as one turn may.
fn subscribe_some(
    core: &mut Core,
    doors: &mut Slab<Guarded>,
    (who, sub): (&Who, &ServerSub),
    from: usize,
) -> ServerSubs {
    // Slots, not connections: those that are left after others ended may have any number below this.
    let slots = core.out.conns.capacity();
    let end = slots.min(from.saturating_add(defaults::LISTING_SLOTS));
    let (mut subs, mut slot) = (ServerSubs::default(), from);
    while slot < end && subs.made + subs.refused.len() < defaults::SERVER_SUBS_AT_ONCE {
        if core.out.conns.get(slot).is_some_and(|conn| conn.is_open() && who.is(conn)) {
            match doors[slot].ordered(&mut Cx { core, slot: slot32(slot) }, sub) {
                Ok(made) => subs.made += usize::from(made),
                Err(code) => subs.refused.push(code),
            }
            core.out.stage_replies(slot32(slot));
        }
        slot += 1;
    }
    subs.next = (slot < slots).then_some(slot);
    subs
}

impl Core {
    fn meant(&self, who: &Who) -> Vec<u32> {
        let open = self.out.conns.iter().filter(|(_, conn)| conn.is_open() && who.is(conn));
        open.map(|(slot, _)| slot32(slot)).collect()
    }

    fn disband(&mut self, topic: &str) -> usize {
        // Listed first: ending one changes the lists.
        let subs = self.fanout.subscribers(topic);
        for &(slot, key) in &subs {
            self.end_subscription(slot, key, ErrorCode::Deleted);
        }
        subs.len()
    }

    /// Ends a subscription with a code, or the connection where it is for nothing else.
    pub(super) fn end_subscription(&mut self, slot: u32, key: SubKey, code: ErrorCode) {
        let Some(topic) = self.fanout.subscription(slot, key).map(|sub| sub.topic.clone()) else { return };
        match self.out.speaker_of(slot).dialect().ending(code) {
            Ending::Connection(closing) => self.close_with(slot, closing),
            Ending::Subscription => {
                self.out.reply_notice(slot, Some(key), &Notice::Ended { topic: &topic.name, code });
                self.unsubscribe(slot, key);
                // Its door hears of it at the end of the turn: it may be the one that runs, and is out of reach here.
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
