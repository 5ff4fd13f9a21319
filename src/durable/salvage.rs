//! Reading around damage: one entry at a time, from both ends.

use std::ops::Bound;

use fanwire_proto::{Offset, TopicName};

use super::{block_key, prefix_of};
use crate::store::{Entry, Scan, Space, Store, StoreError};

/// Entries in key order up to the first one that cannot be read, or all of them backwards up to the last one.
pub(super) fn readable(store: &dyn Store, scan: &Scan) -> Result<Vec<Entry>, StoreError> {
    let mut one = Scan { limit: 1, ..scan.clone() };
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        match store.scan(&one) {
            Ok(entry) if entry.is_empty() => return Ok(entries),
            Ok(entry) => {
                let here = Bound::Excluded(entry[0].0.clone());
                match one.reverse {
                    true => one.to = here,
                    false => one.from = here,
                }
                entries.extend(entry);
            }
            Err(StoreError::Corrupt(_)) => return Ok(entries),
            Err(error) => return Err(error),
        }
    }
}

/// What can be read after the last damage, in key order.
pub(super) fn readable_end(store: &dyn Store, scan: Scan) -> Result<Vec<Entry>, StoreError> {
    let mut entries = readable(store, &Scan { reverse: true, ..scan })?;
    entries.reverse();
    Ok(entries)
}

/// The first offset of a topic's last block, which cannot be read: above it there is nothing, and reading from it fails.
pub(super) fn last_block(store: &dyn Store, name: &TopicName) -> Result<Offset, StoreError> {
    let (mut fails, mut empty) = (0, u64::MAX);
    while empty - fails > 1 {
        let middle = fails + (empty - fails) / 2;
        let from = Bound::Included(block_key(name, Offset(middle)));
        let scan = Scan { from, limit: 1, ..Scan::prefix(Space::Messages, prefix_of(name)) };
        match store.scan(&scan) {
            Ok(_) => empty = middle,
            Err(StoreError::Corrupt(_)) => fails = middle,
            Err(error) => return Err(error),
        }
    }
    Ok(Offset(fails))
}
