//! A durable topic's side of a commit: what it writes, what becomes of it, and coming back from the disk.

use std::sync::Arc;

use fanwire_proto::{Offset, TopicName};

use super::{
    FeedRef, NotPlaced, Restored, Settled, Writing,
    kept::{Head, OnDisk},
    rule::{Keeping, Rule},
    state::State,
    store::Store,
    unkept::Waiting,
};
use crate::defaults;

impl State {
    /// A durable topic as it was found.
    pub(super) fn restore(name: TopicName, rule: Arc<Rule>, restored: Restored, now_ms: u64) -> Self {
        let Restored { head, messages, blocks } = restored;
        let mut state = Self::new(name, rule, head.epoch, now_ms);
        for (message, message_id) in messages {
            if let Some(id) = message_id {
                state.dedupe.remember(&id, message.offset, message.time);
            }
            state.show(message, None);
        }
        if let Store::Log(log) = &mut state.store {
            log.evicted = head.evicted;
        }
        if let Store::Document(document) = &mut state.store {
            document.restored(head.evicted);
        }
        // After the messages: those that were the newest may have been removed, and numbers go on all the same.
        state.last = head.last;
        state.numbered = head.numbered;
        state.on_disk = OnDisk::restored(&head, blocks);
        state.prune(now_ms);
        state.weigh();
        state
    }

    /// What a commit that begins now has to write.
    pub(super) fn begin_commit(&mut self) -> Writing {
        let evicted = self.evicted();
        let entries = self.gathering.take();
        let old_blocks = self.on_disk.take_old_blocks(evicted, defaults::COMMIT_OLD_BLOCKS);
        let old_keys = std::mem::take(&mut self.on_disk.old_keys);
        let state = match &mut self.store {
            Store::Document(document) => document.take_unwritten(),
            _ => None,
        };
        let last = entries.last().map_or(self.on_disk.kept, |entry| entry.message.offset);
        // Without the messages that said so, only the head knows where a topic was.
        let with_head =
            self.on_disk.head_is_old || state.is_some() || !old_blocks.is_empty() || !old_keys.is_empty();
        // The commit that fails says so again; what changes while it is under way is for the next one.
        self.on_disk.head_is_old = false;
        let kind = self.rule.kind.kind();
        let (epoch, numbered, damage) = (self.epoch, self.numbered, self.on_disk.damage);
        let head = with_head.then_some(Head { kind, epoch, last, numbered, evicted, damage });
        Writing {
            name: self.name.clone(),
            head,
            epoch: self.epoch,
            kind,
            // What the block follows, by which one that was lost in between is found.
            previous: self.on_disk.kept,
            entries,
            state,
            old_blocks,
            old_keys,
        }
    }

    /// What was written is durable; returns who waited for it, with receipts.
    pub(super) fn committed(
        &mut self,
        writing: Writing,
        now_ms: u64,
        notify: impl FnMut(FeedRef),
    ) -> Vec<Settled> {
        self.on_disk.written(&writing);
        let waited = self.gathering.kept(self.on_disk.kept, &writing.entries);
        let placed = |Waiting { asker, at, duplicate }| {
            // Nothing durable is dropped to make room.
            Settled { asker, outcome: Ok(self.receipt(at, duplicate, 0)) }
        };
        let settled = waited.into_iter().map(placed).collect();
        // Others were shown when they were numbered.
        if self.rule.keeping == Keeping::Durable && !writing.entries.is_empty() {
            writing.entries.into_iter().for_each(|entry| {
                self.show(entry.message, entry.not_to);
            });
            self.prune(now_ms);
            self.notify_feeds(notify);
        }
        self.weigh();
        settled
    }

    /// What was to be written is not durable, and will be tried again; returns who waited for it.
    pub(super) fn not_committed(&mut self, mut writing: Writing) -> Vec<Settled> {
        self.on_disk.not_written(&mut writing);
        if let Store::Document(document) = &mut self.store {
            document.not_written(writing.state.is_some());
        }
        let waited = self.gathering.not_kept(writing.entries).into_iter();
        let not_placed = |Waiting { asker, .. }| Settled { asker, outcome: Err(NotPlaced::NotKept) };
        waited.map(not_placed).collect()
    }

    /// Whether a commit has to be begun; says so once.
    pub(super) fn wants_commit(&mut self) -> bool {
        let work = !self.gathering.is_empty() || self.has_changes();
        self.rule.keeping.is_durable() && work && self.gathering.queue()
    }

    pub(super) fn evicted(&self) -> Offset {
        match &self.store {
            Store::Log(log) => log.evicted,
            Store::Document(document) => document.merged_upto,
            Store::Latest(_) | Store::Volatile(_) => Offset::ZERO,
        }
    }

    /// Whether a commit has something to do beside new messages.
    pub(super) fn has_changes(&self) -> bool {
        let merged = matches!(&self.store, Store::Document(document) if document.is_unwritten());
        merged || self.on_disk.has_changes(self.evicted())
    }
}
