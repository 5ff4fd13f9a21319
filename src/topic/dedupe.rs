//! Remembers message ids for a while, so that a repeated publish is answered with its first offset.

use std::{collections::VecDeque, sync::Arc};

use fanwire_proto::Offset;
use rustc_hash::FxHashMap;

use super::rule::Keeping;
use crate::defaults;

/// How many ids are remembered, and for how long.
#[derive(Clone, Copy, Debug)]
struct Window {
    count: usize,
    ms: u64,
}

/// Recent ids, bounded by age and count.
#[derive(Debug)]
pub(super) struct Dedupe {
    window: Window,
    offset_of: FxHashMap<Arc<str>, Offset>,
    by_age: VecDeque<(u64, Arc<str>)>,
}

impl Dedupe {
    /// The window of a topic. Whoever publishes to a durable one tries again for as long as the broker is away.
    pub(super) fn new(keeping: Keeping) -> Self {
        let window = match keeping.is_durable() {
            false => Window { count: defaults::DEDUPE_COUNT, ms: defaults::DEDUPE_MS },
            true => Window { count: defaults::DURABLE_DEDUPE_COUNT, ms: defaults::DURABLE_DEDUPE_MS },
        };
        Self { window, offset_of: FxHashMap::default(), by_age: VecDeque::new() }
    }

    /// Where the message with this id went, if it was published within the window.
    pub(super) fn find(&mut self, id: &str, now_ms: u64) -> Option<Offset> {
        self.expire(now_ms);
        self.offset_of.get(id).copied()
    }

    pub(super) fn remember(&mut self, id: &str, offset: Offset, now_ms: u64) {
        let id: Arc<str> = id.into();
        self.by_age.push_back((now_ms, id.clone()));
        self.offset_of.insert(id, offset);
        if self.by_age.len() > self.window.count {
            self.forget_oldest();
        }
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        let oldest = now_ms.saturating_sub(self.window.ms);
        while self.by_age.front().is_some_and(|(at, _)| *at < oldest) {
            self.forget_oldest();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.by_age.pop_front() {
            self.offset_of.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defaults::{DEDUPE_COUNT, DEDUPE_MS};

    #[test]
    fn an_id_is_known_for_the_window_only() {
        let mut dedupe = Dedupe::new(Keeping::Memory);
        dedupe.remember("a", Offset(1), 1_000);
        assert_eq!(dedupe.find("a", 1_000 + DEDUPE_MS), Some(Offset(1)));
        assert_eq!(dedupe.find("a", 1_001 + DEDUPE_MS), None);
        assert!(dedupe.is_empty());
    }

    #[test]
    fn the_count_is_bounded() {
        let mut dedupe = Dedupe::new(Keeping::Memory);
        for id in 0..=DEDUPE_COUNT as u64 {
            dedupe.remember(&id.to_string(), Offset(id + 1), 0);
        }
        assert_eq!(dedupe.find("0", 0), None);
        assert_eq!(dedupe.find("1", 0), Some(Offset(2)));
    }
}
