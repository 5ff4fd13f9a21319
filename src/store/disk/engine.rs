//! The embedded database: beside [`salvage`](super::salvage) the only file that names it.
//!
//! A batch goes to the journal as one record with a checksum, then to sorted tables in memory, which background threads
//! write to files. Blocks of those files carry checksums of their own.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fjall::{
    AbstractTree, Database, Error as DatabaseError, Keyspace, KeyspaceCreateOptions, LsmError, PersistMode,
    Readable,
};

use super::{
    seal::{seal, unseal},
    stamp::{STAMP_KEY, STAMP_SPACE, Stamp},
};
use crate::{
    defaults,
    store::{Batch, Entry, Scan, Space, StoreError, Write},
};

/// Spaces on disk: the library's own, ours, and the one for stamps.
pub(super) const SPACES: usize = Space::ALL.len() + 2;

/// The library's number of the space for stamps.
pub(super) const STAMPS: u64 = Space::ALL.len() as u64 + 1;

/// The library's number of a space.
pub(super) const fn number_of(space: Space) -> u64 {
    space as u64 + 1
}

/// From so many tables of one space in memory on, or not merged yet on disk, a commit waits for the background threads.
/// The library waits by itself a little above, but forever if one of them has failed meanwhile.
const UNWRITTEN_MAX: usize = 2;
const UNMERGED_MAX: usize = 18;

/// How often, and how far apart, merging is tried before it is left for later.
const MERGE_TRIES: usize = 20;
const MERGE_PAUSE: Duration = Duration::from_millis(50);

/// How long it waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// An open database with its spaces.
pub(super) struct Engine {
    database: Database,
    spaces: Vec<Keyspace>,
    stamps: Keyspace,
}

impl Engine {
    /// Creates an empty database.
    pub(super) fn create(path: &Path) -> Result<(), StoreError> {
        contained(|| {
            let database = opened(path, 0)?;
            for name in names() {
                let options =
                    || KeyspaceCreateOptions::default().max_memtable_size(defaults::STORE_MEMTABLE_BYTES);
                database.keyspace(name, options).map_err(|error| translated(&error, name))?;
            }
            Ok(())
        })
    }

