//! From the socket to the door: reading, decoding, and stopping when the turn is used up or the client does not read its replies.

use std::io;

use bytes::{Buf, BytesMut};
use slab::Slab;

use super::{
    conn::Conn,
    core::Core,
    door::{Cx, Door, Inbound},
    guarded::Guarded,
    socket::Socket,
};
use crate::{
    defaults,
    wire::websocket::{Decoder, Incoming, Opcode, Rules, append_close, append_frame},
};

/// Bytes that come out of compressed messages that cost one: what a turn has room for is inflated in about a millisecond.
const INFLATED_COST_BYTES: usize = defaults::INFLATED_BYTES / defaults::TURN_COST as usize;

/// What the shard's connections share for reading.
pub(super) struct Input {
    buffer: Vec<u8>,
    decoder: Decoder,
}

impl Input {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; defaults::READ_BYTES], decoder: Decoder::default() }
    }

    /// Gives a connection its turn: its door goes on where it stopped, or what came before or one buffer of what is in the
    /// socket is decoded and answered. The rest waits for the next turn, so that one busy client does not hold up the others.
    pub(super) fn take_turn(&mut self, core: &mut Core, doors: &mut Slab<Guarded>, slot: u32) {
        core.spent = 0;
        let Some(conn) = core.out.conns.get_mut(slot as usize) else { return };
        conn.in_turn = false;
        if std::mem::take(&mut conn.yielded) && conn.is_open() {
            // Edges are announced once (edge-triggered), and nothing was read while the door had more to do.
            conn.read_again = true;
            doors[slot as usize].resumed(&mut Cx { core, slot });
            core.out.stage_replies(slot);
        } else {
            self.read(core, doors, slot);
        }
        let goes_on = |conn: &Conn| conn.yielded || conn.read_again && !conn.reads_nothing();
        if core.out.conns.get(slot as usize).is_some_and(goes_on) {
            core.want_read(slot);
        }
    }

    fn read(&mut self, core: &mut Core, doors: &mut Slab<Guarded>, slot: u32) {
        let Some(conn) = core.out.conns.get_mut(slot as usize) else { return };
        if conn.is_open() && conn.reads_nothing() {
            // The edge that led here is not announced again.
            conn.read_again = true;
            return;
        }
        conn.read_again = false;
        if let Some(unread) = conn.unread.take() {
            // Whether the socket has more is not known before it is read.
            conn.read_again = true;
            return self.decode(core, doors, slot, *unread);
        }
        match conn.socket.read(&mut self.buffer) {
            Ok(0) => core.out.dead.push(slot),
            Ok(count) => {
                conn.heard = true;
                // A short read has emptied the socket (epoll(7)): the next bytes raise an edge. A TLS session may hold
                // plaintext that the socket knows nothing of.
                let more = count == self.buffer.len() || matches!(conn.socket, Socket::Tls(_));
                conn.read_again = more || conn.hung_up;
                core.out.tally.bytes_in += count as u64;
                // Taken for as long as the decoder, which is in `self` too, works in it without copying.
                let mut input = std::mem::take(&mut self.buffer);
                let left = self.decode_some(core, doors, slot, &mut input[..count]);
                if let (Some(left), Some(conn)) = (left, core.out.conns.get_mut(slot as usize)) {
                    // Copied only where the turn ended early.
                    conn.unread = Some(Box::new(input[count - left..count].into()));
                }
                self.buffer = input;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => conn.read_again = true,
            // A reset has taken the rest with it: there is nobody to say goodbye to.
            Err(_) => core.out.dead.push(slot),
        }
    }

    /// Decodes input that is kept if the turn ends before it does.
    pub(super) fn decode(
        &mut self,
        core: &mut Core,
        doors: &mut Slab<Guarded>,
        slot: u32,
        mut input: BytesMut,
    ) {
        let left = self.decode_some(core, doors, slot, &mut input);
        if let (Some(left), Some(conn)) = (left, core.out.conns.get_mut(slot as usize)) {
            input.advance(input.len() - left);
            conn.unread = Some(Box::new(input));
        }
    }

    /// Decodes input and hands each message to the door. Returns how many bytes have to wait, if the connection has to stop
    /// before their end.
    fn decode_some(
        &mut self,
        core: &mut Core,
        doors: &mut Slab<Guarded>,
        slot: u32,
        mut input: &mut [u8],
    ) -> Option<usize> {
        let conn = core.out.conns.get_mut(slot as usize).filter(|conn| conn.is_open())?;
        if conn.paused {
            // Only what came along with the handshake comes here then.
            return Some(input.len());
        }
        // Held apart while doors run, since those borrow all of `core`.
        let (mut partial, encoding) = (conn.partial.take(), conn.encoding);
        if !encoding.framing.is_websocket() {
            core.out.tally.frames_in += 1;
            doors[slot as usize].received(&mut Cx { core, slot }, Inbound::Binary(input));
            core.out.stage_replies(slot);
            return None;
        }
        let limit = core.out.speaker_in(encoding).dialect().reads(&core.out.limits.bytes);
        let rules = Rules::new(limit, encoding.framing.is_deflated());
        let mut left = None;
        loop {
            let goes_on = match self.decoder.next(&mut partial, rules, &mut input) {
                Ok(Some(incoming)) => receive(core, doors, slot, incoming),
                // It stops between many fragments, too.
                Ok(None) => !input.is_empty(),
                Err(violation) => {
                    core.out.tally.closed_violation += 1;
                    core.refuse(slot, violation);
                    false
                }
            };
            core.out.stage_replies(slot);
            if !goes_on {
                break;
            }
            // Else a burst of small commands with large replies would be answered whole before a backlog stops it.
            core.out.flush_if_much(slot);
            let cost = self.decoder.take_cost();
            let inflated = u32::try_from(cost.inflated / INFLATED_COST_BYTES).unwrap_or(u32::MAX);
            core.spent = core.spent.saturating_add(cost.frames).saturating_add(inflated);
            // Whatever the door did, the slot is still taken: connections are dropped at the end of a turn only.
            let conn = &mut core.out.conns[slot as usize];
            if conn.reads_nothing() || core.spent >= defaults::TURN_COST {
                left = Some(input.len());
                conn.read_again = true;
                break;
            }
        }
        let conn = &mut core.out.conns[slot as usize];
        if !conn.is_open() {
            // It has seen a close or an error and reads no more.
            return None;
        }
        conn.partial = partial;
        left
    }
}

