//! Who listens to what, and the fan-out.

use std::collections::HashMap;

use super::fault::Faulty;
use super::peer::{Peer, Request};
use crate::cli::Fault;
use crate::wire::{Delivery, Encoding};
use crate::ws::frame;

/// A subscriber that has this much unsent is skipped: the null broker keeps no promise to the slow.
const OUT_LIMIT: usize = 4 << 20;

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
}

impl Topics {
    pub(super) fn new(eager: bool, fault: Fault, every: u64) -> Self {
        Self { topics: HashMap::new(), eager, faulty: Faulty::new(fault, every), dirty: Vec::new() }
    }

    /// Carries out one request of connection `at`.
    pub(super) fn handle(&mut self, at: usize, request: &Request, peers: &mut [Option<Peer>]) {
        let topic = self.topics.entry(request.topic.clone()).or_default();
        match request.kind.as_str() {
            "subscribe" => topic.subscribers.push(at),
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
        for &at in &topic.subscribers {
            let Some(peer) = &mut peers[at] else { continue };
            if peer.out.len() > OUT_LIMIT {
                continue;
            }
            let frame = &frames[usize::from(peer.encoding == Some(Encoding::Msgpack))];
            let idle = peer.out.is_empty();
            self.faulty.deliver(at, frame, &mut peer.out);
            if self.eager {
                // An error shows again at the next read.
                let _ = peer.flush();
            } else if idle {
                self.dirty.push(at);
            }
        }
    }
}

fn framed(encoding: Encoding, delivery: &Delivery<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(object) = encoding.encode(delivery) {
        frame::write_server(&mut bytes, encoding.opcode(), &object);
    }
    bytes
}
