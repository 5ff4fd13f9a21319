//! A store that keeps nothing beyond the process: what a broker without a data directory uses.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::RwLock;

use super::{Batch, Entry, Salvage, Salvaged, Scan, Space, Store, StoreError, Write};

/// Maps in memory.
#[derive(Default)]
pub struct Memory {
    /// Behind one lock, so that readers see a batch as a whole.
    content: RwLock<Content>,
}

#[derive(Default)]
struct Content {
    spaces: [BTreeMap<Bytes, Bytes>; Space::ALL.len()],
    /// Of keys and values.
    bytes: u64,
    commits: u64,
}

impl Content {
    fn write(&mut self, write: &Write) {
        let (space, key, value) = match write {
            Write::Put(space, key, value) => (*space, key, Some(value)),
            Write::Delete(space, key) => (*space, key, None),
        };
        let map = &mut self.spaces[space as usize];
        let old = match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
        // A value that replaces one brings its key a second time, and the first goes.
        let gone = old.map_or(0, |old| key.len() + old.len());
        let come = value.map_or(0, |value| key.len() + value.len());
        self.bytes = self.bytes + come as u64 - gone as u64;
    }
}

impl Store for Memory {
    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.check()?;
        let mut content = self.content.write();
        content.commits += 1;
        batch.writes.iter().for_each(|write| content.write(write));
        Ok(())
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.content.read().spaces[space as usize].get(key).cloned())
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, StoreError> {
        if scan.is_empty() {
            return Ok(Vec::new());
        }
        let content = self.content.read();
        let range = content.spaces[scan.space as usize].range((scan.from.clone(), scan.to.clone()));
        // At least one entry, however few bytes.
        let mut left = scan.bytes.max(1);
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

    fn salvage(&self, scan: &Scan) -> Result<Salvage, StoreError> {
        let all = Scan { limit: usize::MAX, bytes: usize::MAX, reverse: false, ..scan.clone() };
        let entry = |(key, value)| Salvaged { key, value, written: 0 };
        Ok(Salvage { entries: self.scan(&all)?.into_iter().map(entry).collect(), holes: Vec::new() })
    }

    fn commits(&self) -> u64 {
        self.content.read().commits
    }

    fn size(&self) -> Result<u64, StoreError> {
        Ok(self.content.read().bytes)
    }
}
