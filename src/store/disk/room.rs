//! Refuses to write before the disk is so full that the database could not write out what it has in memory.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::folder::failed;
use crate::store::StoreError;

/// How long what was measured is believed.
const FRESH: Duration = Duration::from_millis(500);

/// What is committed is written once to a journal and again to tables, perhaps several times before the old ones go.
const SHARE: u64 = 4;

/// The free space of the disk that a directory is on.
pub(super) struct Room {
    path: PathBuf,
    reserve: u64,
    /// Bytes that may be written before it is measured again.
    allowance: u64,
    measured: Option<Instant>,
}

impl Room {
    pub(super) fn new(path: &Path, reserve: u64) -> Self {
        Self { path: path.to_owned(), reserve, allowance: 0, measured: None }
    }

    /// Whether so many bytes can be written.
    pub(super) fn check(&mut self, bytes: u64) -> Result<(), StoreError> {
        let fresh = self.measured.is_some_and(|measured| measured.elapsed() < FRESH);
        if !fresh || self.allowance < bytes {
            self.measure()?;
        }
        match self.allowance.checked_sub(bytes) {
            Some(left) => {
                self.allowance = left;
                Ok(())
            }
            None => {
                self.measured = None;
                Err(self.full(self.reserve.saturating_add(self.allowance.saturating_mul(SHARE))))
            }
        }
    }

    fn full(&self, free: u64) -> StoreError {
        let (path, reserve) = (self.path.display(), self.reserve);
        StoreError::Full(format!("{path}: {free} bytes are free, {reserve} of them are a reserve").into())
    }

    fn measure(&mut self) -> Result<(), StoreError> {
        let disk = rustix::fs::statvfs(&self.path).map_err(|error| failed(&self.path, &error.into()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let Some(above) = free.checked_sub(self.reserve) else {
            self.measured = None;
            return Err(self.full(free));
        };
        self.allowance = above / SHARE;
        self.measured = Some(Instant::now());
        Ok(())
    }
}
