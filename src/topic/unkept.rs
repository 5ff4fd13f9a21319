//! Messages of a durable topic that are numbered but not durable yet, and who waits for them to be.
//!
//! ```text
//!          publish                 a commit begins            it succeeds
//! (draft) ─────────► gathering ───────────────────► taken ──────────────────► kept: shown, and its receipt made
//!                       ▲                             │
//!                       └──────────it fails───────────┘
//! ```
//! There is one commit at a time, so messages become durable in the order of their offsets.

use std::collections::VecDeque;

use fanwire_proto::{ClientId, Message, Offset, Position};

use super::{Asker, Refusal};
use crate::defaults;

/// A message on its way to the disk.
#[derive(Debug)]
pub struct Unkept {
    /// The message.
    pub message: Message,
    /// What makes its publish idempotent, [scoped](crate::memory::Owner::scoped) to its publisher.
    pub message_id: Option<String>,
    /// The client that does not get it. Not kept: after a restart there is no such client.
    pub not_to: Option<ClientId>,
}

impl Unkept {
    fn cost(&self) -> usize {
        self.message.payload.len() + self.message_id.as_ref().map_or(0, String::len)
    }
}

/// Somebody who waits for a message.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) asker: Asker,
    /// Where the message is to be.
    pub(super) at: Position,
    /// Whether it had been published before.
    pub(super) duplicate: bool,
}

/// What waits for the disk.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    entries: VecDeque<Unkept>,
    /// Messages that a commit under way has taken.
    taken: usize,
    /// Of both.
    bytes: usize,
    askers: Vec<Waiting>,
    /// Whether the topic waits for a commit to begin.
    queued: bool,
}

impl Gathering {
    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.taken
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether nothing waits, and no commit is about to begin.
    pub(super) fn is_idle(&self) -> bool {
        self.is_empty() && !self.queued
    }

    pub(super) fn check_room(&self) -> Result<(), Refusal> {
        // The last one may go over the bytes, or one that is larger than they are would never be taken.
        match self.len() >= defaults::UNKEPT_COUNT || self.bytes > defaults::UNKEPT_BYTES {
            true => Err(Refusal::Overloaded),
            false => Ok(()),
        }
    }

    pub(super) fn push(&mut self, entry: Unkept) {
        self.bytes += entry.cost();
        self.entries.push_back(entry);
    }

    pub(super) fn wait(&mut self, waiting: Waiting) {
        if !waiting.asker.is_nobody() {
            self.askers.push(waiting);
        }
    }

    /// True when the topic has to be queued for a commit now.
    pub(super) fn queue(&mut self) -> bool {
        !std::mem::replace(&mut self.queued, true)
    }

    /// Hands out everything for a commit that begins.
    pub(super) fn take(&mut self) -> Vec<Unkept> {
        // From here on the next publish queues the topic anew: it is not in this commit.
        self.queued = false;
        self.taken = self.entries.len();
        self.entries.drain(..).collect()
    }

    /// The commit succeeded; returns those who waited for these messages.
    pub(super) fn kept(&mut self, upto: Offset, entries: &[Unkept]) -> Vec<Waiting> {
        self.taken = 0;
        self.bytes -= entries.iter().map(Unkept::cost).sum::<usize>();
        // Most often: then whoever waits, waits for what has just been kept.
        if self.entries.is_empty() {
            return std::mem::take(&mut self.askers);
        }
        let (kept, waiting) =
            std::mem::take(&mut self.askers).into_iter().partition(|waiting| waiting.at.offset <= upto);
        self.askers = waiting;
        kept
    }

    /// The commit failed: its messages wait for the next one, but nobody is left waiting for them.
    pub(super) fn not_kept(&mut self, entries: Vec<Unkept>) -> Vec<Waiting> {
        self.taken = 0;
        // Before what has come since: offsets become durable in their order.
        entries.into_iter().rev().for_each(|entry| self.entries.push_front(entry));
        // Those of newer messages, too: when the store comes back nobody knows.
        std::mem::take(&mut self.askers)
    }
}
