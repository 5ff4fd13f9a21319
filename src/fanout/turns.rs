//! Which feeds run now, and which when their pause is over.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::Instant,
};

use slab::Slab;

use super::feed::{Feed, Turn};

/// The feeds' turns. Invariant: a feed that is [`Running`](Turn::Running) is in the queue once or being run; one that is
/// [`Waiting`](Turn::Waiting) has a timer.
#[derive(Default)]
pub(super) struct Turns {
    /// Feeds with a pass to run, in turn.
    runnable: VecDeque<u32>,
    /// Timers are never cancelled: what they find gone or done, they leave alone.
    timers: BinaryHeap<Reverse<(Instant, u32)>>,
}

impl Turns {
    /// Makes a feed run now, or when its pause is over.
    pub(super) fn schedule(&mut self, slot: u32, feed: &mut Feed, now: Instant) {
        match feed.turn {
            Turn::Running | Turn::Waiting => feed.again = true,
            Turn::Idle if feed.not_before <= now => {
                feed.turn = Turn::Running;
                self.runnable.push_back(slot);
            }
            Turn::Idle => {
                feed.turn = Turn::Waiting;
                self.timers.push(Reverse((feed.not_before, slot)));
            }
        }
    }

    /// A feed's pause may be over.
    pub(super) fn resume(&mut self, slot: u32, feed: &mut Feed, now: Instant) {
        // The timer may be one of an earlier pause, or of a feed that had the slot before.
        if feed.turn == Turn::Waiting && feed.not_before <= now {
            feed.turn = Turn::Running;
            self.runnable.push_back(slot);
        }
    }

    /// Makes those run whose pause is over.
    pub(super) fn resume_due(&mut self, feeds: &mut Slab<Feed>, now: Instant) {
        while self.next().is_some_and(|at| at <= now)
            && let Some(Reverse((_, slot))) = self.timers.pop()
        {
            if let Some(feed) = feeds.get_mut(slot as usize) {
                self.resume(slot, feed, now);
            }
        }
    }

    /// When the next pause is over.
    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runnable.is_empty()
    }

    /// The next that runs.
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.runnable.pop_front()
    }

    /// It has more to do, after all others.
    pub(super) fn put_back(&mut self, slot: u32) {
        self.runnable.push_back(slot);
    }
}
