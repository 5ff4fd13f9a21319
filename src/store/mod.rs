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

mod batch;
mod committer;
#[cfg(test)]
mod conformance;
mod disk;
mod error;
mod faulty;
mod memory;
mod salvage;
mod scan;
mod space;
mod verbs;

pub use batch::{Batch, KEY_BYTES_MAX, VALUE_BYTES_MAX, Write};
pub use committer::{Committer, Counts, Job, Pace};
#[cfg(test)]
pub(crate) use conformance::scratch;
pub use disk::{Damaged, Disk, Entries, Found, Inspection, Options as DiskOptions};
pub use error::StoreError;
pub use faulty::{Fault, Faulty, Held};
pub use memory::Memory;
pub use salvage::{Hole, Salvage, Salvaged};
pub use scan::{Entry, Scan};
pub use space::Space;
pub use verbs::Store;
