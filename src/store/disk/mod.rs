//! A store on disk: a data directory that one process has open.

mod engine;
mod folder;
mod seal;

use std::path::Path;

use bytes::Bytes;

use self::{engine::Engine, folder::Folder};
use super::{Batch, Entry, Scan, Space, Store, StoreError};
use crate::defaults;

/// How to open a [`Disk`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bytes of memory for blocks read from disk.
    pub cache_bytes: u64,
    /// Commits are refused as [`StoreError::Full`] while less than this is free on the disk.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: defaults::STORE_CACHE_BYTES, reserve_bytes: defaults::STORE_RESERVE_BYTES }
    }
}

/// A data directory.
pub struct Disk {
    engine: Engine,
    folder: Folder,
    options: Options,
}

impl Disk {
    /// Opens a data directory, or creates it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process has it open, [`StoreError::Corrupt`] with the place if it is damaged
    /// or of a format that this version does not know.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        let folder = Folder::open(path)?;
        let engine = Engine::open(&folder.database(), options.cache_bytes)?;
        Ok(Self { engine, folder, options })
    }

    fn check_room(&self) -> Result<(), StoreError> {
        let path = self.folder.path();
        let disk = rustix::fs::statvfs(path).map_err(|error| folder::failed(path, &error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.options.reserve_bytes {
            let reserve = self.options.reserve_bytes;
            let problem = format!("{}: {free} bytes are free, {reserve} must be", path.display());
            return Err(StoreError::Full(problem.into()));
        }
        Ok(())
    }
}

impl Store for Disk {
    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.check()?;
        self.check_room()?;
        self.engine.commit(batch)
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.engine.get(space, key)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, StoreError> {
        if scan.is_empty() { Ok(Vec::new()) } else { self.engine.scan(scan) }
    }

    fn size(&self) -> Result<u64, StoreError> {
        self.engine.size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let disk = Disk::open(&path, Options::default()).unwrap();
        let mut batch = Batch::default();
        batch.put(Space::Messages, "a", "1");
        batch.put(Space::Topics, "t", "2");
        disk.commit(&batch).unwrap();
        assert!(matches!(Disk::open(&path, Options::default()), Err(StoreError::Locked)));
        drop(disk);
        let disk = Disk::open(&path, Options::default()).unwrap();
        assert_eq!(disk.get(Space::Messages, b"a").unwrap().as_deref(), Some(&b"1"[..]));
        let entries = disk.scan(&Scan::prefix(Space::Topics, "")).unwrap();
        assert_eq!(entries, [(Bytes::from("t"), Bytes::from("2"))]);
    }
}
