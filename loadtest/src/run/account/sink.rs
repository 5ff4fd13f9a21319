//! What arrives, entered as it comes.

use super::Account;
use crate::client::Sink;
use crate::ledger::Arrival;
use crate::stamp::{Corrupt, Stamp};
use crate::wire::Reply;

impl Sink for Account {
    fn stamped(&mut self, at: usize, stamp: &Stamp, arrived_ns: u64) -> bool {
        if self.publishers_listen && at >= self.subscribers.len() {
            return true;
        }
        self.counts.deliveries += 1;
        self.last_arrival_ns = arrived_ns;
        let Some((stream, local)) = self.place(at, stamp) else { return false };
        let number = self.number(stream, stamp.sequence);
        let subscriber = &mut self.subscribers[at];
        let arrival = subscriber.streams[local].enter(stamp.sequence);
        let message = &mut self.messages[number];
        if arrival == Arrival::Duplicate {
            *self.repeats.entry(number).or_default() += 1;
            self.repeated += 1;
            return false;
        }
        match arrival {
            Arrival::Ahead(skipped) => self.skipped += skipped,
            Arrival::Late => self.overtaken += 1,
            Arrival::Next | Arrival::Duplicate => {}
        }
        self.accepted += 1;
        // What came late because its subscriber was away says nothing about completion.
        if !subscriber.slow && stamp.intended_ns >= subscriber.back_ns {
            message.outstanding = message.outstanding.saturating_sub(1);
            message.last_ns = message.last_ns.max(arrived_ns);
        }
        let (from, to) = self.measured_ns;
        let counts = (from..to).contains(&stamp.intended_ns)
            && !subscriber.slow
            && stamp.intended_ns >= subscriber.back_ns;
        if counts {
            self.counts.measured += 1;
            self.last_measured_ns = arrived_ns;
            self.response.enter(stamp.intended_ns, arrived_ns);
            self.service.enter(stamp.sent_ns(), arrived_ns);
            self.interval.enter(stamp.intended_ns, arrived_ns);
            let span = arrived_ns.saturating_sub(stamp.intended_ns);
            subscriber.sum_ns += span;
            subscriber.samples += 1;
            subscriber.fastest_ns = Some(subscriber.fastest_ns.map_or(span, |known| known.min(span)));
            let stale =
                self.max_age_ns.is_some_and(|limit| arrived_ns.saturating_sub(stamp.sent_ns()) > limit);
            self.ledger.stale += u64::from(stale);
        }
        arrival == Arrival::Next && !self.track
    }

    fn damaged(&mut self, at: usize, damage: Corrupt) {
        if self.publishers_listen && at >= self.subscribers.len() {
            return;
        }
        self.counts.deliveries += 1;
        self.ledger.corrupt += 1;
        let who = self.layout.first + at;
        self.note(|| format!("subscriber {who}: a corrupt message ({damage:?})"));
        // Which message it was is known when the stamp is whole; then it is damaged, not lost.
        let Corrupt::Payload(stamp) = damage else { return };
        if let Some((stream, local)) = self.place(at, &stamp) {
            self.subscribers[at].streams[local].enter(stamp.sequence);
            self.accepted += 1;
            let number = self.number(stream, stamp.sequence);
            let message = &mut self.messages[number];
            // It did not arrive everywhere: completion is not measured.
            message.outstanding = message.outstanding.max(1);
        }
    }

    fn message(&mut self, at: usize, reply: &Reply) {
        let Some((_, nth)) = self.topic_of(at, reply) else { return };
        let subscriber = &mut self.subscribers[at];
        if let (Some(Some(position)), Some(offset)) = (subscriber.positions.get_mut(nth), reply.offset) {
            position.offset = offset;
        }
        if let (Some(skipped), Some(key)) = (reply.skipped, reply.key.as_deref()) {
            let slot = key.strip_prefix('k').and_then(|number| number.parse::<usize>().ok());
            let local =
                slot.filter(|&slot| slot < self.layout.slots).map(|slot| nth * self.layout.slots + slot);
            if let Some(count) = local.and_then(|local| subscriber.skipped.get_mut(local)) {
                *count += skipped;
            }
        }
    }

    fn subscribed(&mut self, at: usize, reply: &Reply) {
        self.enter_subscription(at, reply);
    }

    fn reply(&mut self, at: usize, reply: &Reply) {
        match reply.kind.as_str() {
            "ok" => self.acknowledge(reply, true),
            "gap" => self.enter_gap(at, reply),
            // A server that is told to end may say so.
            "end" | "goodbye" if self.doomed.get(at) == Some(&true) => {}
            "error" | "end" | "goodbye" => {
                if reply.kind == "error" {
                    // What it has no more time for is published again when it is back.
                    if reply.retry == Some(true) && self.doomed.get(at) == Some(&true) {
                        return;
                    }
                    self.acknowledge(reply, false);
                } else {
                    self.counts.errors += 1;
                }
                let (code, words) = (reply.code.clone(), reply.message.clone());
                let (code, words) = (code.unwrap_or_default(), words.unwrap_or_default());
                let who = self.layout.first + at;
                self.note(|| format!("connection {who}: {} {code} {words}", reply.kind));
            }
            _ => {}
        }
    }

    fn read(&mut self, at: usize, bytes: usize) {
        if at < self.subscribers.len() {
            self.counts.bytes += bytes as u64;
            self.counts.reads += 1;
        }
    }

    fn ended(&mut self, at: usize, reason: &str) {
        if self.doomed.get(at) == Some(&true) {
            self.counts.severed += 1;
            self.fallen.push(at);
            if at < self.subscribers.len() {
                self.leave(at);
            }
            return;
        }
        self.counts.disconnects += 1;
        if let Some(subscriber) = self.subscribers.get_mut(at) {
            self.ended += usize::from(!subscriber.ended);
            subscriber.ended = true;
        }
        let who = self.layout.first + at;
        self.note(|| format!("connection {who} ended: {reason}"));
    }
}
