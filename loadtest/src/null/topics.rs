//! Who listens to what, and the fan-out.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::fault::Faulty;
use super::peer::{Peer, Request};
use crate::clock::{self, MILLISECOND};
use crate::options::Fault;
use crate::stamp::Stamp;
use crate::wire::{Delivery, Encoding};
use crate::ws::frame;

/// A subscriber that has this much unsent is skipped: the null broker keeps no promise to the slow.
const OUT_LIMIT: usize = 4 << 20;
const DELAY_NS: u64 = 200 * MILLISECOND;
const STALL: Duration = Duration::from_millis(1500);

#[derive(Debug, Default)]
struct Topic {
    offset: u64,
    subscribers: Vec<usize>,
}

/// All topics.
#[derive(Debug)]
pub(super) struct Topics {
    topics: HashMap<String, Topic>,
    eager: bool,
    faulty: Faulty,
    dirty: Vec<usize>,
    messages: u64,
    /// Connection of the first subscriber of all.
    first: Option<usize>,
    /// What is held back: until when, for whom.
    delayed: VecDeque<(u64, usize, Vec<u8>)>,
}

impl Topics {
    pub(super) fn new(eager: bool, fault: Fault, every: u64) -> Self {
        Self {
            topics: HashMap::new(),
            eager,
            faulty: Faulty::new(fault, every),
            dirty: Vec::new(),
            messages: 0,
            first: None,
            delayed: VecDeque::new(),
        }
    }

    /// Carries out one request of connection `at`.
    pub(super) fn handle(&mut self, at: usize, request: &Request, peers: &mut [Option<Peer>]) {
        let topic = self.topics.entry(request.topic.clone()).or_default();
        match request.kind.as_str() {
            "subscribe" => {
                topic.subscribers.push(at);
                self.first.get_or_insert(at);
            }
            "publish" => {
                topic.offset += 1;
                self.fan_out(request, peers);
            }
            _ => {}
        }
        let Some(id) = request.id else { return };
        let offset = self.topics.get(&request.topic).map_or(0, |topic| topic.offset);
        let reply = serde_json::json!({ "type": "ok", "id": id, "topic": request.topic, "epoch": "0", "offset": offset });
        if let Some(peer) = &mut peers[at] {
            peer.reply(&reply);
        }
    }

    /// How long until something that is held back is due.
    pub(super) fn patience(&self) -> Option<Duration> {
        let (due_ns, ..) = self.delayed.front()?;
        Some(Duration::from_nanos(due_ns.saturating_sub(clock::now_ns()).max(MILLISECOND)))
    }

    /// Lets go what was held back long enough.
    pub(super) fn release(&mut self, peers: &mut [Option<Peer>]) {
        while self.delayed.front().is_some_and(|&(due_ns, ..)| due_ns <= clock::now_ns()) {
            let Some((_, at, frame)) = self.delayed.pop_front() else { return };
            if let Some(peer) = &mut peers[at] {
                peer.out.extend_from_slice(&frame);
                self.dirty.push(at);
            }
        }
    }

    /// Connections with something to flush.
    pub(super) fn take_dirty(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.dirty)
    }

    /// Takes a closed connection out of everything.
    pub(super) fn forget(&mut self, at: usize) {
        for topic in self.topics.values_mut() {
            topic.subscribers.retain(|&subscriber| subscriber != at);
        }
        self.faulty.forget(at);
    }

    fn fan_out(&mut self, request: &Request, peers: &mut [Option<Peer>]) {
        let Some(topic) = self.topics.get(&request.topic) else { return };
        let data = request.data.as_deref().unwrap_or_default();
        let delivery = Delivery::new(&request.topic, topic.offset, data);
        let frames = [framed(Encoding::Json, &delivery), framed(Encoding::Msgpack, &delivery)];
        self.messages += 1;
        match self.faulty.fault {
            Fault::Lie if self.messages.is_multiple_of(self.faulty.every) => return,
            Fault::Stall if self.messages == self.faulty.every => std::thread::sleep(STALL),
            _ => {}
        }
        let gap = gap(&request.topic, topic.offset);
        let stranger =
            self.topics.iter().find(|(name, other)| **name != request.topic && !other.subscribers.is_empty());
        let stranger = stranger.and_then(|(_, other)| other.subscribers.first().copied());
        for &at in &topic.subscribers {
            let Some(peer) = &mut peers[at] else { continue };
            if peer.out.len() > OUT_LIMIT {
                continue;
            }
            let frame = &frames[usize::from(peer.encoding == Some(Encoding::Msgpack))];
            let idle = peer.out.is_empty();
            if self.faulty.fault == Fault::Delay && self.first == Some(at) {
                self.delayed.push_back((clock::now_ns() + DELAY_NS, at, frame.clone()));
                continue;
            }
            let done = self.faulty.deliver(at, frame, &mut peer.out);
            let encoding = peer.encoding.unwrap_or_default();
            match self.faulty.fault {
                Fault::Gap if done => peer.out.extend_from_slice(&framed(encoding, &gap)),
                Fault::Invent if done => {
                    let stamp =
                        Stamp { run: 1, stream: 0, sequence: 0, intended_ns: clock::now_ns(), lag_ns: 0 };
                    let data = stamp.payload(64);
                    peer.out.extend_from_slice(&framed(
                        encoding,
                        &Delivery::new(&request.topic, topic.offset, &data),
                    ));
                }
                _ => {}
            }
            if self.eager {
                // An error shows again at the next read.
                let _ = peer.flush();
            } else if idle {
                self.dirty.push(at);
            }
            if let Some(stranger) = stranger.filter(|_| done && self.faulty.fault == Fault::Leak)
                && let Some(peer) = &mut peers[stranger]
            {
                peer.out.extend_from_slice(&frames[usize::from(peer.encoding == Some(Encoding::Msgpack))]);
                self.dirty.push(stranger);
            }
        }
    }
}

/// What says that the message at `offset` is gone.
fn gap(topic: &str, offset: u64) -> serde_json::Value {
    serde_json::json!({
        "type": "gap", "topic": topic, "epoch": "0", "after": offset.saturating_sub(1), "next": offset + 1
    })
}

fn framed(encoding: Encoding, object: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(object) = encoding.encode(object) {
        frame::write_server(&mut bytes, encoding.opcode(), &object);
    }
    bytes
}
