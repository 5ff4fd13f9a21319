//! What a shard owns: connections, feeds, and the queues of work between them.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use fanwire_proto::ErrorCode;
use mio::Registry;
use rustc_hash::FxHashMap;
use slab::Slab;

pub(super) use super::slot::slot32;
use super::{
    conn::Conn,
    feed::{Feed, Sub, Turn},
    inbox::ShardHandle,
    options::SubKey,
    table::Table,
    tally::Tally,
    timers::{Endings, Timer, Timers},
    wakes::Wakes,
};
use crate::{
    topic::Topic,
    wire::{Dialect, Encoding, Limits, Speaker, Spoken},
};

/// The bounds a shard applies.
#[derive(Clone, Debug)]
pub struct ShardLimits {
    /// Of what is read and written.
    pub bytes: Limits,
    /// Between pings.
    pub ping: Duration,
    /// To answer a ping; at most `ping`.
    pub pong_timeout: Duration,
}

/// Everything of a shard but its doors. One thread owns it, so all of it is plain values.
pub(super) struct Core {
    pub(super) handle: ShardHandle,
    pub(super) peers: Arc<[ShardHandle]>,
    pub(super) registry: Registry,
    pub(super) limits: ShardLimits,
    /// By number, of those that connections here speak.
    pub(super) dialects: Vec<Arc<dyn Dialect>>,
    pub(super) conns: Slab<Conn>,
    pub(super) feeds: Slab<Feed>,
    pub(super) feed_of: FxHashMap<FeedKey, u32>,
    /// How many feeds with a rate of their own a topic has, by its address; none for most.
    pub(super) rates: FxHashMap<usize, usize>,
    /// Feeds with a pass to run, in turn.
    pub(super) runnable: VecDeque<u32>,
    /// Connections with subscriptions that read on in the history, in turn.
    pub(super) catching: VecDeque<u32>,
    /// Connections with more to read or to do, in turn; each once.
    pub(super) readable: VecDeque<u32>,
    /// Connections written to in this turn.
    pub(super) dirty: Vec<u32>,
    /// Connections whose backlog went over its bound in this turn.
    pub(super) overflowed: Vec<u32>,
    /// Subscriptions that the server ends in this turn.
    pub(super) ended: Vec<(u32, SubKey)>,
    /// Doors that are to hear of subscriptions that the server has ended.
    pub(super) told: Vec<(u32, SubKey, ErrorCode)>,
    /// Connections to be dropped at the end of this turn.
    pub(super) dead: Vec<u32>,
    /// Connections whose last words are being read.
    pub(super) lingering: Vec<u32>,
    /// The frames of this turn, referred to by index from connections' stages.
    pub(super) frames: Table,
    /// What a connection calls its own of what it is about to be sent.
    pub(super) own: Vec<u8>,
    /// What subscribers share in the slice of a pass that runs; empty between slices.
    pub(super) shared: SliceFrames,
    /// What the connection whose input is handled has cost in this turn, see [`defaults::TURN_COST`].
    pub(super) spent: u32,
    /// What the connection whose door runs is about to be sent.
    pub(super) replies: Vec<u8>,
    pub(super) scratch: Vec<u8>,
    pub(super) timers: Timers,
    pub(super) endings: Endings,
    pub(super) wakes: Wakes,
    pub(super) started: Instant,
    pub(super) now: Instant,
    pub(super) now_ms: u64,
    pub(super) tally: Tally,
    /// The shard ends: nothing is held back any more.
    pub(super) draining: bool,
}

/// Subscribers of the same topic with the same interval share a feed.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
pub(super) struct FeedKey {
    topic: usize,
    interval: Duration,
}

impl FeedKey {
    /// The topic's address, if it is one of those with a rate of their own.
    pub(super) fn rated(&self) -> Option<usize> {
        (!self.interval.is_zero()).then_some(self.topic)
    }

    pub(super) fn new(topic: &Arc<Topic>, interval: Duration) -> Self {
        // The feed holds the topic, so the address stays its own for as long as the key is in use.
        Self { topic: Arc::as_ptr(topic) as usize, interval }
    }
}

/// Entries of the turn's table that many connections refer to: one per encoding, once somebody who speaks it was met. A
/// crowd has few encodings, so a list is the fastest.
#[derive(Default)]
pub(super) struct SliceFrames {
    pub(super) batches: SharedEntries,
    pub(super) changes: SharedEntries,
}

pub(super) type SharedEntries = Vec<(Encoding, Option<u32>)>;

impl Core {
    /// Notes what a newcomer speaks.
    pub(super) fn learn(&mut self, spoken: &Spoken) {
        let index = spoken.encoding().dialect.index();
        if index >= self.dialects.len() {
            // Whatever number lies between belongs to a dialect that nobody here speaks yet.
            self.dialects.resize_with(index + 1, || spoken.dialect().clone());
        }
        self.dialects[index] = spoken.dialect().clone();
    }

    /// Makes the bytes of an encoding that some connection here has.
    pub(super) fn speaker(&self, encoding: Encoding) -> Speaker<'_> {
        Speaker::new(encoding, &*self.dialects[encoding.dialect.index()])
    }

    /// What a subscription is called.
    pub(super) fn key_of(&self, sub: &Sub) -> SubKey {
        self.conns[sub.conn as usize].subs[sub.place as usize].key
    }

    /// Makes a connection's bytes.
    pub(super) fn speaker_of(&self, slot: u32) -> Speaker<'_> {
        self.speaker(self.conns[slot as usize].encoding)
    }

    /// This turn's time in microseconds since some moment: a clock that starts over after an hour, which is enough to
    /// tell how long a ping took.
    pub(super) fn micros(&self) -> u32 {
        const WRAP: u128 = 1 << 32;
        u32::try_from((self.now - self.started).as_micros() % WRAP).unwrap_or(0)
    }

    pub(super) fn has_work(&self) -> bool {
        !self.runnable.is_empty() || !self.catching.is_empty() || !self.readable.is_empty()
    }

    /// Queues a connection whose input is to be read, or whose door has more to do.
    pub(super) fn want_read(&mut self, slot: u32) {
        if let Some(conn) = self.conns.get_mut(slot as usize)
            && !std::mem::replace(&mut conn.in_turn, true)
        {
            self.readable.push_back(slot);
        }
    }

    /// Makes a feed run now, or when its pause is over.
    pub(super) fn schedule(&mut self, slot: u32) {
        let Some(feed) = self.feeds.get_mut(slot as usize) else { return };
        match feed.turn {
            Turn::Running | Turn::Waiting => feed.again = true,
            Turn::Idle if feed.not_before <= self.now => {
                feed.turn = Turn::Running;
                self.runnable.push_back(slot);
            }
            Turn::Idle => {
                feed.turn = Turn::Waiting;
                self.timers.set(feed.not_before, Timer::Feed(slot));
            }
        }
    }

    /// A feed's pause may be over.
    pub(super) fn resume_feed(&mut self, slot: u32) {
        if let Some(feed) = self.feeds.get_mut(slot as usize)
            && feed.turn == Turn::Waiting
            && feed.not_before <= self.now
        {
            feed.turn = Turn::Running;
            self.runnable.push_back(slot);
        }
    }

    /// Makes a connection's waiting subscriptions be looked at, unless its socket must drain first.
    pub(super) fn schedule_catch_up(&mut self, slot: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        conn.lagging = true;
        if !conn.is_blocked() && !conn.queued {
            conn.queued = true;
            self.catching.push_back(slot);
        }
    }
}
