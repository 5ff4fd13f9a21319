//! What deliveries are known by, for as long as they are: in the store, with an index for each source by the time it ends.
//! Beyond what may be known in all, the source that has the most forgets its oldest first, so that a flood at one source
//! makes no other's deliveries new again.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    defaults,
    provider::Hash,
    store::{Batch, Scan, Space, Store, StoreError},
};

/// What keys of webhooks begin with; the space is shared.
const NAME: &[u8] = b"wn";
const END: &[u8] = b"ws";

/// What an index of all sources began with, in stores of earlier versions. Its entries end by themselves.
const OLD_END: &[u8] = b"we";

/// Whom those entries are counted for: no source has this name.
const OLD_SOURCE: &str = "";

/// Entries looked at in one go.
const SLICE: usize = 512;

fn name_key(name: &Hash) -> Bytes {
    [NAME, name].concat().into()
}

/// What the index of a source begins with. Names of sources have no zero byte.
fn index(source: &str) -> Vec<u8> {
    match source {
        OLD_SOURCE => OLD_END.to_vec(),
        source => [END, source.as_bytes(), &[0]].concat(),
    }
}

/// Whether it is known, and has not ended.
pub(super) fn is_known(store: &dyn Store, name: &Hash, now_ms: u64) -> Result<bool, StoreError> {
    let found = store.get(Space::Seen, &name_key(name))?;
    let end = found.and_then(|value| Some(u64::from_be_bytes(value.first_chunk().copied()?)));
    Ok(end.is_some_and(|end_ms| end_ms > now_ms))
}

/// Makes it known until a time.
pub(super) fn remember(batch: &mut Batch, source: &str, name: &Hash, end_ms: u64) {
    let end = end_ms.to_be_bytes();
    batch.put(Space::Seen, name_key(name), Bytes::copy_from_slice(&end));
    batch.put(Space::Seen, [&index(source)[..], &end, name].concat(), Bytes::new());
}

/// How many each source has.
#[derive(Default)]
pub(super) struct Seen(Mutex<HashMap<String, usize>>);

impl Seen {
    /// Counts what the store has.
    pub(super) fn load(&self, store: &dyn Store) -> Result<(), StoreError> {
        for start in [OLD_END, END] {
            let mut scan = Scan { limit: 10_000, ..Scan::prefix(Space::Seen, start) };
            loop {
                let entries = store.scan(&scan)?;
                for (key, _) in &entries {
                    self.add(source_in(key).unwrap_or_default(), 1);
                }
                match entries.last() {
                    Some((last, _)) if entries.len() == scan.limit => {
                        scan.from = std::ops::Bound::Excluded(last.clone());
                    }
                    _ => break,
                }
            }
        }
        Ok(())
    }

    /// Counts what was made known.
    pub(super) fn add(&self, source: &str, count: usize) {
        *self.0.lock().entry(source.to_owned()).or_default() += count;
    }

    /// Counts what was forgotten.
    pub(super) fn remove(&self, source: &str, count: usize) {
        let mut counts = self.0.lock();
        if let Some(known) = counts.get_mut(source) {
            *known = known.saturating_sub(count);
            if *known == 0 {
                counts.remove(source);
            }
        }
    }

    /// The removal of some that have ended, or are more than may be known; by source, with how many those are.
    pub(super) fn prune(
        &self,
        store: &dyn Store,
        most: usize,
        now_ms: u64,
    ) -> Result<Vec<(String, Batch, usize)>, StoreError> {
        // A copy: looking takes reads from the disk, and deliveries that come in count under this lock.
        let counts = self.0.lock().clone();
        let too_many = counts.values().sum::<usize>().saturating_sub(most);
        let largest = counts.iter().max_by_key(|(_, known)| **known).map(|(source, _)| source.as_str());
        let mut all = Vec::new();
        for source in counts.keys() {
            let too_many = if largest == Some(source) { too_many } else { 0 };
            let (batch, removed) = prune_source(store, source, too_many, now_ms)?;
            if removed > 0 {
                all.push((source.clone(), batch, removed));
            }
        }
        Ok(all)
    }
}

fn source_in(key: &[u8]) -> Option<&str> {
    let (start, _) = key.split_last_chunk::<40>()?;
    std::str::from_utf8(start.strip_prefix(END)?.strip_suffix(&[0])?).ok()
}

