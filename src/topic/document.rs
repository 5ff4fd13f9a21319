//! What a document topic keeps: a log whose beginning may be replaced by one update that stands for it.
//!
//! The replacement has the offset of the last update it stands for. So a reader that is somewhere before it gets it as the
//! next message, and has everything: no gap, no case of its own.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_proto::{Message, Offset, Payload, TopicName};

use super::{Draft, KeyCount, Merging, Placed, Refusal, Unkept, log::Log, weight::Weight};
use crate::{
    defaults,
    memory::{Account, Class, Memory},
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
    /// Refuses when what is merged is over the bound, merging does not keep up, whoever made the document has no room left for its
    /// own, or it is one of the largest while there is little for all.
    pub(super) fn check_room(&self, bounds: &Merging, draft: &Draft) -> Result<(), Refusal> {
        self.weight.check_own_room(draft.payload.len() + defaults::UPDATE_OVERHEAD_BYTES, &draft.by)?;
        self.weight.check_level()?;
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
        // Kept, with the share and the account that it is on.
        let mut weight = std::mem::take(&mut self.weight);
        weight.set(0);
        // Unwritten, so that the next commit removes what the disk has; what is on its way there stays below.
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
        // One alone is as merged as it can be.
        !self.merging && self.fresh > 0 && self.log.messages.len() >= self.patience.max(2) && enough
    }

    /// Whether memory for its content is short.
    pub(super) fn is_tight(&self) -> bool {
        self.weight.is_tight()
    }

    /// Bytes of its content.
    pub(super) const fn bytes(&self) -> usize {
        self.weight.bytes()
    }

    /// Has its content weigh on the memory that documents share.
    pub(super) fn weigh_on(&mut self, memory: &Memory, account: Option<Arc<Account>>) {
        self.weight.move_document_to(memory.share(Class::Documents), account);
    }

    /// Whether it is to be merged now; then nobody else is told so until that is done.
    pub(super) fn claim_merge(&mut self, bounds: &Merging, is_idle: bool) -> bool {
        let due = self.is_due(bounds, is_idle);
        self.merging |= due;
        due
    }

    /// Replaces the updates up to an offset by one that stands for all of them but those `apart`.
    pub(super) fn merged(&mut self, topic: &TopicName, upto: Offset, state: Bytes, apart: &[Offset]) {
        self.merging = false;
        self.patience = 0;
        self.failed = false;
        debug_assert!(!apart.contains(&upto), "the state has a place of its own");
        let end = self.log.index_after(upto);
        let Some(last) = end.checked_sub(1).and_then(|index| self.log.messages.get(index)) else {
            return;
        };
        let time = last.message.time;
        // In order, as they were found: there may be as many as there are updates.
        let kept = |update: &Arc<Placed>| apart.binary_search(&update.message.offset).is_ok();
        // These stand before `upto`, which is in the state.
        let mut front: Vec<_> = self.log.messages.drain(..end).filter(kept).collect();
        let message = Message {
            topic: topic.clone(),
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
            self.log.messages.push_front(update);
        }
        self.merged_upto = upto;
        self.unwritten = true;
        self.count();
    }

    /// It was not merged, and is not before there are so many updates.
    pub(super) fn not_merged(&mut self, patience: usize, failed: bool) {
        self.merging = false;
        self.failed = failed;
        self.patience = patience;
    }

    /// Whether it is kept as it came because it could not be merged.
    pub(super) fn is_set_aside(&self) -> bool {
        self.failed
    }
}
