//! How much messages take, and how many of them make a batch.

use std::sync::Arc;

use super::Placed;
use crate::defaults;

/// About how many bytes so many messages take whose content has so many: the content and, once it was sent, its frame.
pub(super) const fn weight_of(count: usize, bytes: usize) -> usize {
    2 * bytes + count * defaults::MESSAGE_OVERHEAD_BYTES
}

/// Takes messages until their frames reach about `budget` bytes; at least one if there is one.
pub(super) fn take_batch<'a>(
    messages: impl Iterator<Item = &'a Arc<Placed>>,
    budget: usize,
) -> Vec<Arc<Placed>> {
    let mut used = 0;
    let fits = |message: &&Arc<Placed>| {
        let first = used == 0;
        used += message.weight();
        first || used <= budget
    };
    messages.take_while(fits).cloned().collect()
}

/// Saturating milliseconds of a duration.
pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