fn prune_source(
    store: &dyn Store,
    source: &str,
    too_many: usize,
    now_ms: u64,
) -> Result<(Batch, usize), StoreError> {
    let start = index(source);
    let (mut batch, mut removed) = (Batch::default(), 0);
    // Most of the time the oldest one says that there is nothing to do.
    for limit in [1, SLICE] {
        (batch, removed) = (Batch::default(), 0);
        for (key, _) in store.scan(&Scan { limit, ..Scan::prefix(Space::Seen, start.clone()) })? {
            let Some((end, name)) =
                key.strip_prefix(&start[..]).and_then(|rest| rest.split_first_chunk::<8>())
            else {
                continue;
            };
            if u64::from_be_bytes(*end) > now_ms && removed >= too_many {
                break;
            }
            batch.delete(Space::Seen, key.clone());
            // It may have been made known again since, for longer.
            let name_key: Bytes = [NAME, name].concat().into();
            if store.get(Space::Seen, &name_key)?.is_none_or(|value| *value == end[..]) {
                batch.delete(Space::Seen, name_key);
            }
            removed += 1;
        }
        if removed == 0 {
            break;
        }
    }
    Ok((batch, removed))
}

/// The most that may be known.
pub(super) const MOST: usize = defaults::WEBHOOK_SEEN;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    fn remember(store: &Memory, seen: &Seen, source: &str, name: u8, end_ms: u64) {
        let mut batch = Batch::default();
        super::remember(&mut batch, source, &[name; 32], end_ms);
        store.commit(&batch).unwrap();
        seen.add(source, 1);
    }

    fn prune(store: &Memory, seen: &Seen, most: usize, now_ms: u64) -> Vec<(String, usize)> {
        let mut removed = Vec::new();
        for (source, batch, count) in seen.prune(store, most, now_ms).unwrap() {
            store.commit(&batch).unwrap();
            seen.remove(&source, count);
            removed.push((source, count));
        }
        removed
    }

    fn known(store: &Memory, name: u8, now_ms: u64) -> bool {
        is_known(store, &[name; 32], now_ms).unwrap()
    }

    #[test]
    fn what_was_seen_is_known_until_its_end() {
        let (store, seen) = (Memory::default(), Seen::default());
        remember(&store, &seen, "a", 1, 1_000);
        remember(&store, &seen, "a", 2, 2_000);
        remember(&store, &seen, "a", 2, 3_000);
        assert!(known(&store, 1, 999) && !known(&store, 1, 1_000));
        assert_eq!(prune(&store, &seen, 10, 999), []);
        assert_eq!(prune(&store, &seen, 10, 2_000), [("a".to_owned(), 2)]);
        assert!(known(&store, 2, 2_500), "made known for longer");
        let again = Seen::default();
        again.load(&store).unwrap();
        assert_eq!(*again.0.lock(), HashMap::from([("a".to_owned(), 1)]));
        assert_eq!(prune(&store, &seen, 10, 3_000), [("a".to_owned(), 1)]);
        assert!(seen.0.lock().is_empty());
    }

    #[test]
    fn the_source_with_the_most_forgets_first() {
        let (store, seen) = (Memory::default(), Seen::default());
        remember(&store, &seen, "quiet", 0, 1_000);
        for name in 1..=9 {
            remember(&store, &seen, "flood", name, 2_000 + u64::from(name));
        }
        assert_eq!(prune(&store, &seen, 10, 0), []);
        assert_eq!(prune(&store, &seen, 6, 0), [("flood".to_owned(), 4)]);
        assert!(known(&store, 0, 0) && !known(&store, 4, 0) && known(&store, 5, 0));
    }

    #[test]
    fn entries_of_earlier_versions_end() {
        let (store, seen) = (Memory::default(), Seen::default());
        let mut batch = Batch::default();
        batch.put(Space::Seen, name_key(&[1; 32]), Bytes::copy_from_slice(&1_000_u64.to_be_bytes()));
        batch.put(Space::Seen, [OLD_END, &1_000_u64.to_be_bytes(), &[1; 32]].concat(), Bytes::new());
        store.commit(&batch).unwrap();
        seen.load(&store).unwrap();
        assert!(known(&store, 1, 999));
        assert_eq!(prune(&store, &seen, 10, 1_000), [(OLD_SOURCE.to_owned(), 1)]);
        assert!(store.scan(&Scan { limit: 10, ..Scan::prefix(Space::Seen, "w") }).unwrap().is_empty());
    }
}
