//! Telling doors what became of the messages that their connections have waited for.

use slab::Slab;

use super::{
    core::Core,
    door::{Cx, Door},
    guarded::Guarded,
};
use crate::topic::Settlement;

/// Tells the doors of those connections that are still there.
pub(super) fn hand_out(core: &mut Core, doors: &mut Slab<Guarded>, mut settlements: Vec<Settlement>) {
    // Stable, so that each connection hears of its messages in their order, and of all in one go.
    settlements.sort_by_key(|settlement| settlement.slot);
    for of_one in settlements.chunk_by(|a, b| a.slot == b.slot) {
        let slot = of_one[0].slot;
        let Some(conn) = core.out.conns.get(slot as usize).filter(|conn| conn.is_open()) else {
            continue;
        };
        let client = conn.member.client;
        // The slot may be another client's by now, who waits for nothing of this.
        for settlement in of_one.iter().filter(|settlement| settlement.client == client) {
            doors[slot as usize].settled(&mut Cx { core, slot }, settlement);
        }
        core.out.stage_replies(slot);
    }
}
