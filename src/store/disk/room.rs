//! Refuses to write before the disk is so full that the database could not write out what it has in memory.

use std::path::{Path, PathBuf};

use super::place::failed;
use crate::store::StoreError;

/// What is committed is written to a journal and to tables, perhaps several times before older copies go.
const COPIES: u64 = 4;

/// The free space of the disk that a directory is on. Asking for it costs about a microsecond, little beside a sync.
pub(super) struct Room {
    path: PathBuf,
    reserve: u64,
}

impl Room {
    /// Of the disk with this directory, of which so many bytes are to stay free.
    pub(super) fn new(path: &Path, reserve: u64) -> Self {
        Self { path: path.to_owned(), reserve }
    }

    fn free(&self) -> Result<u64, StoreError> {
        let disk = rustix::fs::statvfs(&self.path).map_err(|error| failed(&self.path, &error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Bytes that are free beside the reserve.
    pub(super) fn left(&self) -> Result<u64, StoreError> {
        Ok(self.free()?.saturating_sub(self.reserve))
    }

    /// Whether so many bytes can be committed.
    pub(super) fn check(&self, bytes: u64) -> Result<(), StoreError> {
        let free = self.free()?;
        if free >= self.reserve.saturating_add(bytes.saturating_mul(COPIES)) {
            return Ok(());
        }
        let (path, reserve) = (self.path.display(), self.reserve);
        Err(StoreError::Full(
            format!(
                "{path}: {free} bytes are free, {reserve} are to stay free (`disk_reserve_bytes`); make room"
            )
            .into(),
        ))
    }
}
