//! A store that keeps nothing beyond the process: what a broker without a data directory uses.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use parking_lot::RwLock;

use super::{Batch, Entry, Scan, Space, Store, StoreError, Write};

/// Maps in memory.
#[derive(Default)]
pub struct Memory {
    spaces: [RwLock<BTreeMap<Bytes, Bytes>>; Space::ALL.len()],
    bytes: AtomicU64,
}

impl Memory {
    fn space(&self, space: Space) -> &RwLock<BTreeMap<Bytes, Bytes>> {
        &self.spaces[space as usize]
    }

    fn write(&self, write: &Write) {
        let (space, key, value) = match write {
            Write::Put(space, key, value) => (*space, key, Some(value)),
            Write::Delete(space, key) => (*space, key, None),
        };
        let mut map = self.space(space).write();
        let old = match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
        let gone = old.map_or(0, |old| key.len() + old.len());
        let come = value.map_or(0, |value| key.len() + value.len());
        self.bytes.fetch_sub(gone as u64, Ordering::Relaxed);
        self.bytes.fetch_add(come as u64, Ordering::Relaxed);
    }
}

impl Store for Memory {
    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.check()?;
        batch.writes.iter().for_each(|write| self.write(write));
        Ok(())
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.space(space).read().get(key).cloned())
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, StoreError> {
        if scan.is_empty() {
            return Ok(Vec::new());
        }
        let map = self.space(scan.space).read();
        let range = map.range((scan.from.clone(), scan.to.clone()));
        let mut left = scan.bytes;
        let mut take = |(key, value): (&Bytes, &Bytes)| {
            let room = left > 0;
            left = left.saturating_sub(value.len().max(1));
            room.then(|| (key.clone(), value.clone()))
        };
        Ok(match scan.reverse {
            false => range.take(scan.limit).map_while(&mut take).collect(),
            true => range.rev().take(scan.limit).map_while(&mut take).collect(),
        })
    }

    fn size(&self) -> Result<u64, StoreError> {
        Ok(self.bytes.load(Ordering::Relaxed))
    }
}
