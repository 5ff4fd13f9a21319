//! What deliveries are known by, for as long as they are: in the store, with an index by the time it ends.

use bytes::Bytes;

use crate::{
    defaults,
    store::{Batch, Scan, Space, Store, StoreError},
    webhook::Hash,
};

/// What keys of webhooks begin with; the space is shared.
const NAME: &[u8] = b"wn";
const END: &[u8] = b"we";

/// Entries looked at in one go.
const SLICE: usize = 512;

fn name_key(name: &Hash) -> Bytes {
    [NAME, name].concat().into()
}

fn end_key(end_ms: u64, name: &Hash) -> Bytes {
    [END, &end_ms.to_be_bytes(), name].concat().into()
}

/// Whether it is known, and has not ended.
pub(super) fn is_known(store: &dyn Store, name: &Hash, now_ms: u64) -> Result<bool, StoreError> {
    let found = store.get(Space::Seen, &name_key(name))?;
    let end = found.and_then(|value| Some(u64::from_be_bytes(value.first_chunk().copied()?)));
    Ok(end.is_some_and(|end_ms| end_ms > now_ms))
}

/// Makes it known until a time.
pub(super) fn remember(batch: &mut Batch, name: &Hash, end_ms: u64) {
    batch.put(Space::Seen, name_key(name), Bytes::copy_from_slice(&end_ms.to_be_bytes()));
    batch.put(Space::Seen, end_key(end_ms, name), Bytes::new());
}

/// How many are known, counted at the start.
pub(super) fn count(store: &dyn Store) -> Result<usize, StoreError> {
    let mut scan = Scan { limit: 10_000, ..Scan::prefix(Space::Seen, END) };
    let mut count = 0;
    loop {
        let entries = store.scan(&scan)?;
        count += entries.len();
        match entries.last() {
            Some((last, _)) if entries.len() == scan.limit => {
                scan.from = std::ops::Bound::Excluded(last.clone());
            }
            _ => return Ok(count),
        }
    }
}

/// The removal of some that have ended, or are more than may be known; and how many those are.
pub(super) fn prune(
    store: &dyn Store,
    known: usize,
    now_ms: u64,
) -> Result<Option<(Batch, usize)>, StoreError> {
    let first = store.scan(&Scan { limit: SLICE, ..Scan::prefix(Space::Seen, END) })?;
    let too_many = known.saturating_sub(defaults::WEBHOOK_SEEN);
    let mut batch = Batch::default();
    let mut removed = 0;
    for (key, _) in first {
        let Some((end, name)) = key.strip_prefix(END).and_then(|rest| rest.split_first_chunk::<8>()) else {
            continue;
        };
        let end_ms = u64::from_be_bytes(*end);
        if end_ms > now_ms && removed >= too_many {
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
    Ok((removed > 0).then_some((batch, removed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    #[test]
    fn what_was_seen_is_known_until_its_end() {
        let store = Memory::default();
        let mut batch = Batch::default();
        remember(&mut batch, &[1; 32], 1_000);
        remember(&mut batch, &[2; 32], 2_000);
        remember(&mut batch, &[2; 32], 3_000);
        store.commit(&batch).unwrap();
        assert_eq!(count(&store).unwrap(), 3);
        assert!(is_known(&store, &[1; 32], 999).unwrap() && !is_known(&store, &[1; 32], 1_000).unwrap());
        assert!(prune(&store, 3, 999).unwrap().is_none());
        let (batch, removed) = prune(&store, 3, 2_000).unwrap().unwrap();
        store.commit(&batch).unwrap();
        assert_eq!(removed, 2);
        assert!(is_known(&store, &[2; 32], 2_500).unwrap(), "made known for longer");
        let (batch, removed) = prune(&store, defaults::WEBHOOK_SEEN + 1, 2_000).unwrap().unwrap();
        store.commit(&batch).unwrap();
        assert_eq!((removed, count(&store).unwrap()), (1, 0));
    }
}
