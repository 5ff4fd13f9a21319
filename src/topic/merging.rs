//! What is done to the document of a topic, under its lock: read, merged, erased.

use bytes::Bytes;
use fanwire_proto::{Epoch, Offset, Position};

use super::{KindRule, Updates, dedupe::Dedupe, state::State, store::Store};
use crate::defaults;

impl State {
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
            (Store::Document(document), KindRule::Document(bounds)) => document.claim_merge(bounds, is_idle),
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
        debug_assert!(
            upto.epoch != self.epoch || upto.offset <= self.pulled_by_all(),
            "positions only move on"
        );
        match &mut self.store {
            // Else it was erased meanwhile.
            Store::Document(document) if upto.epoch == self.epoch => {
                document.merged(&self.name, upto.offset, state, apart);
            }
            _ => {}
        }
    }

    pub(super) fn is_set_aside(&self) -> bool {
        matches!(&self.store, Store::Document(document) if document.is_set_aside())
    }

    pub(super) fn not_merged(&mut self, epoch: Epoch, patience: usize, failed: bool) {
        match &mut self.store {
            // Else it was erased meanwhile: what failed is gone, and another merge may be under way.
            Store::Document(document) if epoch == self.epoch => document.not_merged(patience, failed),
            _ => {}
        }
    }

    /// Kind `document`: forgets its content and goes on in another epoch.
    pub(super) fn erase(&mut self, epoch: Epoch) {
        let Store::Document(document) = &mut self.store else { return };
        // What waits for the disk is part of what is erased.
        document.erase(self.numbered);
        self.last = self.numbered;
        self.epoch = epoch;
        // An id that comes again would be answered with an offset of the old epoch.
        self.dedupe = Dedupe::new(self.rule.keeping);
        self.on_disk.head_is_old = true;
        // What shards have not taken over yet is erased, too.
        self.feeds.iter_mut().for_each(|feed| feed.pulled = self.numbered);
    }
}