/// Returns whether to decode on.
fn receive(core: &mut Core, doors: &mut Slab<Guarded>, slot: u32, incoming: Incoming<'_>) -> bool {
    core.out.tally.frames_in += 1;
    let bytes = match &incoming {
        Incoming::Text(text) => text.len(),
        Incoming::Binary(bytes) => bytes.len(),
        Incoming::Ping(_) | Incoming::Pong(_) | Incoming::Close(_) => 0,
    };
    core.spent = core.spent.saturating_add(u32::try_from(bytes / 1024).unwrap_or(u32::MAX));
    let door = &mut doors[slot as usize];
    match incoming {
        Incoming::Text(text) => door.received(&mut Cx { core, slot }, Inbound::Text(&text)),
        Incoming::Binary(bytes) => door.received(&mut Cx { core, slot }, Inbound::Binary(&bytes)),
        // With what it brought (RFC 6455 §5.5.3), in order behind the replies to what came before it.
        Incoming::Ping(payload) => append_frame(&mut core.out.replies, Opcode::Pong, &payload),
        Incoming::Pong(_) => core.hear_pong(slot),
        Incoming::Close(code) => {
            append_close(&mut core.out.replies, code, "");
            // Before `linger`, which takes its subscriptions away.
            door.leaving(&mut Cx { core, slot });
            core.linger(slot);
        }
    }
    core.out.conns[slot as usize].is_open()
}
