//! How a data directory is opened.

use crate::defaults;

/// How to open a [`Disk`](super::Disk).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bytes of memory for blocks read from disk.
    pub cache_bytes: u64,
    /// Commits are refused as [`StoreError::Full`](crate::store::StoreError::Full) while less than this is free on the disk.
    pub reserve_bytes: u64,
    /// Go on without commits that were lost to damage. What is damaged is set aside, not deleted.
    pub accept_loss: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: defaults::STORE_CACHE_BYTES,
            reserve_bytes: defaults::STORE_RESERVE_BYTES,
            accept_loss: false,
        }
    }
}
