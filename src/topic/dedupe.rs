//! Remembers message ids for a while, so that a repeated publish is answered with its first offset.
//!
//! An id is [scoped](crate::memory::Owner::scoped): it belongs to whoever used it. When there are too many, one of whoever has
//! the most is forgotten, so nobody pushes out another one's.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use fanwire_proto::Offset;
use rustc_hash::FxHashMap;

use super::rule::Keeping;
use crate::{defaults, memory::scope_of};

/// How many ids are remembered, and for how long.
#[derive(Clone, Copy, Debug)]
struct Window {
    count: usize,
    ms: u64,
}

/// Recent ids, bounded by age and count.
///
/// Invariant: the ids of all scopes are those of `offset_of`; `by_age` has each of them, in order, and maybe some that are
/// forgotten.
#[derive(Debug)]
pub(super) struct Dedupe {
    window: Window,
    offset_of: FxHashMap<Arc<str>, Offset>,
    by_age: VecDeque<(u64, Offset, Arc<str>)>,
    scopes: Scopes,
    /// Of all ids.
    bytes: usize,
}

/// The ids of each publisher, oldest first. Most topics have one publisher with ids at most.
#[derive(Debug, Default)]
struct Scopes {
    ids: FxHashMap<Arc<str>, VecDeque<Arc<str>>>,
    by_count: BTreeSet<(usize, Arc<str>)>,
}

impl Scopes {
    fn push(&mut self, id: Arc<str>) {
        let scope: Arc<str> = match self.ids.get_key_value(scope_of(&id)) {
            Some((scope, _)) => scope.clone(),
            None => scope_of(&id).into(),
        };
        let ids = self.ids.entry(scope.clone()).or_default();
        self.by_count.remove(&(ids.len(), scope.clone()));
        ids.push_back(id);
        self.by_count.insert((ids.len(), scope));
    }

    /// Removes the oldest id of a scope.
    fn pop(&mut self, scope: &str) -> Option<Arc<str>> {
        let scope = self.ids.get_key_value(scope)?.0.clone();
        let ids = self.ids.get_mut(&scope)?;
        self.by_count.remove(&(ids.len(), scope.clone()));
        let oldest = ids.pop_front();
        match ids.len() {
            0 => drop(self.ids.remove(&scope)),
            left => drop(self.by_count.insert((left, scope))),
        }
        oldest
    }

    /// Removes the oldest id of whoever has the most.
    fn pop_of_largest(&mut self) -> Option<Arc<str>> {
        let scope = self.by_count.last()?.1.clone();
        self.pop(&scope)
    }
}

impl Dedupe {
    /// The window of a topic. Whoever publishes to a durable one tries again for as long as the broker is away.
    pub(super) fn new(keeping: Keeping) -> Self {
        let window = match keeping.is_durable() {
            false => Window { count: defaults::DEDUPE_COUNT, ms: defaults::DEDUPE_MS },
            true => Window { count: defaults::DURABLE_DEDUPE_COUNT, ms: defaults::DURABLE_DEDUPE_MS },
        };
        let (offset_of, by_age) = Default::default();
        Self { window, offset_of, by_age, scopes: Scopes::default(), bytes: 0 }
    }

    /// Where the message with this id went, if it was published within the window.
    pub(super) fn find(&mut self, id: &str, now_ms: u64) -> Option<Offset> {
        self.expire(now_ms);
        self.offset_of.get(id).copied()
    }

    pub(super) fn remember(&mut self, id: &str, offset: Offset, now_ms: u64) {
        let id: Arc<str> = id.into();
        if self.offset_of.insert(id.clone(), offset).is_none() {
            self.bytes += cost(&id);
            self.scopes.push(id.clone());
        }
        // With its offset: an id that was forgotten and used again has two entries, of which only the newer counts.
        self.by_age.push_back((now_ms, offset, id));
        while self.offset_of.len() > self.window.count
            && let Some(oldest) = self.scopes.pop_of_largest()
        {
            self.offset_of.remove(&oldest);
            self.bytes -= cost(&oldest);
        }
        // What is forgotten before its time goes from here in one go, whose cost is spread over as many publishes.
        if self.by_age.len() > 2 * self.window.count {
            let known = &self.offset_of;
            self.by_age.retain(|(_, offset, id)| known.get(id) == Some(offset));
        }
    }

