//! What a document topic keeps: a log whose beginning may be replaced by one update that stands for it.
//!
//! The replacement has the offset of the last update it stands for. So a reader that is somewhere before it gets it as the
//! next message, and has everything: no gap, no case of its own.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_proto::{Message, Offset, Payload, Position};

use super::{
    Refusal, Unkept, Updates,
    rule::{KindRule, Merging},
    state::State,
    store::{Log, Store},
    weight::Weight,
};
use crate::{
    defaults,
    memory::{Charge, Class, Memory},
    topic::{KeyCount, Placed},
};

/// Updates in offset order. Invariant: applied in any order, they are the document.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) log: Log,
    /// Bytes that were merged: of what is in front, and of what had to be left apart.
    merged_bytes: usize,
    /// Everything up to here was merged, or left apart.
    pub(super) merged_upto: Offset,
    /// What was merged is not on the disk yet, should it go there.
    unwritten: bool,
    /// Updates that are not merged yet.
    fresh: usize,
    /// Somebody is merging.
    merging: bool,
    weight: Weight,
    /// Merging it failed the last time.
    failed: bool,
    /// The last try came to nothing; until there are so many updates there is no other one.
    patience: usize,
}

impl Document {
    /// Refuses when what is merged is over the bound, or merging does not keep up.
    pub(super) fn check_room(&self, bounds: &Merging) -> Result<(), Refusal> {
        if self.merged_bytes >= bounds.max_bytes {
            return Err(Refusal::DocumentFull(bounds.max_bytes));
        }
        let allowed = bounds.max_bytes.saturating_add(defaults::UNPULLED_BYTES);
        match self.log.bytes - self.merged_bytes > allowed || self.fresh > defaults::UNPULLED_COUNT {
            true => Err(Refusal::Overloaded),
            false => Ok(()),
        }
    }

    pub(super) fn push(&mut self, update: Arc<Placed>) {
        if update.message.offset <= self.merged_upto {
            // It was on its way to the disk when the document was erased.
            return;
        }
        self.log.push(update);
        self.fresh += 1;
        self.weigh();
    }

    pub(super) fn is_unwritten(&self) -> bool {
        self.unwritten
    }

    /// What a commit is to write of what was merged.
    pub(super) fn take_unwritten(&mut self) -> Option<Vec<Unkept>> {
        let unkept =
            |update: &Arc<Placed>| Unkept { message: update.message.clone(), message_id: None, not_to: None };
        std::mem::take(&mut self.unwritten).then(|| self.front().map(unkept).collect())
    }

    pub(super) fn not_written(&mut self, state: bool) {
        self.unwritten |= state;
    }

    /// Forgets everything up to an offset.
    pub(super) fn erase(&mut self, upto: Offset) {
        let mut weight = std::mem::take(&mut self.weight);
        weight.set(0);
        *self = Self { merged_upto: upto, unwritten: true, weight, ..Self::default() };
    }

    /// All updates are here, and those up to an offset were merged.
    pub(super) fn restored(&mut self, merged_upto: Offset) {
        self.merged_upto = merged_upto;
        self.count();
    }

    fn front(&self) -> impl Iterator<Item = &Arc<Placed>> {
        self.log.messages.range(..self.log.index_after(self.merged_upto))
    }

    fn count(&mut self) {
        self.merged_bytes = self.front().map(|update| update.cost()).sum();
        self.log.bytes = self.log.messages.iter().map(|update| update.cost()).sum();
        self.fresh = self.log.messages.len() - self.log.index_after(self.merged_upto);
        self.weigh();
    }

    fn weigh(&mut self) {
        self.weight.set(self.log.bytes + self.log.messages.len() * defaults::UPDATE_OVERHEAD_BYTES);
    }

