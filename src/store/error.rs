//! Why a store did not do as told.

use std::sync::Arc;

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
