//! The verbs of a store; what each implementation promises is the module's documentation.

use bytes::Bytes;

use super::{Batch, Entry, Salvage, Scan, Space, StoreError};

/// An ordered map per space, see [`super`] for what is promised. All verbs block.
pub trait Store: Send + Sync + 'static {
    /// Writes a batch; returns once it is durable.
    fn commit(&self, batch: &Batch) -> Result<(), StoreError>;

    /// The value of a key.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Entries in key order.
    fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, StoreError>;

    /// Everything of a range that can be read, around what cannot be; the limits of the scan do not count. Slower than
    /// [`scan`](Self::scan), and for when that has answered [`StoreError::Corrupt`].
    fn salvage(&self, scan: &Scan) -> Result<Salvage, StoreError>;

    /// The number of the newest commit, or a higher one. It never goes back, not even over commits that were lost.
    fn commits(&self) -> u64;

    /// How many commits were lost, and the operator went on without them.
    fn lost_commits(&self) -> u64 {
        0
    }

    /// Bytes on disk, about.
    fn size(&self) -> Result<u64, StoreError>;

    /// Bytes that can still be written before commits are refused as [`StoreError::Full`], about; `None` if no bound is
    /// known.
    fn room(&self) -> Option<u64> {
        None
    }
}
