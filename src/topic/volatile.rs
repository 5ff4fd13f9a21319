//! Kind `volatile`: only what is on its way.

use std::{collections::VecDeque, sync::Arc};

use fanwire_proto::Offset;

use super::{
    Placed,
    measure::{take_batch, weight_of},
};
use crate::defaults;

/// Only what the shards have not taken over yet.
#[derive(Debug, Default)]
pub(super) struct Volatile {
    pub(super) messages: VecDeque<Arc<Placed>>,
    bytes: usize,
}

impl Volatile {
    /// Returns how many older messages had to go unseen by some shard.
    pub(super) fn push(&mut self, message: Arc<Placed>) -> u64 {
        self.bytes += message.cost();
        self.messages.push_back(message);
        let mut lost = 0;
        let over = |ring: &Self| {
            ring.bytes > defaults::UNPULLED_BYTES || ring.messages.len() > defaults::UNPULLED_COUNT
        };
        // The newest stays whatever its size, or one over the bound would reach nobody.
        while over(self) && self.messages.len() > 1 {
            self.pop();
            lost += 1;
        }
        lost
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        weight_of(self.messages.len(), self.bytes)
    }

    pub(super) fn prune(&mut self, pinned_after: Offset) {
        while self.messages.front().is_some_and(|front| front.message.offset <= pinned_after) {
            self.pop();
        }
    }

    pub(super) fn batch_after(&self, offset: Offset, budget: usize) -> Vec<Arc<Placed>> {
        let start = self.messages.partition_point(|entry| entry.message.offset <= offset);
        take_batch(self.messages.range(start..), budget)
    }

    fn pop(&mut self) {
        if let Some(front) = self.messages.pop_front() {
            self.bytes -= front.cost();
        }
    }
}
