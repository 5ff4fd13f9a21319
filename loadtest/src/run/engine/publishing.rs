//! Publishing what is due. Where clients may lose their connection, a message is sent again, under the same id, until it
//! has been answered.

use std::collections::{HashMap, VecDeque};

use super::Engine;
use crate::adapter::{Author, Publication};
use crate::clock;
use crate::error::Result;
use crate::run::scenario::{Ack, Kind, Scenario, Via};
use crate::stamp::Stamp;

/// The publishing connections.
#[derive(Debug)]
pub(super) struct Publishers {
    /// Whether messages have ids, by which a server knows one that is sent again.
    retry: bool,
    each: Vec<Publisher>,
    /// Kind `document`: what has been written, by stream.
    written: Option<HashMap<u32, u64>>,
}

#[derive(Clone, Debug)]
struct Publisher {
    /// Whether its connection is there.
    ready: bool,
    /// What has been sent, or is due, and has no answer yet: number of the publication, topic and slot.
    unanswered: VecDeque<(u64, usize, usize)>,
}

impl Publishers {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let publisher = Publisher { ready: true, unanswered: VecDeque::new() };
        Self {
            retry: scenario.restarts(),
            each: vec![publisher; scenario.publishers],
            written: (scenario.kind == Kind::Document).then(HashMap::new),
        }
    }

    /// The connection of publisher `nth` is gone.
    pub(super) fn falls(&mut self, nth: usize) {
        self.each[nth].ready = false;
    }
}

impl Engine<'_> {
    /// Enters the message due at `due_ns` and sends it, or holds it back while its publisher has no connection.
    /// What another process publishes is only entered.
    pub(super) fn send(&mut self, due_ns: u64, own: bool) -> Result<()> {
        let scenario = self.means.scenario;
        // Drawn for every message, whoever sends it: so all processes have the same sequence, and each knows what the
        // others publish without being told.
        let topic = self.rng.below(self.layout.topics.len());
        let slot = self.rng.below(self.layout.slots);
        let size = scenario.size.min + self.rng.below(scenario.size.max - scenario.size.min + 1);
        let stream = topic * self.layout.slots + slot;
        let nth = self.layout.publisher(slot);
        let ready = own && self.publishers.each[nth].ready;
        let now_ns = clock::now_ns();
        let (id, sequence) = self.account.send(stream, size, due_ns, ready);
        if own && self.publishers.retry {
            self.remember(nth, (id, topic, slot));
        }
        if !ready {
            return Ok(());
        }
        self.lag.enter(due_ns, now_ns);
        self.course.sent(due_ns, now_ns);
        let number = u32::try_from(stream).unwrap_or(u32::MAX);
        let lag_ns = now_ns.saturating_sub(due_ns);
        let stamp = Stamp { run: self.means.run, stream: number, sequence, intended_ns: due_ns, lag_ns };
        self.put(id, topic, slot, &stamp, size)
    }

    /// Sends everything again that publisher `nth`, connected anew, has no answer to, in the order it was due.
    pub(super) fn send_again(&mut self, nth: usize) -> Result<()> {
        self.publishers.each[nth].ready = true;
        // What has been answered is still among them, and `again` leaves it out.
        for (id, topic, slot) in self.publishers.each[nth].unanswered.clone() {
            let now_ns = clock::now_ns();
            if let Some((stamp, size)) = self.account.again(id, self.means.run, Some(now_ns)) {
                self.put(id, topic, slot, &stamp, size)?;
            }
        }
        Ok(())
    }

    /// Keeps a publication until it is answered; what has been is dropped from the front.
    fn remember(&mut self, nth: usize, publication: (u64, usize, usize)) {
        let unanswered = &mut self.publishers.each[nth].unanswered;
        // Only from the front: answers come about in order, and one that stands out keeps the rest for a little longer.
        while let Some(&(id, ..)) = unanswered.front()
            && self.account.again(id, self.means.run, None).is_none()
        {
            unanswered.pop_front();
        }
        unanswered.push_back(publication);
    }

    fn put(&mut self, id: u64, topic: usize, slot: usize, stamp: &Stamp, size: usize) -> Result<()> {
        let scenario = self.means.scenario;
        let message_id = self.publishers.retry.then(|| format!("{:06x}-{id}", self.means.run));
        let data = stamp.payload(size);
        // Each stream is a Yjs client of its own.
        let update = self.publishers.written.as_mut().map(|written| {
            let clock = written.entry(stamp.stream).or_default();
            let before = *clock;
            *clock += size as u64;
            Author { client: u64::from(stamp.stream) + 1, clock: before }
        });
        let publication = Publication {
            id,
            topic: &self.layout.topics[topic],
            key: self.layout.key(slot),
            message_id: message_id.as_deref(),
            durable: scenario.ack == Ack::Durable,
            update,
            webhook: scenario.publish == Via::Webhook,
            data: &data,
        };
        self.pool.publish(scenario.subscribers + self.layout.publisher(slot), &publication)
    }
}
