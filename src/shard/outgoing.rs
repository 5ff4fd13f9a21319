//! What goes out of a shard in a turn: which connections there are, what they speak, and what each is about to be sent.
//!
//! Bytes are kept once per turn in a [table](super::table); a connection's stage refers to them. [`outbox`](super::outbox)
//! writes them.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_proto::ClientId;
use slab::Slab;

use super::{conn::Conn, limits::ShardLimits, table::Table, tally::Tally};
use crate::{
    defaults,
    fanout::{Item, SubKey},
    wire::{Dialect, Encoding, Notice, Speaker, Spoken},
};

/// The connections, and what is on its way to them.
pub(super) struct Outgoing {
    pub(super) conns: Slab<Conn>,
    /// By number, of those that connections here speak.
    pub(super) dialects: Vec<Arc<dyn Dialect>>,
    pub(super) limits: ShardLimits,
    /// The bytes of this turn, referred to by index from connections' stages.
    pub(super) frames: Table,
    /// What a connection calls its own of what it is about to be sent.
    pub(super) own: Vec<u8>,
    /// What the connection whose door runs is about to be sent.
    pub(super) replies: Vec<u8>,
    /// Connections written to in this turn.
    pub(super) dirty: Vec<u32>,
    /// Connections whose backlog went over its bound in this turn.
    pub(super) overflowed: Vec<u32>,
    /// Connections to be dropped at the end of this turn.
    pub(super) dead: Vec<u32>,
    pub(super) scratch: Vec<u8>,
    pub(super) tally: Tally,
}

impl Outgoing {
    /// Without connections yet.
    pub(super) fn new(limits: ShardLimits) -> Self {
        Self {
            conns: Slab::new(),
            dialects: Vec::new(),
            limits,
            frames: Table::default(),
            own: Vec::new(),
            replies: Vec::new(),
            dirty: Vec::new(),
            overflowed: Vec::new(),
            dead: Vec::new(),
            scratch: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Notes what a newcomer speaks.
    pub(super) fn learn(&mut self, spoken: &Spoken) {
        let index = spoken.encoding().dialect.index();
        if index >= self.dialects.len() {
            // Whatever number lies between belongs to a dialect that nobody here speaks yet.
            self.dialects.resize_with(index + 1, || spoken.dialect().clone());
        }
        self.dialects[index] = spoken.dialect().clone();
    }

    /// Makes the bytes of an encoding that some connection here has.
    pub(super) fn speaker_in(&self, encoding: Encoding) -> Speaker<'_> {
        Speaker::new(encoding, &*self.dialects[encoding.dialect.index()])
    }

    /// Makes a connection's bytes.
    pub(super) fn speaker_of(&self, slot: u32) -> Speaker<'_> {
        self.speaker_in(self.conns[slot as usize].encoding)
    }

    /// Adds a frame of this turn's table to what a connection gets.
    #[inline]
    pub(super) fn stage(&mut self, slot: u32, frame: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        if conn.staged.is_full() {
            return self.stage_into_full(slot, frame);
        }
        // Noted with the first frame only, so that a connection is seldom in the list twice.
        if conn.staged.is_empty() {
            self.dirty.push(slot);
        }
        conn.staged.push(frame);
    }

    #[inline(never)]
    fn stage_into_full(&mut self, slot: u32, frame: u32) {
        self.write(slot);
        // Its place in `dirty` is still there, so this is written at the end of the turn.
        if let Some(conn) = self.conns.get_mut(slot as usize) {
            conn.staged.push(frame);
        }
    }

    /// Adds bytes that only this connection gets.
    pub(super) fn stage_own(&mut self, slot: u32, bytes: Bytes) {
        if !bytes.is_empty() {
            let frame = self.frames.add(bytes);
            self.stage(slot, frame);
        }
    }

    /// Adds what another thread has for a client, unless it is gone.
    pub(super) fn deliver(&mut self, slot: u32, client: ClientId, frames: Vec<Bytes>) {
        if self.is_still(slot, client) {
            frames.into_iter().for_each(|frame| self.stage_own(slot, frame));
        }
    }

    pub(super) fn is_still(&self, slot: u32, client: ClientId) -> bool {
        self.conns.get(slot as usize).is_some_and(|conn| conn.is_open() && conn.member.client == client)
    }

    /// Hands what the door said to the stage.
    pub(super) fn stage_replies(&mut self, slot: u32) {
        if !self.replies.is_empty() {
            // Copied to size: the buffer is shared by all connections, and keeps its room for the next.
            let replies = Bytes::copy_from_slice(&self.replies);
            self.replies.clear();
            self.stage_own(slot, replies);
        }
    }

    /// Adds a notice to what the connection is about to be sent.
    pub(super) fn reply_notice(&mut self, slot: u32, key: Option<SubKey>, notice: &Notice<'_>) {
        self.reply(slot, key, std::iter::once(Item::Notice(*notice)));
    }

    /// Writes early what a door said at length, so that it stops when the client does not read.
    pub(super) fn flush_if_much(&mut self, slot: u32) {
        let Some(conn) = self.conns.get(slot as usize) else { return };
        let staged: usize = conn.staged.indices().iter().map(|&frame| self.frames.get(frame).len()).sum();
        if staged > defaults::READ_PAUSE_BYTES {
            self.write(slot);
        }
    }
}