    /// Opens a database that has every space.
    pub(super) fn open(path: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        contained(|| {
            let database = opened(path, cache_bytes)?;
            let space = |name: &'static str| match database.keyspace_exists(name) {
                true => database
                    .keyspace(name, KeyspaceCreateOptions::default)
                    .map_err(|error| translated(&error, name)),
                false => Err(StoreError::Corrupt(format!("{}: no space {name}", path.display()).into())),
            };
            let spaces = Space::ALL.iter().map(|known| space(known.name())).collect::<Result<_, _>>()?;
            let stamps = space(STAMP_SPACE)?;
            Ok(Self { database, spaces, stamps })
        })
    }

    /// Closes it, whatever state it is in.
    pub(super) fn close(self) {
        if let Err(error) = contained(|| {
            drop(self);
            Ok(())
        }) {
            tracing::warn!(%error, "closing the database");
        }
    }

    pub(super) fn keyspace(&self, space: Space) -> &Keyspace {
        &self.spaces[space as usize]
    }

    /// The number of the newest commit.
    pub(super) fn last_commit(&self) -> Result<u64, StoreError> {
        contained(|| {
            let stamp = self.stamps.get(STAMP_KEY).map_err(|error| translated(&error, STAMP_SPACE))?;
            let Some(stamp) = stamp else { return Ok(0) };
            let stamp = Stamp::decode(&stamp)
                .ok_or_else(|| StoreError::Corrupt(format!("{STAMP_SPACE}: no stamp").into()))?;
            Ok(stamp.number)
        })
    }

    /// Whether it still takes commits; it does not once a background thread has failed.
    pub(super) fn works(&self) -> bool {
        contained(|| self.database.persist(PersistMode::Buffer).map_err(|error| translated(&error, "")))
            .is_ok()
    }

    /// Writes a batch and waits until it is on the disk.
    pub(super) fn commit(&self, batch: &Batch, stamp: Stamp) -> Result<(), StoreError> {
        contained(|| {
            self.wait_for_background()?;
            // All in one record of the journal, and synced before it returns: that makes it atomic and durable.
            let mut writes =
                fjall::OwnedWriteBatch::with_capacity(self.database.clone(), batch.writes.len() + 1)
                    .durability(Some(PersistMode::SyncAll));
            for write in &batch.writes {
                match write {
                    Write::Put(space, key, value) => {
                        writes.insert(self.keyspace(*space), key.clone(), seal(*space, key, value));
                    }
                    Write::Delete(space, key) => writes.remove(self.keyspace(*space), key.clone()),
                }
            }
            // Last, as `journal` expects it.
            writes.insert(&self.stamps, STAMP_KEY, stamp.encode());
            writes.commit().map_err(|error| translated(&error, "committing"))
        })
    }

    fn wait_for_background(&self) -> Result<(), StoreError> {
        self.wait_while(|| {
            self.spaces.iter().any(|space| {
                space.sealed_memtable_count() > UNWRITTEN_MAX || space.l0_table_count() > UNMERGED_MAX
            })
        })
    }

    pub(super) fn wait_while(&self, behind: impl Fn() -> bool) -> Result<(), StoreError> {
        let deadline = Instant::now() + PATIENCE;
        while behind() {
            if !self.works() {
                return Err(StoreError::Io("a background thread of the database failed".into()));
            }
            if Instant::now() > deadline {
                return Err(StoreError::Io("the disk does not keep up with what is written".into()));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The value of a key.
    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        contained(|| {
            // As of the newest commit that is whole: a space's own `get` reads what is there of one under way.
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
            // One entry whatever its size, or a scan that goes on page by page would stand still before a large one.
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

    /// About how many entries a space has, deleted ones and what deletes them included.
    pub(super) fn entries(&self, space: Space) -> u64 {
        self.keyspace(space).approximate_len() as u64
    }

    /// How many entries of a space's tables only say that a key was deleted.
    pub(super) fn tombstones(&self, space: Space) -> u64 {
        self.keyspace(space).tree.tombstone_count()
    }

    /// Bytes of a space's tables.
    pub(super) fn space_bytes(&self, space: Space) -> u64 {
        self.keyspace(space).disk_space()
    }

    /// Writes what a space has in memory to tables.
    pub(super) fn write_out(&self, space: Space) -> Result<(), StoreError> {
        contained(|| {
            let keyspace = self.keyspace(space);
            // Only marks what is in memory to be written: a background thread does it, and is waited for.
            keyspace.rotate_memtable().map_err(|error| translated(&error, space.name()))?;
            self.wait_while(|| keyspace.sealed_memtable_count() > 0)
        })
    }

    /// Rewrites all tables of a space without what was deleted; whether that was possible now. The library does nothing
    /// while one of its threads merges some of them.
    pub(super) fn merge(&self, space: Space) -> Result<bool, StoreError> {
        self.write_out(space)?;
        let before = self.tombstones(space);
        for _ in 0..MERGE_TRIES {
            contained(|| {
                self.keyspace(space).major_compact().map_err(|error| translated(&error, space.name()))
            })?;
            // Commits go on meanwhile, so there may be new ones.
            if self.tombstones(space) <= before / 2 {
                return Ok(true);
            }
            thread::sleep(MERGE_PAUSE);
        }
        Ok(false)
    }

    /// Removes tables that are not needed any more. The library looks for them when it begins a new table in memory, of
    /// any space.
    pub(super) fn remove_old_tables(&self) -> Result<(), StoreError> {
        contained(|| self.stamps.rotate_memtable().map_err(|error| translated(&error, STAMP_SPACE)))?;
        Ok(())
    }

    /// Bytes of all files.
    pub(super) fn size(&self) -> Result<u64, StoreError> {
        contained(|| self.database.disk_space().map_err(|error| translated(&error, "measuring")))
    }
}

/// The spaces in the order of their creation, which their numbers on disk follow.
fn names() -> impl Iterator<Item = &'static str> {
    Space::ALL.iter().map(|space| space.name()).chain([STAMP_SPACE])
}

fn opened(path: &Path, cache_bytes: u64) -> Result<Database, StoreError> {
    Database::builder(path)
        .cache_size(cache_bytes)
        .max_journaling_size(defaults::STORE_JOURNAL_BYTES)
        .worker_threads(defaults::STORE_WORKERS)
        // Each batch says itself that it is to be synced, and nothing else writes.
        .manual_journal_persist(true)
        .open()
        .map_err(|error| translated(&error, &path.display().to_string()))
}

/// Runs code of the library, which may panic on files that are not what it wrote.
pub(super) fn contained<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        // `panic!` leaves one or the other, by whether it had arguments.
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
    let text = match error {
        DatabaseError::Io(error) | DatabaseError::Storage(LsmError::Io(error)) => format!("{place}: {error}"),
        other => format!("{place}: {other}"),
    };
    let text = text.into();
    match error {
        DatabaseError::Locked => StoreError::Locked,
        DatabaseError::Io(error) | DatabaseError::Storage(LsmError::Io(error)) => match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(text),
            // What a file says is not there: of this file (a seek to nowhere is invalid input), or another file.
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::NotFound
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput => StoreError::Corrupt(text),
            _ => StoreError::Io(text),
        },
        // Says nothing about what is on the disk; `State` opens it anew.
        DatabaseError::Poisoned | DatabaseError::KeyspaceDeleted => StoreError::Io(text),
        _ => StoreError::Corrupt(text),
    }
}
