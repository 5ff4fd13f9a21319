//! What a topic keeps, one struct per kind.
//!
//! Each keeps two things: what its kind promises (history, values, nothing) and what the shards have not yet taken
//! over, which is therefore pinned whatever the bounds say.

use std::{collections::VecDeque, sync::Arc};

use fanwire_proto::Offset;

use super::{
    Refusal,
    conflated::Conflated,
    document::Document,
    rule::{KindRule, Retention},
};
use crate::{
    defaults,
    topic::{KeyCount, Placed},
};

/// The content of a topic.
#[derive(Debug)]
pub(super) enum Store {
    Log(Log),
    Latest(Latest),
    Volatile(Volatile),
    Document(Document),
}

impl Store {
    pub(super) fn new(rule: &KindRule) -> Self {
        match rule {
            KindRule::Log(_) => Self::Log(Log::default()),
            KindRule::Latest { .. } => Self::Latest(Latest::default()),
            KindRule::Volatile { .. } => Self::Volatile(Volatile::default()),
            KindRule::Document(_) => Self::Document(Document::default()),
        }
    }

    /// About how many bytes it takes; documents count their content themselves.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Log(log) => log.weight(),
            Self::Latest(latest) => weight_of(latest.values.len(), latest.bytes),
            Self::Volatile(ring) => weight_of(ring.messages.len(), ring.bytes),
            Self::Document(_) => 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Log(log) => log.messages.is_empty(),
            Self::Latest(latest) => latest.values.is_empty(),
            Self::Volatile(ring) => ring.messages.is_empty(),
            Self::Document(document) => document.log.messages.is_empty(),
        }
    }
}

/// About how many bytes so many messages take whose content has so many: the content and, once it was sent, its frame.
pub(super) const fn weight_of(count: usize, bytes: usize) -> usize {
    2 * bytes + count * defaults::MESSAGE_OVERHEAD_BYTES
}

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
    fn weight(&self) -> usize {
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

/// The newest value per key.
#[derive(Debug, Default)]
pub(super) struct Latest {
    pub(super) values: Conflated<Arc<Placed>>,
    bytes: usize,
}

impl Latest {
    pub(super) fn check_room(&self, key: &str, max_keys: usize) -> Result<(), Refusal> {
        if self.values.len() >= max_keys && self.values.get(key).is_none() {
            return Err(Refusal::TooManyKeys(max_keys));
        }
        Ok(())
    }

    pub(super) fn next_count(&self, key: &str, offset: Offset) -> KeyCount {
        match self.values.get(key) {
            Some(value) => KeyCount { run: value.count.run, number: value.count.number + 1 },
            None => KeyCount { run: offset, number: 1 },
        }
    }

    /// Replaces the value of a key.
    pub(super) fn put(&mut self, key: &Arc<str>, offset: Offset, value: Arc<Placed>) {
        self.bytes += value.cost();
        let older = self.values.put(key, offset, value);
        self.bytes -= older.map_or(0, |older| older.cost());
    }

    /// Forgets values older than the bound that every shard has taken over; returns their keys.
    pub(super) fn expire(&mut self, oldest_ms: u64, pinned_after: Offset) -> Vec<Arc<str>> {
        let mut gone = Vec::new();
        let is_over =
            |value: &Arc<Placed>| value.message.time < oldest_ms && value.message.offset <= pinned_after;
        while self.values.oldest().is_some_and(is_over) {
            let oldest = self.values.pop_oldest();
            self.bytes -= oldest.as_ref().map_or(0, |(_, value)| value.cost());
            gone.extend(oldest.map(|(key, _)| key));
        }
        gone
    }
}

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
        while over(self) && self.messages.len() > 1 {
            self.pop();
            lost += 1;
        }
        lost
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

/// Takes messages until their frames reach about `budget` bytes; at least one if there is one.
pub(super) fn take_batch<'a>(
    messages: impl Iterator<Item = &'a Arc<Placed>>,
    budget: usize,
) -> Vec<Arc<Placed>> {
    let mut used = 0;
    let fits = |message: &&Arc<Placed>| {
        let first = used == 0;
        used += message.weight();
        first || used <= budget
    };
    messages.take_while(fits).cloned().collect()
}

/// Saturating milliseconds of a duration.
pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
