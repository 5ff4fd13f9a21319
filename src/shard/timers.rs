//! When which grants end.

use std::collections::BTreeSet;

/// Connections by the time at which their grant ends, in milliseconds since 1970; at most one entry each.
#[derive(Default)]
pub(super) struct Endings(BTreeSet<(u64, u32)>);

impl Endings {
    pub(super) fn change(&mut self, slot: u32, before: Option<u64>, after: Option<u64>) {
        if let Some(at) = before {
            self.0.remove(&(at, slot));
        }
        if let Some(at) = after {
            self.0.insert((at, slot));
        }
    }

    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<u32> {
        let (at, slot) = *self.0.first()?;
        if at > now_ms {
            return None;
        }
        self.0.pop_first();
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_come_in_order_and_a_new_one_replaces_the_old_one() {
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