    fn is_due(&self, bounds: &Merging, is_idle: bool) -> bool {
        let bytes = self.log.bytes - self.merged_bytes;
        // A larger document costs more to merge, so that is done less often.
        let enough_bytes = bytes >= defaults::MERGE_BYTES.max(self.merged_bytes / 2);
        let enough_updates = self.fresh >= bounds.updates.max(self.merged_bytes / defaults::MERGE_BYTES * 32);
        let enough = enough_bytes || enough_updates || is_idle;
        !self.merging && self.fresh > 0 && self.log.messages.len() >= self.patience.max(2) && enough
    }
}

impl Updates {
    /// The bytes of the updates after an offset.
    pub fn after(&self, offset: Offset) -> impl Iterator<Item = &[u8]> {
        let newer = self.updates.iter().filter(move |update| update.message.offset > offset);
        newer.filter_map(|update| match &update.message.payload {
            Payload::Bytes(bytes) => Some(bytes.as_ref()),
            Payload::Json(_) => None,
        })
    }
}

impl State {
    pub(super) fn weigh_on(&mut self, memory: &Memory, charge: Option<Charge>) {
        if let Store::Document(document) = &mut self.store {
            document.weight.move_to(memory.share(Class::Documents), None);
        }
        self.weight.move_to(memory.share(Class::Topics), charge);
    }

    pub(super) fn updates(&self) -> Updates {
        let updates = match &self.store {
            Store::Document(document) => document.log.messages.iter().cloned().collect(),
            _ => Vec::new(),
        };
        Updates { updates, position: self.position() }
    }

    pub(super) fn claim_merge(&mut self, now_ms: u64) -> bool {
        let is_idle = now_ms.saturating_sub(self.touched_ms) >= defaults::MERGE_IDLE_MS;
        match (&mut self.store, &self.rule.kind) {
            (Store::Document(document), KindRule::Document(bounds)) if document.is_due(bounds, is_idle) => {
                document.merging = true;
                true
            }
            _ => false,
        }
    }

    /// What a shard has not taken over yet is not merged, or the shard would pass all of it on.
    pub(super) fn mergeable(&self) -> Updates {
        let upto = self.pulled_by_all();
        let mut updates = self.updates();
        updates.updates.retain(|update| update.message.offset <= upto);
        updates.position.offset = upto;
        updates
    }

    pub(super) fn merged(&mut self, upto: Position, state: Bytes, apart: &[Offset]) {
        let pinned_after = self.pulled_by_all();
        let Store::Document(document) = &mut self.store else { return };
        if upto.epoch != self.epoch {
            // It was erased meanwhile.
            return;
        }
        let upto = upto.offset;
        document.merging = false;
        document.patience = 0;
        document.failed = false;
        debug_assert!(upto <= pinned_after, "positions only move on");
        debug_assert!(!apart.contains(&upto), "the state has a place of its own");
        let end = document.log.index_after(upto);
        let Some(last) = end.checked_sub(1).and_then(|index| document.log.messages.get(index)) else {
            return;
        };
        let time = last.message.time;
        let kept = |update: &Arc<Placed>| apart.contains(&update.message.offset);
        // These stand before `upto`, which is in the state.
        let mut front: Vec<_> = document.log.messages.drain(..end).filter(kept).collect();
        let message = Message {
            topic: self.name.clone(),
            offset: upto,
            time,
            payload: Payload::Bytes(state),
            key: None,
            tags: None,
            from: None,
            skipped: 0,
        };
        front.push(Arc::new(Placed::new(message, KeyCount::default())));
        for update in front.into_iter().rev() {
            document.log.messages.push_front(update);
        }
        document.merged_upto = upto;
        document.unwritten = true;
        document.count();
    }

    pub(super) fn is_set_aside(&self) -> bool {
        matches!(&self.store, Store::Document(document) if document.failed)
    }

    pub(super) fn not_merged(&mut self, patience: usize, failed: bool) {
        if let Store::Document(document) = &mut self.store {
            document.merging = false;
            document.failed = failed;
            document.patience = patience;
        }
    }
}