    pub(super) fn expire(&mut self, now_ms: u64) {
        let oldest = now_ms.saturating_sub(self.window.ms);
        while let Some((at, offset, id)) = self.by_age.front()
            && *at < oldest
        {
            if self.offset_of.get(id) == Some(offset) {
                self.offset_of.remove(id);
                self.bytes -= cost(id);
                // Of its scope it is the oldest, too.
                self.scopes.pop(scope_of(id));
            }
            self.by_age.pop_front();
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offset_of.is_empty()
    }

    /// About how many bytes it takes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost(id: &str) -> usize {
    id.len() + defaults::MESSAGE_ID_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        defaults::{DEDUPE_COUNT, DEDUPE_MS},
        memory::Owner,
    };

    #[test]
    fn an_id_is_known_for_the_window_only() {
        let mut dedupe = Dedupe::new(Keeping::Memory);
        dedupe.remember("a", Offset(1), 1_000);
        assert_eq!(dedupe.find("a", 1_000 + DEDUPE_MS), Some(Offset(1)));
        assert_eq!(dedupe.find("a", 1_001 + DEDUPE_MS), None);
        assert!(dedupe.is_empty());
        assert_eq!(dedupe.bytes(), 0);
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

    #[test]
    fn nobody_pushes_out_what_another_one_used() {
        let mut dedupe = Dedupe::new(Keeping::Memory);
        let (alice, flood) = (Owner::User("alice".into()), Owner::User("flood".into()));
        dedupe.remember(&alice.scoped("mine"), Offset(1), 0);
        for id in 0..3 * DEDUPE_COUNT as u64 {
            dedupe.remember(&flood.scoped(&id.to_string()), Offset(id + 2), 0);
        }
        assert_eq!(dedupe.find(&alice.scoped("mine"), 1), Some(Offset(1)));
        assert_eq!(dedupe.offset_of.len(), DEDUPE_COUNT);
        assert!(dedupe.by_age.len() <= 2 * DEDUPE_COUNT);
        dedupe.expire(DEDUPE_MS + 1);
        assert!(dedupe.is_empty() && dedupe.by_age.is_empty() && dedupe.scopes.ids.is_empty());
        assert!(dedupe.scopes.by_count.is_empty() && dedupe.bytes() == 0);
    }

    proptest! {
        /// Whatever comes in whatever order, what is known is counted once everywhere.
        #[test]
        fn the_books_agree(steps in prop::collection::vec((0..4_u8, 0..30_u8, 0..50_u64), 0..200)) {
            let mut dedupe = Dedupe { window: Window { count: 8, ms: 100 }, ..Dedupe::new(Keeping::Memory) };
            let mut now = 0;
            for (index, (user, id, later)) in steps.into_iter().enumerate() {
                now += later;
                let id = Owner::User(user.to_string().into()).scoped(&id.to_string());
                if dedupe.find(&id, now).is_none() {
                    dedupe.remember(&id, Offset(index as u64 + 1), now);
                }
                let ids: usize = dedupe.scopes.ids.values().map(VecDeque::len).sum();
                prop_assert_eq!(ids, dedupe.offset_of.len());
                prop_assert!(ids <= 8 && dedupe.by_age.len() <= 17);
                prop_assert_eq!(dedupe.scopes.by_count.len(), dedupe.scopes.ids.len());
                prop_assert_eq!(dedupe.bytes, dedupe.offset_of.keys().map(|id| cost(id)).sum::<usize>());
            }
        }
    }
}
