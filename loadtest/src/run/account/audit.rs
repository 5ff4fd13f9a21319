//! What the audit found, held against what was acknowledged.

use super::{Account, Closed, Fate};
use crate::ledger::{Arrival, Stream};
use crate::run::engine::audit::Found;

impl Account {
    /// Enters what reading everything from the beginning brought.
    pub(in crate::run) fn enter_audit(&mut self, found: &Found, closed: &mut Closed) {
        let slots = self.layout.slots;
        let mut streams = vec![Stream::default(); self.by_stream.len()];
        let mut there = vec![false; self.messages.len()];
        for (topic, stamp) in &found.stamps {
            let stream = stamp.stream as usize;
            let sent = self.by_stream.get(stream).map_or(0, Vec::len) as u64;
            if stamp.run != self.run || stamp.sequence >= sent {
                closed.ledger.phantom += 1;
                continue;
            }
            if stream / slots != *topic {
                closed.ledger.wrong_topic += 1;
                continue;
            }
            match streams[stream].enter(stamp.sequence) {
                Arrival::Duplicate => closed.ledger.duplicate += 1,
                Arrival::Late => closed.ledger.reordered += 1,
                Arrival::Next | Arrival::Ahead(_) => {}
            }
            let number = self.number(stream, stamp.sequence);
            there[number] = true;
        }
        closed.ledger.corrupt += found.corrupt;
        self.counts.audited = found.stamps.len() as u64;
        self.counts.unaudited_topics = found.unread.len() as u64;
        for &topic in &found.unread {
            let name = self.layout.topics[topic].clone();
            self.note(|| format!("audit: {name} cannot be read from its beginning"));
        }
        let mut lost = 0;
        for (message, there) in self.messages.iter().zip(there) {
            let unread = found.unread.contains(&(message.stream as usize / slots));
            if message.state == Fate::Acknowledged && !there && !unread {
                lost += 1;
                closed.lost_due_ns.push(message.due_ns);
            }
        }
        if lost > 0 {
            closed.ledger.missing += lost;
            closed.ledger.acked_missing += lost;
            self.note(|| format!("audit: {lost} acknowledged messages are not in their topics any more"));
        }
    }
}
