//! Subscribers that could not be served when a pass came by, once their socket takes bytes again.

use fanwire_proto::Offset;

use super::{
    conn::SubRef,
    core::Core,
    feed::{SubState, change_frame, notice_of},
    stamp::Said,
    waiting::Pending,
};
use crate::{
    defaults,
    wire::{Encoding, Notice},
};

impl Core {
    /// Serves connections with waiting subscriptions, each in turn, until the turn's share is used up.
    pub(super) fn run_catch_ups(&mut self) {
        for _ in 0..defaults::TURN_CATCH_UPS.min(self.catching.len()) {
            if let Some(slot) = self.catching.pop_front() {
                self.catch_up_connection(slot);
            }
        }
    }

    /// Gives each waiting subscription of a connection one batch, as long as its socket takes it.
    fn catch_up_connection(&mut self, slot: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        conn.queued = false;
        conn.lagging = false;
        for index in 0..conn.subs.len() {
            let conn = &self.conns[slot as usize];
            if conn.is_blocked() {
                return self.mark_lagging(slot);
            }
            let at = conn.subs[index];
            if self.feeds[at.feed as usize].subs[at.index as usize].is_waiting() {
                self.catch_up_subscription(slot, at);
                self.flush(slot);
            }
        }
        let conn = &self.conns[slot as usize];
        let waiting = |at: &SubRef| self.feeds[at.feed as usize].subs[at.index as usize].is_waiting();
        if conn.subs.iter().any(waiting) {
            self.schedule_catch_up(slot);
        }
    }

    /// The rest waits for the socket.
    fn mark_lagging(&mut self, slot: u32) {
        if let Some(conn) = self.conns.get_mut(slot as usize) {
            conn.lagging = true;
        }
    }

    fn catch_up_subscription(&mut self, slot: u32, at: SubRef) {
        let (encoding, except) = (self.conns[slot as usize].encoding, self.except(at));
        let sub = &mut self.feeds[at.feed as usize].subs[at.index as usize];
        let missed = sub.watch_mut().map(|watch| {
            let share = watch.missed.len().min(defaults::PASS_CHANGES);
            watch.missed.drain(..share).collect::<Vec<_>>()
        });
        let values = match &mut sub.state {
            SubState::Behind(upto) => {
                let upto = *upto;
                self.read_on(slot, at, upto, encoding);
                Vec::new()
            }
            SubState::Apart(apart) => {
                let (mut values, left_out) = apart.waiting.take(defaults::CATCH_UP_BYTES);
                values.retain(|pending| !except.covers(&pending.value));
                self.tally.conflated += left_out;
                values
            }
            SubState::Live | SubState::From(_) => Vec::new(),
        };
        self.tally.deliveries += values.len() as u64;
        let frames = self.gather(slot, Some(at.key), encoding, |gather, speaker| {
            for Pending { value, skipped } in &values {
                gather.add(Said::Message(&value.message), &value.frame_after(speaker, (*skipped).into()));
            }
            for change in missed.iter().flatten() {
                gather.add(Said::Notice(&notice_of(change)), change_frame(speaker, change));
            }
        });
        self.stage_all(slot, frames);
    }

    /// The next batch of the history, with a `gap` in front where the history no longer reaches back that far.
    fn read_on(&mut self, slot: u32, at: SubRef, after: Offset, encoding: Encoding) {
        let except = self.except(at);
        let feed = &mut self.feeds[at.feed as usize];
        let found = feed.topic.catch_up(after, defaults::CATCH_UP_BYTES);
        let topic = feed.topic.clone();
        // Up to the feed's position the passes have gone by; from there on they serve this subscriber again.
        feed.subs[at.index as usize].state = match found.upto >= feed.position {
            true => SubState::From(found.upto),
            false => SubState::Behind(found.upto),
        };
        let wanted = found.messages.iter().filter(|message| !except.covers(message));
        self.tally.deliveries += wanted.clone().count() as u64;
        self.tally.gaps += u64::from(found.gap.is_some());
        let frames = self.gather(slot, Some(at.key), encoding, |gather, speaker| {
            if let Some(next) = found.gap {
                let gap = Notice::Gap { topic: &topic.name, epoch: found.epoch, after, next };
                gather.add(Said::Notice(&gap), &speaker.notice(&gap));
            }
            for message in wanted {
                gather.add(Said::Message(&message.message), message.frame(speaker));
            }
        });
        self.stage_all(slot, frames);
    }
}
