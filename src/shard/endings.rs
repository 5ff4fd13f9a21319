//! When grants end: the doors of those connections are asked at once, not with their next ping.

use std::collections::BTreeSet;

use super::core::Core;

/// Connections by the time at which their grant ends, in milliseconds since 1970; at most one entry each.
#[derive(Default)]
pub(super) struct Endings(BTreeSet<(u64, u32)>);

impl Endings {
    fn change(&mut self, slot: u32, before: Option<u64>, after: Option<u64>) {
        if let Some(at) = before {
            self.0.remove(&(at, slot));
        }
        if let Some(at) = after {
            self.0.insert((at, slot));
        }
    }

    fn pop_due(&mut self, now_ms: u64) -> Option<u32> {
        let (at, slot) = *self.0.first()?;
        if at > now_ms {
            return None;
        }
        self.0.pop_first();
        Some(slot)
    }
}

impl Core {
    /// Notes when a connection's grant ends, instead of what was noted before.
    pub(super) fn ends_at(&mut self, slot: u32, end_ms: Option<u64>) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        let before = std::mem::replace(&mut conn.ends_ms, end_ms);
        self.endings.change(slot, before, end_ms);
    }

    /// The next connection whose grant has ended.
    pub(super) fn next_ending(&mut self) -> Option<u32> {
        let slot = self.endings.pop_due(self.now_ms)?;
        if let Some(conn) = self.conns.get_mut(slot as usize) {
            conn.ends_ms = None;
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_in_order_and_a_new_one_replaces_the_old_one() {
        let mut endings = Endings::default();
        endings.change(1, None, Some(30));
        endings.change(2, None, Some(20));
        endings.change(3, None, Some(20));
        endings.change(3, Some(20), Some(40));
        endings.change(4, None, Some(10));
        endings.change(4, Some(10), None);
        assert_eq!(endings.pop_due(19), None);
        assert_eq!(endings.pop_due(20), Some(2));
        assert_eq!(endings.pop_due(39), Some(1));
        assert_eq!(endings.pop_due(39), None);
        assert_eq!(endings.pop_due(40), Some(3));
        assert!(endings.0.is_empty());
    }
}
