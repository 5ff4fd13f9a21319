//! Subscribers that could not be served when a pass came by, once their socket takes bytes again.

use fanwire_proto::Offset;

use super::{
    connections::{Connections, Item},
    core::Fanout,
    faults::{Fault, planted},
    readers::SubRef,
    subscriber::{Except, SubState},
    waiting::Pending,
};
use crate::wire::Notice;

impl Fanout {
    /// Serves connections with waiting subscriptions, each in turn, until the turn's share is used up.
    pub fn catch_up(&mut self, io: &mut impl Connections) {
        // Who wants more is queued anew, and not among these.
        for _ in 0..self.bounds.turn_catch_ups.min(self.readers.waiting()) {
            if let Some(conn) = self.readers.pop() {
                self.catch_up_connection(io, conn);
            }
        }
    }

    /// A connection's socket takes bytes again.
    pub fn drained(&mut self, conn: u32) {
        if self.is_lagging(conn) && !planted(Fault::ForgetsDrained) {
            self.readers.schedule_catch_up(conn, false);
        }
    }

    /// Whether some subscription of a connection waits until its socket takes bytes again.
    pub fn is_lagging(&self, conn: u32) -> bool {
        self.readers.get(conn).is_some_and(|reader| reader.lagging)
    }

    /// Gives each waiting subscription of a connection one batch, as long as its socket takes it.
    fn catch_up_connection(&mut self, io: &mut impl Connections, conn: u32) {
        let Some(reader) = self.readers.get_mut(conn) else { return };
        reader.queued = false;
        // Said again below, or by the next pass, if something still waits.
        reader.lagging = false;
        // By index, since serving one borrows all of `self`; it neither adds nor removes any.
        for index in 0..reader.subs.len() {
            if !self.sub(self.readers.subs(conn)[index]).is_waiting() {
                continue;
            }
            let blocked = io.receiver(conn).is_none_or(|to| to.blocked);
            if blocked {
                // The rest waits for the socket.
                return self.readers.schedule_catch_up(conn, true);
            }
            self.catch_up_subscription(io, conn, self.readers.subs(conn)[index]);
            // Written at once: only a write shows whether the socket takes more.
            io.flush(conn);
        }
        // Queued again instead of going on here: others get a batch in between.
        if self.readers.subs(conn).iter().any(|&at| self.sub(at).is_waiting()) {
            let blocked = io.receiver(conn).is_none_or(|to| to.blocked);
            self.readers.schedule_catch_up(conn, blocked);
        }
    }

    fn catch_up_subscription(&mut self, io: &mut impl Connections, conn: u32, at: SubRef) {
        let Some(to) = io.receiver(conn) else { return };
        let (budget, changes) = (self.bounds.catch_up_bytes, self.bounds.pass_changes);
        let sub = self.sub_mut(at);
        let except = Except { client: to.client, declines_own: sub.declines_own() };
        if let SubState::Behind(upto) = sub.state {
            self.read_on(io, conn, at, upto, except);
        } else if let SubState::Apart(apart) = &mut sub.state {
            let (mut values, left_out) = apart.waiting.take(budget);
            values.retain(|pending| !except.covers(&pending.value));
            self.counts.conflated += left_out;
            self.counts.deliveries += values.len() as u64;
            io.send_own(conn, at.key, values.iter().map(Pending::item));
        }
        if let Some(watch) = self.sub_mut(at).watch_mut() {
            let share = watch.missed.len().min(changes);
            let missed: Vec<_> = watch.missed.drain(..share).collect();
            io.send_own(conn, at.key, missed.iter().map(|change| Item::Change(change)));
        }
    }

    /// The next batch of the history, with a `gap` in front where the history no longer reaches back that far.
    fn read_on(&mut self, io: &mut impl Connections, conn: u32, at: SubRef, after: Offset, except: Except) {
        let feed = &mut self.feeds[at.feed as usize];
        let found = feed.topic.catch_up(after, self.bounds.catch_up_bytes);
        // Up to the feed's position the passes have gone by; from there on they serve this subscriber again.
        feed.subs[at.index as usize].state = match found.upto >= feed.position {
            true if planted(Fault::CaughtUpHearsTwice) => SubState::Live,
            true => SubState::From(found.upto),
            false => SubState::Behind(found.upto),
        };
        let gap = |next| Notice::Gap { topic: &feed.topic.name, epoch: found.epoch, after, next };
        let wanted = found.messages.iter().filter(|message| !except.covers(message));
        self.counts.deliveries += wanted.clone().count() as u64;
        self.counts.gaps += u64::from(found.gap.is_some());
        let gap = found.gap.into_iter().map(|next| Item::Notice(gap(next)));
        io.send_own(conn, at.key, gap.chain(wanted.map(|message| Item::Message(message, 0))));
    }
}
