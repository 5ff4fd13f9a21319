//! Deliveries that were kept and are still to be published.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::record::DeliveryId;

/// A delivery with events that are still to be published.
pub(super) struct Unpublished {
    pub(super) id: DeliveryId,
    /// Which ones; `None` for all that were accepted.
    pub(super) events: Option<Vec<usize>>,
}

/// What is to be published again.
#[derive(Default)]
pub(super) struct Late(pub(super) Mutex<VecDeque<Unpublished>>);
