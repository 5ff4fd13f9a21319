//! Deliveries that are kept and not published yet: a bounded number of them, half of which are shares that no source takes
//! from another, and half for whoever comes.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use super::record::DeliveryId;

/// By source.
#[derive(Default)]
pub(super) struct Pending(Mutex<HashMap<String, HashSet<[u8; 16]>>>);

impl Pending {
    pub(super) fn add(&self, id: &DeliveryId) {
        self.0.lock().entry(id.source.clone()).or_default().insert(id.number);
    }

    pub(super) fn remove(&self, id: &DeliveryId) {
        let mut pending = self.0.lock();
        if let Some(of_source) = pending.get_mut(&id.source) {
            of_source.remove(&id.number);
            if of_source.is_empty() {
                pending.remove(&id.source);
            }
        }
    }

    pub(super) fn contains(&self, id: &DeliveryId) -> bool {
        self.0.lock().get(&id.source).is_some_and(|of_source| of_source.contains(&id.number))
    }

    /// Whether a source may have one more, where there are so many sources and so many deliveries may wait.
    pub(super) fn has_room(&self, source: &str, sources: usize, most: usize) -> bool {
        let pending = self.0.lock();
        let share = most / (2 * sources.max(1));
        let beyond = |of_source: &HashSet<_>| of_source.len().saturating_sub(share);
        let common: usize = pending.values().map(beyond).sum();
        let own = pending.get(source).map_or(0, HashSet::len);
        // Within its own share a source is never refused; beyond it, it needs a place in the half that all have in
        // common.
        own < share || common < most - share * sources.max(1)
    }

    /// Those of an earlier run, oldest first.
    pub(super) fn all(&self) -> Vec<DeliveryId> {
        let pending = self.0.lock();
        let all = pending.iter().flat_map(|(source, numbers)| {
            numbers.iter().map(|number| DeliveryId { source: source.clone(), number: *number })
        });
        let mut all: Vec<DeliveryId> = all.collect();
        all.sort_by_key(|id| id.number);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(pending: &Pending, source: &str, sources: usize, most: usize) -> u64 {
        let mut count = 0;
        while pending.has_room(source, sources, most) {
            pending.add(&DeliveryId::new(source, count, 0));
            count += 1;
        }
        count
    }

    #[test]
    fn one_source_alone_has_all_of_it() {
        for most in [0, 1, 2, 3, 10, 101] {
            assert_eq!(fill(&Pending::default(), "a", 1, most), u64::try_from(most).unwrap());
        }
    }

    #[test]
    fn a_flood_at_one_source_leaves_the_others_their_share() {
        let pending = Pending::default();
        // Half of it for all, and a fifth of the other half.
        assert_eq!(fill(&pending, "flood", 5, 100), 60);
        for quiet in ["a", "b", "c", "d"] {
            assert_eq!(fill(&pending, quiet, 5, 100), 10, "{quiet}");
        }
        let first = pending.all().remove(0);
        pending.remove(&first);
        assert!(!pending.contains(&first) && pending.has_room(&first.source, 5, 100));
        assert_eq!(pending.all().len(), 99);
    }
}
