//! What waits for slow connections of a shard together, and whom it closes when that is too much.

use std::{cmp::Reverse, time::Duration};

use super::core::{Core, slot32};

/// How often a shard adds up what waits: it passes over all its connections, a millisecond for a hundred thousand.
const LOOK: Duration = Duration::from_secs(1);

impl Core {
    /// Once a second adds up what waits for single connections, and while that is more than the shard may hold closes those for
    /// which most waits. What several wait for, such as a large document, is there once, whoever reads it or not.
    pub(super) fn look_at_outboxes(&mut self) {
        if self.now < self.outboxes_looked_at + LOOK {
            return;
        }
        self.outboxes_looked_at = self.now;
        let held = |(slot, conn): (usize, &super::conn::Conn)| {
            conn.backlog.as_ref().map(|backlog| (slot32(slot), backlog.own_bytes()))
        };
        let mut waiting: Vec<(u32, usize)> = self.out.conns.iter().filter_map(held).collect();
        let mut all: usize = waiting.iter().map(|(_, bytes)| bytes).sum();
        self.inbox.outboxes_hold(all);
        if all <= self.out.limits.max_outboxes_bytes {
            return;
        }
        waiting.sort_unstable_by_key(|(_, bytes)| Reverse(*bytes));
        tracing::warn!(
            bytes = all,
            "connections that do not read are closed: memory for outboxes is used up"
        );
        for (slot, bytes) in waiting {
            // Down to half at once, or the next second would find the bound reached again, and close the next few.
            if all <= self.out.limits.max_outboxes_bytes / 2 {
                return;
            }
            all -= bytes;
            self.out.overflowed.push(slot);
        }
    }
}
