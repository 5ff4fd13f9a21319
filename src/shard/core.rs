//! What a shard owns: connections, their subscriptions, and the queues of work between them.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use fanwire_proto::ErrorCode;
use mio::Registry;

use super::{inbox::Inbox, limits::ShardLimits, outgoing::Outgoing, timers::Endings, wakes::Wakes};
pub(super) use crate::fanout::slot32;
use crate::{
    clock::unix_ms,
    fanout::{Bounds, Fanout, SubKey},
};

/// Everything of a shard but its doors. One thread owns it, so all of it is plain values.
pub(super) struct Core {
    pub(super) inbox: Inbox,
    /// Those of all shards, by number.
    pub(super) peers: Arc<[Inbox]>,
    pub(super) registry: Registry,
    pub(super) out: Outgoing,
    pub(super) fanout: Fanout,
    /// Connections with more to read or to do, in turn; each once.
    pub(super) readable: VecDeque<u32>,
    /// Doors that are to hear of subscriptions that the server has ended.
    pub(super) told: Vec<(u32, SubKey, ErrorCode)>,
    /// Connections whose last words are being read.
    pub(super) lingering: Vec<u32>,
    /// What the connection whose input is handled has cost in this turn, see [`TURN_COST`](crate::defaults::TURN_COST).
    pub(super) spent: u32,
    pub(super) endings: Endings,
    pub(super) wakes: Wakes,
    pub(super) started: Instant,
    /// When what waits for all connections was added up.
    pub(super) outboxes_looked_at: Instant,
    pub(super) now: Instant,
    pub(super) now_ms: u64,
}

impl Core {
    /// Nothing yet, within these limits.
    pub(super) fn new(inbox: Inbox, peers: Arc<[Inbox]>, registry: Registry, limits: ShardLimits) -> Self {
        let (now, shard) = (Instant::now(), inbox.id);
        Self {
            inbox,
            peers,
            registry,
            out: Outgoing::new(limits),
            fanout: Fanout::new(shard, Bounds::default()),
            readable: VecDeque::new(),
            told: Vec::new(),
            lingering: Vec::new(),
            spent: 0,
            endings: Endings::default(),
            wakes: Wakes::default(),
            started: now,
            outboxes_looked_at: now,
            now,
            now_ms: unix_ms(),
        }
    }

    /// This turn's time in microseconds since some moment: a clock that starts over after an hour, which is enough to
    /// tell how long a ping took.
    pub(super) fn micros(&self) -> u32 {
        const WRAP: u128 = 1 << 32;
        u32::try_from((self.now - self.started).as_micros() % WRAP).unwrap_or(0)
    }

    pub(super) fn has_work(&self) -> bool {
        self.fanout.has_work() || !self.readable.is_empty()
    }

    /// Queues a connection whose input is to be read, or whose door has more to do.
    pub(super) fn want_read(&mut self, slot: u32) {
        if let Some(conn) = self.out.conns.get_mut(slot as usize)
            && !std::mem::replace(&mut conn.in_turn, true)
        {
            self.readable.push_back(slot);
        }
    }
}
