//! When grants end: the doors of those connections are asked at once, not with their next ping.

use std::num::NonZeroU64;

use super::core::Core;

impl Core {
    /// Notes when a connection's grant ends, instead of what was noted before.
    pub(super) fn ends_at(&mut self, slot: u32, end_ms: Option<u64>) {
        let Some(conn) = self.out.conns.get_mut(slot as usize) else { return };
        // What ended in 1970 has ended as well one millisecond later.
        let end_ms = end_ms.map(|end_ms| NonZeroU64::new(end_ms).unwrap_or(NonZeroU64::MIN));
        let before = std::mem::replace(&mut conn.ends_ms, end_ms);
        self.endings.change(slot, before.map(NonZeroU64::get), end_ms.map(NonZeroU64::get));
    }

    /// The next connection whose grant has ended.
    pub(super) fn next_ending(&mut self) -> Option<u32> {
        let slot = self.endings.pop_due(self.now_ms)?;
        if let Some(conn) = self.out.conns.get_mut(slot as usize) {
            conn.ends_ms = None;
        }
        Some(slot)
    }
}
