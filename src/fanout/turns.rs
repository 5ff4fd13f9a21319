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
    /// Timers are not cancelled one by one: what they find gone or done, they leave alone.
    timers: BinaryHeap<Reverse<(Instant, u32)>>,
    /// So many of them are of feeds that are gone, at least.
    stale: usize,
}

/// So many stale timers are not worth going through the others.
const FEW_STALE: usize = 64;

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

    /// A feed is gone, and its timer may be far off. Once there are more such timers than others they are forgotten, so that each
    /// that is looked at is paid for by one that is forgotten.
    pub(super) fn closed(&mut self, feed: &Feed, feeds: &Slab<Feed>) {
        self.stale += usize::from(feed.turn == Turn::Waiting);
        if self.stale > FEW_STALE.max(self.timers.len() / 2) {
            let is_set = |feed: &Feed, at: Instant| feed.turn == Turn::Waiting && feed.not_before == at;
            self.timers.retain(|Reverse((at, slot))| {
                feeds.get(*slot as usize).is_some_and(|feed| is_set(feed, *at))
            });
            self.stale = 0;
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::topic::{Rule, Topic};

    #[test]
    fn timers_of_feeds_that_are_gone_do_not_pile_up() {
        let name = "t".parse().unwrap();
        let topic = Arc::new(Topic::new(name, Arc::new(Rule::default()), fanwire_proto::Epoch(1), 0));
        let (mut turns, mut feeds, now) = (Turns::default(), Slab::new(), Instant::now());
        let later = now + Duration::from_secs(1_000);
        let feed = || Feed { not_before: later, ..Feed::new(topic.clone(), Duration::ZERO, now) };
        let stays = feeds.insert(feed());
        turns.schedule(0, &mut feeds[stays], now);
        for _ in 0..10_000 {
            let slot = feeds.insert(feed());
            turns.schedule(u32::try_from(slot).unwrap(), &mut feeds[slot], now);
            let gone = feeds.remove(slot);
            turns.closed(&gone, &feeds);
            assert!(turns.timers.len() < 3 * FEW_STALE);
        }
        turns.resume_due(&mut feeds, later);
        assert_eq!(feeds[stays].turn, Turn::Running, "whose feed is there is not forgotten");
    }
}
