//! What is kept beyond the life of the process: an ordered map of bytes per [`Space`], behind a few verbs.
//!
//! # What an implementation promises
//! - **Atomic**: after a crash at any moment either everything a [`Batch`] writes is there, or nothing of it.
//! - **Durable**: once [`Store::commit`] has returned `Ok`, the batch survives the death of the process and a power cut,
//!   unless the implementation says that it keeps nothing ([`Memory`]).
//! - **Ordered**: a batch that is there after a crash has every batch committed before it there, too. Within a batch
//!   later writes win.
//! - **Failure**: after an `Err` from `commit` the batch may or may not be there after a crash, and is not visible to
//!   `get` and `scan` before one unless a later commit of the same batch succeeds. The caller may commit the same batch
//!   again: writing twice is writing once. Reads go on.
//! - **Damage**: bytes that are not what was written are never returned: `get` and `scan` answer
//!   [`StoreError::Corrupt`] with the place. Nothing is deleted because of damage.
//!
//! Who commits what, and when, is the [`Committer`]'s matter: it gathers the batches of many into one commit.

mod committer;
#[cfg(test)]
mod conformance;
mod disk;
mod faulty;
mod memory;
mod salvage;

use std::{ops::Bound, sync::Arc};

use bytes::Bytes;
pub use committer::{Committer, Counts, Job, Pace};
#[cfg(test)]
pub(crate) use conformance::scratch;
pub use disk::{Damaged, Disk, Entries, Found, Inspection, Options as DiskOptions};
pub use faulty::{Fault, Faulty, Held};
pub use memory::Memory;
pub use salvage::{Hole, Salvage, Salvaged};

/// A map of its own. The numbers are on disk: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Space {
    /// What is known of each durable topic.
    Topics = 0,
    /// Messages of durable `log` topics.
    Messages = 1,
    /// Values of durable `latest` topics.
    Values = 2,
    /// Webhook deliveries.
    Deliveries = 3,
    /// What was seen before: delivery ids and idempotency keys.
    Seen = 4,
    /// Documents: base states, updates, versions.
    Documents = 5,
    /// The store's own notes, such as whether the last run ended in order.
    Store = 6,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Topics,
        Self::Messages,
        Self::Values,
        Self::Deliveries,
        Self::Seen,
        Self::Documents,
        Self::Store,
    ];

    /// Its name on disk and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Messages => "messages",
            Self::Values => "values",
            Self::Deliveries => "deliveries",
            Self::Seen => "seen",
            Self::Documents => "documents",
            Self::Store => "store",
        }
    }
}

/// Bytes of a key, at most; a key has at least one.
pub const KEY_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a value, at most.
pub const VALUE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One change. Keys are 1 to [`KEY_BYTES_MAX`] bytes, values up to [`VALUE_BYTES_MAX`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// Sets a value.
    Put(Space, Bytes, Bytes),
    /// Removes a key; one that is not there is no error.
    Delete(Space, Bytes),
}

/// Changes that happen together or not at all.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Batch {
    /// In order; later ones win.
    pub writes: Vec<Write>,
}

impl Batch {
    /// Sets a value.
    pub fn put(&mut self, space: Space, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.writes.push(Write::Put(space, key.into(), value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, space: Space, key: impl Into<Bytes>) {
        self.writes.push(Write::Delete(space, key.into()));
    }

    /// Whether every key and value can be kept.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        for write in &self.writes {
            let (space, key, value) = match write {
                Write::Put(space, key, value) => (space, key, value.len()),
                Write::Delete(space, key) => (space, key, 0),
            };
            if key.is_empty() || key.len() > KEY_BYTES_MAX || value > VALUE_BYTES_MAX {
                let problem = format!("{}: a key of {} bytes, a value of {value}", space.name(), key.len());
                return Err(StoreError::Invalid(problem.into()));
            }
        }
        Ok(())
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        let size = |write: &Write| match write {
            Write::Put(_, key, value) => key.len() + value.len(),
            Write::Delete(_, key) => key.len(),
        };
        self.writes.iter().map(size).sum()
    }
}

/// Which keys, in which order, and how many.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The map.
    pub space: Space,
    /// From here on.
    pub from: Bound<Bytes>,
    /// Up to here.
    pub to: Bound<Bytes>,
    /// From the end to the beginning.
    pub reverse: bool,
    /// Most entries.
    pub limit: usize,
    /// Stop once values of about this many bytes were read; at least one entry is returned if there is one.
    pub bytes: usize,
}

impl Scan {
    /// Every key that begins with `prefix`, without limits.
    pub fn prefix(space: Space, prefix: impl Into<Bytes>) -> Self {
        let prefix: Bytes = prefix.into();
        let to = successor(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        Self {
            space,
            from: Bound::Included(prefix),
            to,
            reverse: false,
            limit: usize::MAX,
            bytes: usize::MAX,
        }
    }

    /// Whether no key can be in the range; maps panic on a start after the end.
    fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
                from >= to
            }
        }
    }
}

/// The first key that does not begin with the prefix and is greater; `None` if there is no greater one.
fn successor(prefix: &[u8]) -> Option<Bytes> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix[..=kept].to_vec();
    next[kept] += 1;
    Some(next.into())
}

/// A key with its value.
pub type Entry = (Bytes, Bytes);

/// Why the store did not do as told. Cheap to copy, since all that shared a commit share its outcome.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No room on the disk, or too little to go on.
    #[error("the disk is full: {0}")]
    Full(Arc<str>),
    /// What is on the disk is not what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(Arc<str>),
    /// Another process has the store open.
    #[error(
        "the store is in use by another process; end that one first, or give each a directory of its own"
    )]
    Locked,
    /// This place cannot hold a store as it is: what stands in the way, and what to do about it.
    #[error("{0}")]
    Unusable(Arc<str>),
    /// Reading or writing failed.
    #[error("the store failed: {0}")]
    Io(Arc<str>),
    /// A key or a value is too long, or a key is empty.
    #[error("this cannot be kept: {0}")]
    Invalid(Arc<str>),
    /// The store was closed; nothing more is kept.
    #[error("the store is closed")]
    Closed,
}

/// An ordered map per space, see the module's documentation for what is promised. All verbs block.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(successor(b"ab"), Some(Bytes::from_static(b"ac")));
        assert_eq!(successor(b"a\xff"), Some(Bytes::from_static(b"b")));
        assert_eq!(successor(b"\xff\xff"), None);
        assert_eq!(successor(b""), None);
    }
}
