//! Reads a range of an open database around damaged tables. The library itself reads all tables of a range as one, and
//! ends at the first block that it cannot read, whose ever that is: so of many topics in one block the damage of one would
//! be the damage of all, and hide what was written since.

use std::{
    collections::BTreeMap,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use bytes::Bytes;
use fjall::AbstractTree;
use lsm_tree::{InternalValue, Table, UserKey, ValueType};

use super::{
    engine::{Engine, contained},
    entries::{Next, TableReader},
    place::failed,
    seal::unseal,
};
use crate::store::{Hole, Salvage, Salvaged, Scan, StoreError};

/// The newest versions of keys, and what cannot be read.
struct Gathered<'a> {
    scan: &'a Scan,
    /// With the number of the write; no value for what was deleted.
    newest: BTreeMap<Bytes, (u64, Option<Bytes>)>,
    holes: Vec<Hole>,
}

impl Gathered<'_> {
    fn add(&mut self, key: Bytes, written: u64, value: Option<Bytes>) {
        // A hole as wide as the scan would hide exactly the keys that are wanted.
        let wanted = Hole { from: self.scan.from.clone(), to: self.scan.to.clone(), written: u64::MAX };
        if !wanted.hides(&key, 0) {
            return;
        }
        let newest = self.newest.entry(key).or_insert((written, None));
        // Whatever order tables are looked at in, what counts is which was written last.
        if newest.0 <= written {
            *newest = (written, value);
        }
    }

    fn add_item(&mut self, item: InternalValue) {
        let value = (item.key.value_type == ValueType::Value).then(|| item.value.into());
        self.add(item.key.user_key.into(), item.key.seqno, value);
    }

    fn add_hole(&mut self, from: Bound<Bytes>, to: Bytes, written: u64) {
        // A newer version of the next key comes before an older one, so it may be in the hole.
        let hole = Hole { from, to: Bound::Included(to), written };
        if hole.touches(self.scan) {
            self.holes.push(hole);
        }
    }

    /// Reads a table that the library cannot read.
    fn read_around(&mut self, path: &Path, table: &Table) -> Result<(), StoreError> {
        let range = &table.metadata.key_range;
        let written = table.get_highest_seqno();
        let mut reader = TableReader::open(path).map_err(|error| failed(path, &error))?;
        let mut from: Bound<Bytes> = Bound::Included(range.min().clone().into());
        let mut in_hole = false;
        loop {
            match reader.next() {
                Ok(Next::Version(version)) => {
                    let before = std::mem::replace(&mut from, Bound::Excluded(version.key.clone()));
                    if std::mem::take(&mut in_hole) {
                        self.add_hole(before, version.key.clone(), written);
                    }
                    self.add(version.key, version.sequence, version.value);
                }
                Ok(Next::Gap(..)) => in_hole = true,
                Ok(Next::End) => break,
                Err(error) => {
                    tracing::error!(%error, path = %path.display(), "a table cannot be read to its end");
                    in_hole = true;
                    break;
                }
            }
        }
        if in_hole {
            self.add_hole(from, range.max().clone().into(), written);
        }
        Ok(())
    }

    fn salvage(self) -> Salvage {
        let Self { scan, newest, mut holes } = self;
        let mut entries = Vec::new();
        for (key, (written, sealed)) in newest {
            let Some(sealed) = sealed else { continue };
            match unseal(scan.space, &key, &sealed) {
                Some(value) => entries.push(Salvaged { key, value, written }),
                // The next one written is newer than the hole.
                None => holes.push(Hole::of(key, written + 1)),
            }
        }
        Salvage { entries, holes }
    }
}

impl Engine {
    /// Everything of a range that can be read; its limits do not count.
    pub(super) fn salvage(&self, scan: &Scan) -> Result<Salvage, StoreError> {
        contained(|| {
            let keyspace = self.keyspace(scan.space);
            let is_still = || keyspace.sealed_memtable_count() == 0;
            let (memory, version) = loop {
                // What is on its way from memory to a table cannot be looked at.
                self.wait_while(|| !is_still())?;
                let (memory, version) = (keyspace.tree.active_memtable(), keyspace.tree.current_version());
                // The same table in memory after as before: so it and the version are of one moment.
                if is_still() && keyspace.tree.active_memtable().id() == memory.id() {
                    break (memory, version);
                }
            };
            let mut gathered = Gathered { scan, newest: BTreeMap::new(), holes: Vec::new() };
            memory.iter().for_each(|item| gathered.add_item(item));
            let bound = |bound: &Bound<Bytes>| bound.clone().map(UserKey::from);
            let (from, to) = (bound(&scan.from), bound(&scan.to));
            // Table by table: read as one range, the first damaged block would end it for all.
            for table in version.iter_tables() {
                let bounds = (from.as_ref().map(|key| &key[..]), to.as_ref().map(|key| &key[..]));
                if !table.metadata.key_range.overlaps_with_bounds(&bounds) {
                    continue;
                }
                let read = || table.range((from.clone(), to.clone())).collect::<Result<Vec<_>, _>>();
                match catch_unwind(AssertUnwindSafe(read)) {
                    Ok(Ok(items)) => items.into_iter().for_each(|item| gathered.add_item(item)),
                    Ok(Err(_)) | Err(_) => gathered.read_around(&table.path, table)?,
                }
            }
            Ok(gathered.salvage())
        })
    }
}
