//! Places in a shard's tables.

/// Slots are kept in 32 bits: the descriptors of a process never reach that many.
pub(crate) fn slot32(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}
