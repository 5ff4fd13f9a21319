//! Kind `log`: every message in order, within bounds.

use std::{collections::VecDeque, sync::Arc};

use fanwire_proto::Offset;

use super::{
    Placed, Refusal, Retention,
    measure::{millis, take_batch, weight_of},
};
use crate::defaults;

/// Messages in offset order. Invariant: everything above `evicted` that was ever published is here.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) messages: VecDeque<Arc<Placed>>,
    pub(super) bytes: usize,
    /// The highest offset that was removed.
    pub(super) evicted: Offset,
}

impl Log {
    /// Refuses when what is pinned alone is over its bound.
    pub(super) fn check_room(&self, bounds: &Retention, pinned_after: Offset) -> Result<(), Refusal> {
        let front_is_pinned = self.messages.front().is_some_and(|front| front.message.offset > pinned_after);
        let too_large = self.bytes > bounds.bytes.saturating_add(defaults::UNPULLED_BYTES);
        let too_many = self.messages.len() > bounds.count.saturating_add(defaults::UNPULLED_COUNT);
        // While the oldest may go, `prune` makes room: only what a shard has yet to take over is a reason.
        if front_is_pinned && (too_large || too_many) {
            return Err(Refusal::Overloaded);
        }
        Ok(())
    }

    pub(super) fn push(&mut self, message: Arc<Placed>) {
        self.bytes += message.cost();
        self.messages.push_back(message);
    }

    /// Removes what is over the bounds and not pinned, and what makes it weigh more than `level`.
    pub(super) fn prune(&mut self, bounds: &Retention, level: usize, pinned_after: Offset, now_ms: u64) {
        let oldest_ms = now_ms.saturating_sub(millis(bounds.age));
        while let Some(front) = self.messages.front() {
            // Of age the oldest alone is asked: those behind it are newer.
            let over = self.messages.len() > bounds.count
                || self.bytes > bounds.bytes
                || self.weight() > level
                || front.message.time < oldest_ms;
            if !over || !self.pop_oldest(pinned_after) {
                return;
            }
        }
    }

    /// Removes the oldest message, unless it is pinned.
    pub(super) fn pop_oldest(&mut self, pinned_after: Offset) -> bool {
        let Some(front) = self.messages.front().filter(|front| front.message.offset <= pinned_after) else {
            return false;
        };
        self.evicted = front.message.offset;
        self.bytes -= front.cost();
        self.messages.pop_front();
        true
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        weight_of(self.messages.len(), self.bytes)
    }

    /// Index of the first message above the offset.
    pub(super) fn index_after(&self, offset: Offset) -> usize {
        self.messages.partition_point(|entry| entry.message.offset <= offset)
    }

    /// Index of the first message at or above the offset.
    pub(super) fn index_of(&self, offset: Offset) -> usize {
        self.messages.partition_point(|entry| entry.message.offset < offset)
    }

    /// Messages above the offset, until their cost reaches `budget`; at least one if there is one.
    pub(super) fn batch_after(&self, offset: Offset, budget: usize) -> Vec<Arc<Placed>> {
        take_batch(self.messages.range(self.index_after(offset)..), budget)
    }
}
