//! From the socket to the door: reading, decoding, and stopping while the client does not read its replies.

use std::io;

use rustc_hash::FxHashMap;
use slab::Slab;
use tokio_tungstenite::tungstenite::Message;

use super::{
    codec::{Codec, Decoded},
    core::Core,
    door::{Cx, Door, Inbound},
};
use crate::defaults;

/// What the shard's connections share for reading.
pub(super) struct Input {
    buffer: Vec<u8>,
    /// For connections between two messages, by the largest message that their dialect takes.
    codecs: FxHashMap<usize, Box<Codec>>,
}

impl Input {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; defaults::READ_BYTES], codecs: FxHashMap::default() }
    }

    /// Reads one buffer from a connection and lets its door answer. What is left in the socket is read in the next
    /// turn, so that one busy client does not hold up the others.
    pub(super) fn read(&mut self, core: &mut Core, doors: &mut Slab<Box<dyn Door>>, slot: u32) {
        let Some(conn) = core.conns.get_mut(slot as usize) else { return };
        if conn.is_open() && conn.reads_nothing() {
            conn.read_again = true;
            return;
        }
        conn.read_again = false;
        if let Some(unread) = conn.unread.take() {
            conn.read_again = true;
            self.decode(core, doors, slot, &unread);
            return self.go_on(core, slot);
        }
        match conn.socket.read(&mut self.buffer) {
            Ok(0) => core.dead.push(slot),
            Ok(count) => {
                conn.heard = true;
                conn.read_again = count == self.buffer.len() || matches!(conn.socket, super::Socket::Tls(_));
                core.tally.bytes_in += count as u64;
                let input = std::mem::take(&mut self.buffer);
                self.decode(core, doors, slot, &input[..count]);
                self.buffer = input;
                self.go_on(core, slot);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => core.readable.push_back(slot),
            Err(_) => core.dead.push(slot),
        }
    }

    fn take_codec(&mut self, max_message_bytes: usize) -> Box<Codec> {
        let shared = self.codecs.remove(&max_message_bytes);
        shared.unwrap_or_else(|| Box::new(Codec::new(max_message_bytes)))
    }

    fn give_back(&mut self, codec: Box<Codec>) {
        self.codecs.insert(codec.max_message_bytes(), codec);
    }

    fn go_on(&self, core: &mut Core, slot: u32) {
        if core.conns.get(slot as usize).is_some_and(|conn| conn.read_again && !conn.reads_nothing()) {
            core.readable.push_back(slot);
        }
    }

    /// Decodes input and hands each message to the door.
    pub(super) fn decode(
        &mut self,
        core: &mut Core,
        doors: &mut Slab<Box<dyn Door>>,
        slot: u32,
        mut input: &[u8],
    ) {
        let Some(conn) = core.conns.get_mut(slot as usize) else { return };
        if !conn.is_open() {
            return;
        }
        if conn.paused {
            // Only what came along with the handshake comes here then.
            conn.unread = Some(input.into());
            return;
        }
        let own = conn.codec.take();
        let encoding = conn.encoding;
        let mut codec = own.unwrap_or_else(|| {
            let limit = core.speaker(encoding).dialect().reads(&core.limits.bytes);
            self.take_codec(limit)
        });
        loop {
            let decoded = codec.next(&mut input, &mut core.replies);
            let goes_on = handle_decoded(core, doors, slot, decoded);
            core.stage_replies(slot);
            if !goes_on {
                break;
            }
            core.flush_if_much(slot);
            if core.conns[slot as usize].reads_nothing() {
                core.conns[slot as usize].unread = Some(input.into());
                core.conns[slot as usize].read_again = true;
                break;
            }
        }
        let conn = &mut core.conns[slot as usize];
        match (conn.is_open(), codec.is_clean()) {
            (true, false) => conn.codec = Some(codec),
            (true, true) => self.give_back(codec),
            // It has seen a close or an error and reads no more.
            (false, _) => {}
        }
    }
}

/// Returns whether to decode on.
fn handle_decoded(core: &mut Core, doors: &mut Slab<Box<dyn Door>>, slot: u32, decoded: Decoded) -> bool {
    match decoded {
        Decoded::NeedMore => return false,
        Decoded::Violation(code) => {
            core.tally.closed_violation += 1;
            core.close(slot, code);
        }
        Decoded::Message(message) => {
            core.tally.frames_in += 1;
            let mut cx = Cx { core, slot };
            let door = &mut doors[slot as usize];
            match &message {
                Message::Text(text) => door.received(&mut cx, Inbound::Text(text)),
                Message::Binary(bytes) => door.received(&mut cx, Inbound::Binary(bytes)),
                // tungstenite has answered it.
                Message::Close(_) => {
                    door.leaving(&mut cx);
                    core.linger(slot);
                }
                Message::Pong(_) => core.hear_pong(slot),
                Message::Ping(_) | Message::Frame(_) => {}
            }
        }
    }
    core.conns[slot as usize].is_open()
}
