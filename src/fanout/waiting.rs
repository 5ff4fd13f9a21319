//! Values that wait for one slow subscriber to the newest: in the order of their offsets, conflated as they pile up, sixteen bytes
//! each. A thousand that do not read the snapshot of a large topic hold as many lists of references, and one copy of the values.

use std::{collections::VecDeque, sync::Arc};

use rustc_hash::FxHashMap;

use super::connections::Item;
use crate::topic::Placed;

/// So many values are not worth going through.
const FEW: usize = 16;

/// A value that waits for one subscriber.
pub(super) struct Pending {
    pub(super) value: Arc<Placed>,
    /// Values of its key that are left out before it, after the one that is sent or waits before it.
    pub(super) skipped: u32,
}

impl Pending {
    pub(super) fn item(&self) -> Item<'_> {
        Item::Message(&self.value, self.skipped.into())
    }
}

/// What waits. The offsets go up; of each key there is one value, or for a while a few.
#[derive(Default)]
pub(super) struct Waiting {
    values: VecDeque<Pending>,
    /// Values added since there was one of each key only.
    added: usize,
}

impl Waiting {
    /// A snapshot, or its rest.
    pub(super) fn of(values: &[Arc<Placed>]) -> Self {
        let pending = |value: &Arc<Placed>| Pending { value: value.clone(), skipped: 0 };
        Self { values: values.iter().map(pending).collect(), added: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds a newer value. Returns how many were left out for newer ones.
    pub(super) fn add(&mut self, value: &Arc<Placed>, skipped: u64) -> u64 {
        let skipped = u32::try_from(skipped).unwrap_or(u32::MAX);
        self.values.push_back(Pending { value: value.clone(), skipped });
        self.added += 1;
        // So each step over a list is paid for by as many that were added.
        if self.added > FEW.max(self.values.len() / 2) { self.conflate() } else { 0 }
    }

    /// Takes values, oldest change first, until their frames reach about `budget` bytes. Returns how many were left out, too.
    pub(super) fn take(&mut self, budget: usize) -> (Vec<Pending>, u64) {
        // Beside very many a few that are not the newest any more do no harm: the newest follows.
        let left_out = if self.added > self.values.len() / 8 { self.conflate() } else { 0 };
        let (mut used, mut taken) = (0, Vec::new());
        while used < budget
            && let Some(pending) = self.values.pop_front()
        {
            used += pending.value.weight();
            taken.push(pending);
        }
        (taken, left_out)
    }

    /// Leaves out all but the newest of each key, which counts the others.
    fn conflate(&mut self) -> u64 {
        let mut newest: FxHashMap<&str, usize> = FxHashMap::default();
        // By index; none for those that go.
        let mut counts: Vec<Option<u32>> = vec![None; self.values.len()];
        for (index, pending) in self.values.iter().enumerate() {
            let key = pending.value.message.key.as_deref().unwrap_or_default();
            let before = newest.insert(key, index).and_then(|older| counts.get_mut(older)?.take());
            let skipped = before.map_or(0, |older| older.saturating_add(1)).saturating_add(pending.skipped);
            if let Some(count) = counts.get_mut(index) {
                *count = Some(skipped);
            }
        }
        let before = self.values.len();
        let mut counts = counts.into_iter();
        self.values.retain_mut(|pending| match counts.next().flatten() {
            Some(skipped) => {
                pending.skipped = skipped;
                true
            }
            None => false,
        });
        self.added = 0;
        (before - self.values.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use fanwire_proto::{Message, Offset, Payload};
    use proptest::prelude::*;

    use super::*;
    use crate::topic::KeyCount;

    fn value(key: u8, offset: u64) -> Arc<Placed> {
        let message = Message {
            topic: "t".parse().unwrap(),
            offset: Offset(offset),
            time: 0,
            payload: Payload::json("1").unwrap(),
            key: Some(key.to_string().into()),
            tags: None,
            from: None,
            skipped: 0,
        };
        Arc::new(Placed::new(message, KeyCount::default()))
    }

    proptest! {
        /// Of each key every value is sent or counted, in order, and no more wait than twice the keys there are.
        #[test]
        fn every_value_is_sent_or_counted(
            snapshot in 0..20_u8,
            steps in prop::collection::vec((prop::option::of((0..20_u8, 0..3_u64)), 0..2_000_usize), 0..200),
        ) {
            let values: Vec<_> = (0..snapshot).map(|key| value(key, u64::from(key) + 1)).collect();
            let mut waiting = Waiting::of(&values);
            let mut expected: FxHashMap<String, u64> = FxHashMap::default();
            (0..snapshot).for_each(|key| *expected.entry(key.to_string()).or_default() += 1);
            let (mut seen, mut last) = (FxHashMap::<String, u64>::default(), 0);
            let mut offset = 100;
            let mut check = |taken: Vec<Pending>| {
                for pending in taken {
                    let message = &pending.value.message;
                    assert!(message.offset.0 > last, "offsets go up");
                    last = message.offset.0;
                    let key = message.key.as_deref().unwrap().to_owned();
                    *seen.entry(key).or_default() += 1 + u64::from(pending.skipped);
                }
            };
            for (added, budget) in steps {
                if let Some((key, skipped)) = added {
                    offset += 1;
                    waiting.add(&value(key, offset), skipped);
                    *expected.entry(key.to_string()).or_default() += 1 + skipped;
                    prop_assert!(waiting.values.len() <= 41);
                }
                check(waiting.take(budget).0);
            }
            check(waiting.take(usize::MAX).0);
            prop_assert!(waiting.is_empty());
            prop_assert_eq!(seen, expected);
        }
    }

    #[test]
    fn a_value_that_waits_takes_sixteen_bytes() {
        assert_eq!(size_of::<Pending>(), 16);
    }
}
