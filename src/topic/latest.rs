//! Kind `latest`: the newest value of each key.

use std::sync::Arc;

use fanwire_proto::Offset;

use super::{Conflated, KeyCount, Placed, Refusal, measure::weight_of};

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
            // A key that was forgotten begins a new run: what was left out before that is nothing to count.
            None => KeyCount { run: offset, number: 1 },
        }
    }

    /// About how many bytes it takes.
    pub(super) fn weight(&self) -> usize {
        weight_of(self.values.len(), self.bytes)
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
