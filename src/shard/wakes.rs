//! Timers of doors: at most one per connection, and nothing for those without.

use std::{collections::BTreeSet, time::Instant};

use rustc_hash::FxHashMap;

/// When which door is to be woken. Invariant: both hold the same.
#[derive(Default)]
pub(super) struct Wakes {
    by_time: BTreeSet<(Instant, u32)>,
    of: FxHashMap<u32, Instant>,
}

impl Wakes {
    /// Sets a connection's timer, in place of the one it had.
    pub(super) fn set(&mut self, slot: u32, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.of.insert(slot, at),
            None => self.of.remove(&slot),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, slot));
        }
        if let Some(at) = at {
            self.by_time.insert((at, slot));
        }
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The next connection whose time has come; its timer is gone.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let (at, slot) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.set(slot, None);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_connection_has_one_timer_and_is_woken_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut wakes = Wakes::default();
        wakes.set(1, Some(at(30)));
        wakes.set(2, Some(at(20)));
        wakes.set(3, Some(at(10)));
        wakes.set(3, None);
        wakes.set(1, Some(at(5)));
        assert_eq!(wakes.next(), Some(at(5)));
        assert_eq!(wakes.pop_due(at(4)), None);
        assert_eq!(
            (wakes.pop_due(at(60)), wakes.pop_due(at(60)), wakes.pop_due(at(60))),
            (Some(1), Some(2), None)
        );
        assert_eq!(wakes.next(), None);
        assert!(wakes.of.is_empty() && wakes.by_time.is_empty());
    }
}
