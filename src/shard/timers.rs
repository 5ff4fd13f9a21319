//! What a shard has to do at a later time.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    time::Instant,
};

/// The closed list of reasons to wake up without an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    /// A feed may run again: its pause or its interval is over.
    Feed(u32),
    /// Look after the next share of the connections.
    Sweep,
}

/// Timers in order of time. A timer is never cancelled: what it finds gone or done, it leaves alone.
#[derive(Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Timer)>>);

impl Timers {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.push(Reverse((at, timer)));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        match self.next() {
            Some(at) if at <= now => self.0.pop().map(|Reverse((_, timer))| timer),
            _ => None,
        }
    }
}

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
