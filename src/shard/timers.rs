//! What a shard has to do at a later time.

use std::{cmp::Reverse, collections::BinaryHeap, time::Instant};

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
