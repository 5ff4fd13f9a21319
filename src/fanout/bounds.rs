//! How much is done in one go.

use crate::defaults;

/// Bounds of turns, slices and batches. Their defaults say why they are what they are.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// [`defaults::TURN_DELIVERIES`].
    pub turn_deliveries: usize,
    /// [`defaults::TURN_CATCH_UPS`].
    pub turn_catch_ups: usize,
    /// [`defaults::SLICE_SUBSCRIBERS`].
    pub slice_subscribers: usize,
    /// [`defaults::PASS_BYTES`].
    pub pass_bytes: usize,
    /// [`defaults::PASS_CHANGES`].
    pub pass_changes: usize,
    /// [`defaults::CATCH_UP_BYTES`].
    pub catch_up_bytes: usize,
    /// [`defaults::WATCHER_BACKLOG`].
    pub watcher_backlog: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            turn_deliveries: defaults::TURN_DELIVERIES,
            turn_catch_ups: defaults::TURN_CATCH_UPS,
            slice_subscribers: defaults::SLICE_SUBSCRIBERS,
            pass_bytes: defaults::PASS_BYTES,
            pass_changes: defaults::PASS_CHANGES,
            catch_up_bytes: defaults::CATCH_UP_BYTES,
            watcher_backlog: defaults::WATCHER_BACKLOG,
        }
    }
}
