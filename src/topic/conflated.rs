//! The newest value per key, in the order of their last change.

use std::{collections::BTreeMap, sync::Arc};

use fanwire_proto::Offset;
use rustc_hash::FxHashMap;

/// At most one value per key. Invariant: both maps hold the same entries.
#[derive(Debug)]
pub struct Conflated<V> {
    by_offset: BTreeMap<Offset, (Arc<str>, V)>,
    offset_of: FxHashMap<Arc<str>, Offset>,
}

impl<V> Default for Conflated<V> {
    fn default() -> Self {
        Self { by_offset: BTreeMap::new(), offset_of: FxHashMap::default() }
    }
}

impl<V> Conflated<V> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&V> {
        let offset = self.offset_of.get(key)?;
        self.by_offset.get(offset).map(|(_, value)| value)
    }

    /// Replaces the value of a key by a newer one and returns the older.
    pub fn put(&mut self, key: &Arc<str>, offset: Offset, value: V) -> Option<V> {
        let older = match self.offset_of.get_mut(key) {
            Some(place) => self.by_offset.remove(&std::mem::replace(place, offset)),
            None => {
                self.offset_of.insert(key.clone(), offset);
                None
            }
        };
        self.by_offset.insert(offset, (key.clone(), value));
        older.map(|(_, value)| value)
    }

    /// Values that changed after the offset, oldest change first.
    pub fn after(&self, offset: Offset) -> impl Iterator<Item = (&Arc<str>, &V)> + Clone {
        let newer = (std::ops::Bound::Excluded(offset), std::ops::Bound::Unbounded);
        self.by_offset.range(newer).map(|(_, (key, value))| (key, value))
    }

    /// Values that changed before the offset, oldest change first.
    pub fn before(&self, offset: Offset) -> impl DoubleEndedIterator<Item = (&Arc<str>, &V)> + Clone {
        self.by_offset.range(..offset).map(|(_, (key, value))| (key, value))
    }

    /// Removes and returns the value that has not changed for longest, with its key.
    pub fn pop_oldest(&mut self) -> Option<(Arc<str>, V)> {
        let (_, (key, value)) = self.by_offset.pop_first()?;
        self.offset_of.remove(&key);
        Some((key, value))
    }

    /// The value that has not changed for longest.
    pub fn oldest(&self) -> Option<&V> {
        self.by_offset.first_key_value().map(|(_, (_, value))| value)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.by_offset.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.by_offset.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_value_replaces_and_moves_to_the_end() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut values = Conflated::default();
        assert_eq!(values.put(&a, Offset(1), 10), None);
        assert_eq!(values.put(&b, Offset(2), 20), None);
        assert_eq!(values.put(&a, Offset(3), 11), Some(10));
        assert_eq!(values.after(Offset::ZERO).map(|(_, value)| *value).collect::<Vec<_>>(), [20, 11]);
        assert_eq!(values.after(Offset(2)).map(|(_, value)| *value).collect::<Vec<_>>(), [11]);
        assert_eq!(values.get("a"), Some(&11));
        assert_eq!(values.pop_oldest().map(|(_, value)| value), Some(20));
        assert_eq!(values.len(), 1);
        assert_eq!(values.get("b"), None);
    }
}
