//! Which insertions and deletions a set of updates has: to tell whether an update brings anything new, and whether a
//! merged one has lost nothing.

use std::collections::BTreeMap;

use super::{
    lib0::{Malformed, put_uint},
    update::{self, Visit},
};

/// Ranges of clocks by client: sorted, not empty, not touching.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Ranges(BTreeMap<u64, Vec<(u32, u32)>>);

impl Ranges {
    pub(super) fn push(&mut self, client: u64, clock: u32, length: u32) {
        if length == 0 {
            return;
        }
        let ranges = self.0.entry(client).or_default();
        let end = clock.saturating_add(length);
        // Updates come mostly in order; what does not is put right by `settle`.
        match ranges.last_mut() {
            Some(last) if last.1 == clock => last.1 = end,
            _ => ranges.push((clock, end)),
        }
    }

    /// Puts them in order, after the last [`push`](Self::push).
    pub(super) fn settle(&mut self) {
        for ranges in self.0.values_mut() {
            ranges.sort_unstable();
            ranges.dedup_by(|next, kept| {
                let touches = next.0 <= kept.1;
                if touches {
                    kept.1 = kept.1.max(next.1);
                }
                touches
            });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A client's.
    pub(super) fn of(&self, client: u64) -> &[(u32, u32)] {
        self.0.get(&client).map_or(&[], Vec::as_slice)
    }

    /// As deletions are written in an update.
    pub(super) fn encode(&self, bytes: &mut Vec<u8>) {
        put_uint(bytes, self.0.len() as u64);
        for (client, ranges) in self.0.iter().rev() {
            put_uint(bytes, *client);
            put_uint(bytes, ranges.len() as u64);
            for &(start, end) in ranges {
                put_uint(bytes, start.into());
                put_uint(bytes, (end - start).into());
            }
        }
    }

    /// Whether everything of `other` is in here.
    fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|(client, wanted)| {
            let ranges = self.0.get(client).map_or(&[][..], Vec::as_slice);
            wanted.iter().all(|&(start, end)| {
                // Ranges do not touch, so what covers one lies within a single other.
                let after = ranges.partition_point(|range| range.0 <= start);
                after.checked_sub(1).is_some_and(|index| ranges[index].1 >= end)
            })
        })
    }
}

/// What a set of updates has.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Coverage {
    inserts: Ranges,
    deletes: Ranges,
}

impl Coverage {
    /// Of these updates together.
    pub fn of<'a>(updates: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, Malformed> {
        let mut coverage = Self::default();
        for one in updates {
            update::walk(one, &mut coverage)?;
        }
        coverage.inserts.settle();
        coverage.deletes.settle();
        Ok(coverage)
    }

    /// Whether everything of `other` is in here.
    pub fn covers(&self, other: &Self) -> bool {
        self.inserts.covers(&other.inserts) && self.deletes.covers(&other.deletes)
    }
}

impl Visit for Coverage {
    fn insert(&mut self, client: u64, clock: u32, length: u32) {
        self.inserts.push(client, clock, length);
    }

    fn delete(&mut self, client: u64, clock: u32, length: u32) {
        self.deletes.push(client, clock, length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(of: &[(u64, u32, u32)]) -> Ranges {
        let mut ranges = Ranges::default();
        of.iter().for_each(|&(client, clock, length)| ranges.push(client, clock, length));
        ranges.settle();
        ranges
    }

    #[test]
    fn ranges_are_joined_where_they_touch() {
        assert_eq!(ranges(&[(1, 5, 2), (1, 0, 5), (1, 9, 1)]), ranges(&[(1, 0, 7), (1, 9, 1)]));
        assert_eq!(ranges(&[(1, 0, 9), (1, 2, 3)]), ranges(&[(1, 0, 9)]));
        assert_eq!(ranges(&[(1, 0, 0)]), ranges(&[]));
    }

    #[test]
    fn covering_is_by_range() {
        let have = ranges(&[(1, 0, 5), (1, 7, 3), (2, 4, 1)]);
        assert!(have.covers(&ranges(&[(1, 1, 4), (2, 4, 1)])));
        assert!(have.covers(&ranges(&[])));
        assert!(!have.covers(&ranges(&[(1, 4, 2)])), "a hole");
        assert!(!have.covers(&ranges(&[(1, 4, 4)])), "across a hole");
        assert!(!have.covers(&ranges(&[(3, 0, 1)])), "another client");
    }
}
