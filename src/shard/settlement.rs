//! What became of a message that its publisher's connection has waited for: its door is told.

use fanwire_proto::{ClientId, TopicName};

use super::{
    Shard,
    door::{Cx, Door},
};
use crate::topic::Receipt;

/// The outcome of one publish, for the connection that made it.
#[derive(Debug)]
pub struct Settlement {
    /// The connection's place in its shard.
    pub slot: u32,
    /// Who it is; by the time this comes, the place may be another one's.
    pub client: ClientId,
    /// The door's own number for the request.
    pub id: Option<u64>,
    /// The topic.
    pub topic: TopicName,
    /// Where the message is, if it is durable; nothing if it could not be written.
    pub receipt: Option<Receipt>,
}

impl Shard {
    /// Tells the doors of those connections that are still there.
    pub(super) fn hand_out(&mut self, mut settlements: Vec<Settlement>) {
        // Stable, so that each connection hears of its messages in their order, and of all in one go.
        settlements.sort_by_key(|settlement| settlement.slot);
        for of_one in settlements.chunk_by(|a, b| a.slot == b.slot) {
            let slot = of_one[0].slot;
            let Some(conn) = self.core.out.conns.get(slot as usize).filter(|conn| conn.is_open()) else {
                continue;
            };
            let client = conn.member.client;
            for settlement in of_one.iter().filter(|settlement| settlement.client == client) {
                self.doors[slot as usize].settled(&mut Cx { core: &mut self.core, slot }, settlement);
            }
            self.core.out.stage_replies(slot);
        }
    }
}
