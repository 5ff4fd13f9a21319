//! Answers that come later than the command: what another thread has for a connection.

use fanwire_proto::{ClientId, Event};

use super::core::Core;
use crate::frames;

/// An event for one connection.
#[derive(Debug)]
pub struct Letter {
    /// The connection's place in its shard.
    pub slot: u32,
    /// Who it is; by the time the letter comes, the place may be another one's.
    pub client: ClientId,
    /// What it is to be told.
    pub event: Event,
}

impl Core {
    /// Hands letters to those connections that are still there.
    pub(super) fn hand_out(&mut self, mut letters: Vec<Letter>) {
        // Stable, so that each connection gets its letters in their order, and all of them in one go.
        letters.sort_by_key(|letter| letter.slot);
        for of_one in letters.chunk_by(|a, b| a.slot == b.slot) {
            let slot = of_one[0].slot;
            let Some(conn) = self.conns.get(slot as usize) else { continue };
            let (client, format, open) = (conn.member.client, conn.wire, conn.is_open());
            for letter in of_one.iter().filter(|letter| open && letter.client == client) {
                frames::append_event(&mut self.replies, format, &letter.event);
            }
            self.stage_replies(slot);
        }
    }
}
