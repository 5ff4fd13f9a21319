//! A connection that is in a document.

use std::sync::{Arc, atomic::AtomicBool};

use crate::{collab::Room, document::awareness, memory::Owner, topic::Topic};

/// What there is once the connection is in a document.
pub(super) struct Inside {
    pub(super) topic: Arc<Topic>,
    pub(super) room: Arc<Room>,
    pub(super) owner: awareness::Owner,
    /// Who is charged with what it brings.
    pub(super) by: Owner,
    pub(super) speaker: awareness::Speaker,
    pub(super) has_spoken: bool,
    pub(super) was_told_no: bool,
    /// A worker is answering a step 1.
    pub(super) answering: Arc<AtomicBool>,
    /// A worker is looking at a step 2.
    pub(super) offering: Arc<AtomicBool>,
}
