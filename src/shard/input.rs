//! From the socket to the door: reading, decoding, and stopping while the client does not read its replies.

use std::io;

use slab::Slab;

use super::{
    core::Core,
    door::{Cx, Door, Inbound},
};
use crate::{
    defaults,
    wire::websocket::{Decoder, Incoming, Opcode, Rules, append_close, append_frame},
};

/// What the shard's connections share for reading.
pub(super) struct Input {
    buffer: Vec<u8>,
    decoder: Decoder,
}

impl Input {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; defaults::READ_BYTES], decoder: Decoder::default() }
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
        if let Some(mut unread) = conn.unread.take() {
            conn.read_again = true;
            self.decode(core, doors, slot, &mut unread);
            return self.go_on(core, slot);
        }
        match conn.socket.read(&mut self.buffer) {
            Ok(0) => core.dead.push(slot),
            Ok(count) => {
                conn.heard = true;
                conn.read_again = count == self.buffer.len() || matches!(conn.socket, super::Socket::Tls(_));
                core.tally.bytes_in += count as u64;
                let mut input = std::mem::take(&mut self.buffer);
                self.decode(core, doors, slot, &mut input[..count]);
                self.buffer = input;
                self.go_on(core, slot);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => core.readable.push_back(slot),
            Err(_) => core.dead.push(slot),
        }
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
        mut input: &mut [u8],
    ) {
        let Some(conn) = core.conns.get_mut(slot as usize) else { return };
        if !conn.is_open() {
            return;
        }
        if conn.paused {
            // Only what came along with the handshake comes here then.
            conn.unread = Some((&*input).into());
            return;
        }
        let (mut partial, encoding) = (conn.partial.take(), conn.encoding);
        let limit = core.speaker(encoding).dialect().reads(&core.limits.bytes);
        let rules = Rules::new(limit, encoding.framing.is_deflated());
        let mut inflated = 0;
        loop {
            let goes_on = match self.decoder.next(&mut partial, rules, &mut input) {
                Ok(Some(incoming)) => receive(core, doors, slot, incoming),
                Ok(None) => false,
                Err(violation) => {
                    core.tally.closed_violation += 1;
                    core.refuse(slot, violation);
                    false
                }
            };
            core.stage_replies(slot);
            if !goes_on {
                break;
            }
            core.flush_if_much(slot);
            inflated += self.decoder.take_cost().inflated;
            let conn = &mut core.conns[slot as usize];
            if conn.reads_nothing() || inflated > defaults::INFLATED_BYTES {
                conn.unread = Some((&*input).into());
                conn.read_again = true;
                break;
            }
        }
        let conn = &mut core.conns[slot as usize];
        if conn.is_open() {
            conn.partial = partial;
        }
    }
}

/// Returns whether to decode on.
fn receive(core: &mut Core, doors: &mut Slab<Box<dyn Door>>, slot: u32, incoming: Incoming<'_>) -> bool {
    core.tally.frames_in += 1;
    let door = &mut doors[slot as usize];
    match incoming {
        Incoming::Text(text) => door.received(&mut Cx { core, slot }, Inbound::Text(&text)),
        Incoming::Binary(bytes) => door.received(&mut Cx { core, slot }, Inbound::Binary(&bytes)),
        Incoming::Ping(payload) => append_frame(&mut core.replies, Opcode::Pong, &payload),
        Incoming::Pong(_) => core.hear_pong(slot),
        Incoming::Close(code) => {
            append_close(&mut core.replies, code, "");
            door.leaving(&mut Cx { core, slot });
            core.linger(slot);
        }
    }
    core.conns[slot as usize].is_open()
}
