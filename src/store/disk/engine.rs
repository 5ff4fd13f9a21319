//! The embedded database: the only file that names it.
//!
//! A batch goes to the journal as one record with a checksum, then to sorted tables in memory, which background threads
//! write to files. Blocks of those files carry checksums of their own.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use bytes::Bytes;
use fjall::{
    Database, Error as DatabaseError, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode, Readable,
};

use super::seal::{seal, unseal};
use crate::{
    defaults,
    store::{Batch, Entry, Scan, Space, StoreError, Write},
};

/// An open database with its spaces.
pub(super) struct Engine {
    database: Database,
    spaces: Vec<Keyspace>,
}

impl Engine {
    /// Opens or creates the database in a directory.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        contained(|| {
            let database = Database::builder(path)
                .cache_size(cache_bytes)
                .max_journaling_size(defaults::STORE_JOURNAL_BYTES)
                .worker_threads(defaults::STORE_WORKERS)
                .manual_journal_persist(true)
                .open()
                .map_err(|error| translated(&error, "opening"))?;
            let spaces = Space::ALL.iter().map(|space| {
                let options =
                    || KeyspaceCreateOptions::default().max_memtable_size(defaults::STORE_MEMTABLE_BYTES);
                database.keyspace(space.name(), options).map_err(|error| translated(&error, space.name()))
            });
            let spaces = spaces.collect::<Result<_, _>>()?;
            Ok(Self { database, spaces })
        })
    }

    fn keyspace(&self, space: Space) -> &Keyspace {
        &self.spaces[space as usize]
    }

    /// Writes a batch and waits until it is on the disk.
    pub(super) fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        contained(|| {
            let mut writes = self.database.batch().durability(Some(PersistMode::SyncAll));
            for write in &batch.writes {
                match write {
                    Write::Put(space, key, value) => {
                        writes.insert(self.keyspace(*space), key.clone(), seal(*space, key, value));
                    }
                    Write::Delete(space, key) => writes.remove(self.keyspace(*space), key.clone()),
                }
            }
            writes.commit().map_err(|error| translated(&error, "committing"))
        })
    }

    /// The value of a key.
    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        contained(|| {
            let sealed = self.database.snapshot().get(self.keyspace(space), key);
            match sealed.map_err(|error| misread(&error, space, Some(key)))? {
                Some(sealed) => unsealed(space, key, &sealed.into()).map(Some),
                None => Ok(None),
            }
        })
    }

    /// Entries of a range.
    pub(super) fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, StoreError> {
        contained(|| {
            let snapshot = self.database.snapshot();
            let mut range = snapshot.range(self.keyspace(scan.space), (scan.from.clone(), scan.to.clone()));
            let mut entries: Vec<Entry> = Vec::new();
            let mut left = scan.bytes;
            while entries.len() < scan.limit && (left > 0 || entries.is_empty()) {
                let Some(next) = (if scan.reverse { range.next_back() } else { range.next() }) else { break };
                let after = entries.last().map(|(key, _)| key.as_ref());
                let entry = next.into_inner().map_err(|error| misread(&error, scan.space, after))?;
                let (key, sealed): (Bytes, Bytes) = (entry.0.into(), entry.1.into());
                let value = unsealed(scan.space, &key, &sealed)?;
                left = left.saturating_sub(value.len().max(1));
                entries.push((key, value));
            }
            Ok(entries)
        })
    }

    /// Bytes of all files.
    pub(super) fn size(&self) -> Result<u64, StoreError> {
        contained(|| self.database.disk_space().map_err(|error| translated(&error, "measuring")))
    }
}

/// Runs code of the library, which may panic on files that are not what it wrote.
fn contained<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(StoreError::Corrupt(format!("the database gave up: {text}").into()))
    })
}

fn unsealed(space: Space, key: &[u8], sealed: &Bytes) -> Result<Bytes, StoreError> {
    unseal(space, key, sealed).ok_or_else(|| {
        StoreError::Corrupt(format!("{} {}: wrong checksum", space.name(), key.escape_ascii()).into())
    })
}

fn misread(error: &DatabaseError, space: Space, key: Option<&[u8]>) -> StoreError {
    match key {
        Some(key) => translated(error, &format!("{} at or after {}", space.name(), key.escape_ascii())),
        None => translated(error, space.name()),
    }
}

/// What an error of the library means to us.
fn translated(error: &DatabaseError, place: &str) -> StoreError {
    let text = format!("{place}: {error}").into();
    match error {
        DatabaseError::Locked => StoreError::Locked,
        DatabaseError::Io(error) | DatabaseError::Storage(LsmError::Io(error)) => match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(text),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound | io::ErrorKind::InvalidData => {
                StoreError::Corrupt(text)
            }
            _ => StoreError::Io(text),
        },
        DatabaseError::Poisoned | DatabaseError::KeyspaceDeleted => StoreError::Io(text),
        _ => StoreError::Corrupt(text),
    }
}
