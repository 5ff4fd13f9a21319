//! All subscriptions of one shard's connections, and whose turn it is.

use std::time::{Duration, Instant};

use slab::Slab;

use super::{
    bounds::Bounds,
    connections::Connections,
    counts::Counts,
    faults::{Fault, planted},
    feed::{Feed, Turn},
    options::SubKey,
    pass::{Pass, SliceBytes},
    passes::{Slice, pass_on, pause_after},
    rates::Rates,
    readers::Readers,
    slot::slot32,
    turns::Turns,
};
use crate::{
    defaults,
    topic::{FeedRef, Kind, Pulled, ShardId},
};

/// All subscriptions of one shard's connections.
pub struct Fanout {
    pub(super) shard: ShardId,
    pub(super) bounds: Bounds,
    pub(super) feeds: Slab<Feed>,
    pub(super) rates: Rates,
    pub(super) readers: Readers,
    pub(super) turns: Turns,
    /// Empty between slices.
    bytes: SliceBytes,
    ended: Vec<(u32, SubKey)>,
    pub(super) counts: Counts,
    /// Nothing is held back any more.
    draining: bool,
}

impl Fanout {
    /// Of a shard without subscriptions.
    pub fn new(shard: ShardId, bounds: Bounds) -> Self {
        Self {
            shard,
            bounds,
            feeds: Slab::new(),
            rates: Rates::default(),
            readers: Readers::default(),
            turns: Turns::default(),
            bytes: SliceBytes::default(),
            ended: Vec::new(),
            counts: Counts::default(),
            draining: false,
        }
    }

    /// A topic has something for a feed.
    pub fn notified(&mut self, slot: u32, now: Instant) {
        // The feed that was told may be closed, and the slot another one's: that one pulls in vain.
        if let Some(feed) = self.feeds.get_mut(slot as usize) {
            self.turns.schedule(slot, feed, now);
        }
    }

    /// Makes those run whose pause is over.
    pub fn wake(&mut self, now: Instant) {
        self.turns.resume_due(&mut self.feeds, now);
    }

    /// When [`wake`](Self::wake) has to be called.
    pub fn next_wake(&self) -> Option<Instant> {
        self.turns.next()
    }

    /// Whether there is something to do at once.
    pub fn has_work(&self) -> bool {
        !self.turns.is_empty() || self.readers.waiting() > 0
    }

    /// Whether everything that was published has been passed on, but for those who have to catch up.
    pub fn is_idle(&self) -> bool {
        self.feeds.iter().all(|(_, feed)| feed.turn == Turn::Idle)
    }

    /// From now on nothing is held back: no pauses, no rates.
    pub fn drain(&mut self, now: Instant) {
        self.draining = true;
        for (slot, feed) in &mut self.feeds {
            let slot = slot32(slot);
            feed.not_before = now;
            // One that waits runs now; any other has one more look at its topic.
            self.turns.resume(slot, feed, now);
            self.turns.schedule(slot, feed, now);
        }
    }

    /// Subscriptions that had to end as `overloaded`. They have been told, get nothing more, and are to be
    /// [removed](Self::unsubscribe).
    pub fn take_ended(&mut self) -> Vec<(u32, SubKey)> {
        std::mem::take(&mut self.ended)
    }

    /// What happened since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Runs slices of passes, each runnable feed in turn, until the turn's share is used up. `now` is the turn's time.
    pub fn run(&mut self, io: &mut impl Connections, now: Instant) {
        let mut budget = self.bounds.turn_deliveries;
        while budget > 0
            && let Some(slot) = self.turns.pop()
        {
            // A feed without anything to pass on has cost a look at its topic.
            budget = budget.saturating_sub(self.run_feed(io, slot, now).max(1));
        }
    }

