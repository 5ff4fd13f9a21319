//! What a durable topic has on the disk, as the topic sees it: what it was restored from, and what a commit writes.

use std::{collections::VecDeque, sync::Arc};

use fanwire_proto::{Epoch, Kind, Message, Offset, TopicName};

use super::unkept::Unkept;

/// What is known of a durable topic beside its messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Its kind.
    pub kind: Kind,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its last durable offset.
    pub last: Offset,
    /// The last offset that was handed out by then. After a crash it may be far above `last`.
    pub numbered: Offset,
    /// Kind `log`: the highest offset that was removed. Kind `document`: the highest one that was merged.
    pub evicted: Offset,
    /// What of it is known to be unreadable, in the words of whoever reads it; 0 for nothing.
    pub damage: u64,
}

/// Offsets of messages that are kept together: the first and the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block {
    /// The first; it names the block.
    pub first: Offset,
    /// The last.
    pub last: Offset,
}

/// What one commit of a topic writes.
#[derive(Debug)]
pub struct Writing {
    /// The topic.
    pub name: TopicName,
    /// To be written with it.
    pub head: Option<Head>,
    /// The epoch of the messages.
    pub epoch: Epoch,
    /// The topic's kind.
    pub kind: Kind,
    /// The last durable offset before these messages.
    pub previous: Offset,
    /// New messages in offset order.
    pub entries: Vec<Unkept>,
    /// Kind `document`: what was merged, where that is new; nothing at all for one that was erased.
    pub state: Option<Vec<Unkept>>,
    /// Kinds `log` and `document`: blocks to be removed.
    pub old_blocks: Vec<Block>,
    /// Kind `latest`: keys to be removed, before the new messages are written.
    pub old_keys: Vec<Arc<str>>,
}

impl Writing {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
            && self.entries.is_empty()
            && self.state.is_none()
            && self.old_blocks.is_empty()
            && self.old_keys.is_empty()
    }

    /// The block that the new messages make.
    pub fn block(&self) -> Option<Block> {
        let (first, last) = (self.entries.first()?, self.entries.last()?);
        Some(Block { first: first.message.offset, last: last.message.offset })
    }
}

/// A durable topic as it was found.
#[derive(Debug)]
pub struct Restored {
    /// What is known of it; numbering goes on after `numbered`.
    pub head: Head,
    /// Messages in offset order, each with what makes its publish idempotent.
    pub messages: Vec<(Message, Option<String>)>,
    /// Kind `log`: their blocks in order.
    pub blocks: VecDeque<Block>,
}

/// What a topic remembers of its place on the disk.
#[derive(Debug)]
pub(super) struct OnDisk {
    /// Everything up to here is durable.
    pub(super) kept: Offset,
    blocks: VecDeque<Block>,
    /// Kind `latest`: keys that were forgotten since the last commit.
    pub(super) old_keys: Vec<Arc<str>>,
    /// As in [`Head`].
    pub(super) damage: u64,
    /// Whether the head has to be written.
    pub(super) head_is_old: bool,
    /// Whether the disk knows the topic. One that nobody has published to is not written at all: whoever comes back to
    /// it after it was forgotten, or after a restart, finds another epoch.
    is_known: bool,
}

impl OnDisk {
    /// Of a topic that was restored.
    pub(super) fn restored(head: &Head, blocks: VecDeque<Block>) -> Self {
        Self { kept: head.last, blocks, damage: head.damage, is_known: true, ..Self::unknown() }
    }

    /// Of a topic that the disk has never seen.
    pub(super) fn unknown() -> Self {
        Self {
            kept: Offset::ZERO,
            blocks: VecDeque::new(),
            old_keys: Vec::new(),
            damage: 0,
            head_is_old: true,
            is_known: false,
        }
    }

    /// Whether a commit has something to do beside new messages.
    pub(super) fn has_changes(&self, evicted: Offset) -> bool {
        (self.head_is_old && self.is_known)
            || !self.old_keys.is_empty()
            // A block goes when nothing of it is kept any more: blocks are never rewritten.
            || self.blocks.front().is_some_and(|block| block.last <= evicted)
    }

    /// Takes the blocks that hold nothing above `evicted`, at most so many.
    pub(super) fn take_old_blocks(&mut self, evicted: Offset, most: usize) -> Vec<Block> {
        let old = self.blocks.iter().take(most).take_while(|block| block.last <= evicted).count();
        self.blocks.drain(..old).collect()
    }

    /// What was written is durable.
    pub(super) fn written(&mut self, writing: &Writing) {
        self.is_known |= writing.head.is_some();
        if let Some(block) = writing.block() {
            self.kept = block.last;
            // Values are found by their keys, and replaced there.
            if writing.kind != Kind::Latest {
                self.blocks.push_back(block);
            }
        }
    }

    /// What was to be written is not there.
    pub(super) fn not_written(&mut self, writing: &mut Writing) {
        self.head_is_old |= writing.head.is_some();
        // In front again, in their order: what goes first is the oldest.
        writing.old_blocks.drain(..).rev().for_each(|block| self.blocks.push_front(block));
        self.old_keys.append(&mut writing.old_keys);
    }
}