    /// Runs one slice; returns how many subscribers it served.
    fn run_feed(&mut self, io: &mut impl Connections, slot: u32, now: Instant) -> usize {
        let at = FeedRef { shard: self.shard, slot };
        let Self { bounds, feeds, readers, turns, bytes, ended, counts, draining, .. } = self;
        // Nothing is taken out of the queue: it may name a feed that was closed, or one that got its slot.
        let Some(feed) = feeds.get_mut(slot as usize).filter(|feed| feed.turn == Turn::Running) else {
            return 0;
        };
        let mut slice = Slice { io, bounds, readers, counts, ended, bytes };
        if feed.pass.is_none() {
            // Before the pull, which takes all that was announced until now.
            feed.again = false;
            feed.pass = begin_pass(&mut slice, at, feed, now);
        }
        let served = match feed.pass.take() {
            Some(pass) => run_pass(&mut slice, feed, pass, *draining),
            None => {
                feed.turn = Turn::Idle;
                0
            }
        };
        match feed.turn {
            // Behind all others: a large topic gets one slice in each round.
            Turn::Running => turns.put_back(slot),
            Turn::Idle if feed.again => turns.schedule(slot, feed, now),
            Turn::Idle | Turn::Waiting => {}
        }
        served
    }
}

fn begin_pass<C: Connections>(
    slice: &mut Slice<'_, C>,
    at: FeedRef,
    feed: &mut Feed,
    now: Instant,
) -> Option<Box<Pass>> {
    let Pulled { messages, upto, changes, more } = feed.topic.pull(at, slice.bounds.pass_bytes)?;
    let changes = changes.unwrap_or_else(|| {
        slice.end_watching(feed);
        Default::default()
    });
    // Whatever becomes of it here, the topic counts this as taken over, and no pull brings it again.
    let prev = std::mem::replace(&mut feed.position, upto);
    if messages.is_empty() && changes.list.is_empty() {
        return None;
    }
    // Once for all who take every pass; whoever does not counts by itself.
    let skipped = match feed.topic.kind {
        Kind::Latest => messages.iter().map(|message| pass_on(&mut feed.seen, message)).collect(),
        Kind::Log | Kind::Document | Kind::Volatile => Vec::new(),
    };
    slice.counts.conflated += skipped.iter().sum::<u64>();
    if feed.seen.len() >= feed.seen_bound {
        feed.topic.retain_keys(&mut feed.seen);
        // The next look comes when as many again have been added, so its cost is spread over them.
        feed.seen_bound = 2 * feed.seen.len().max(defaults::MAX_KEYS);
    }
    Some(Box::new(Pass::new(messages, skipped, changes, (prev, upto), more, now)))
}

/// Runs a slice of a pass, and puts the pass back unless that was the last one.
fn run_pass<C: Connections>(
    slice: &mut Slice<'_, C>,
    feed: &mut Feed,
    mut pass: Box<Pass>,
    draining: bool,
) -> usize {
    let most = slice.bounds.slice_subscribers;
    let end = feed.subs.len().min(pass.cursor + most);
    let served = end - pass.cursor;
    let started = slice.io.now();
    slice.run(feed, &mut pass, end);
    if feed.subs.len() > most {
        // A large topic pays for its own writes; small ones share the write at the end of the turn.
        slice.io.flush_all();
    }
    let now = slice.io.now();
    pass.spent += now - started;
    match pass.cursor < feed.subs.len() {
        true => feed.pass = Some(pass),
        false => end_pass(feed, &pass, now, draining),
    }
    served
}

fn end_pass(feed: &mut Feed, pass: &Pass, now: Instant, draining: bool) {
    feed.turn = Turn::Idle;
    feed.again |= pass.more && !planted(Fault::StopsInTheMiddle);
    if draining {
        return;
    }
    let pause = match feed.topic.kind {
        // A rest would make messages late, which this kind never is.
        Kind::Volatile => Duration::ZERO,
        Kind::Log | Kind::Latest | Kind::Document => pause_after(pass.spent),
    };
    // Presence alone is no update, and the rest of a batch belongs to it.
    let interval = match pass.more || pass.messages.is_empty() {
        true => Duration::ZERO,
        false => feed.interval,
    };
    // The interval counts from where the pass began, so that a long pass does not lower the rate.
    feed.not_before = (pass.started + interval).max(now + pause);
}
