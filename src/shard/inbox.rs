//! The only way into a shard from another thread.
//!
//! Bounded by what it carries: each feed waits here at most once (its topic marks it), each connection enters once and
//! has one or two answers of workers under way and pauses once, whoever gives an order waits for its outcome,
//! and there are only as many settlements as messages that wait for their place.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use bytes::Bytes;
use fanwire_proto::ClientId;
use mio::{Registry, Token, Waker};
use parking_lot::Mutex;

use super::{limits::ShardLimits, orders::Order, socket::Socket};
use crate::{
    liveness::Pulse,
    topic::{Ear, FeedRef, Settlement, ShardId},
    wire::Closing,
};

/// Everything that other threads ask of a shard.
pub(super) enum Job {
    /// A topic has something for this feed.
    Pull(u32),
    /// Take over the connections that have arrived.
    Adopt,
    /// Apply other bounds.
    Limits(ShardLimits),
    /// Send a connection these frames, if it is still that client's.
    Deliver(u32, ClientId, Vec<Bytes>),
    /// What a connection's door has waited for is there, if it is still that client's.
    Resume(u32, ClientId),
    /// Give a connection the socket that it waits for, if it is still that client's.
    Attach(u32, ClientId, Socket),
    /// End a connection in order, if it is still that client's.
    End(u32, ClientId, Closing),
    /// Do something to the connections.
    Order(Order),
    /// Tell connections what they wait for.
    Settled(Vec<Settlement>),
    /// Say when everything that was begun before this is done.
    Sync(mpsc::SyncSender<()>),
    /// Deliver what is left, say goodbye, end.
    Finish(Duration),
}

struct Shared {
    jobs: Mutex<Vec<Job>>,
    /// True while the shard is, or is about to be, asleep in `poll`: then somebody must wake it.
    asleep: AtomicBool,
    waker: Waker,
    connections: AtomicUsize,
    /// Bytes that waited for them when that was last looked at.
    waiting: AtomicUsize,
    pulse: Pulse,
}

impl Shared {
    fn push(&self, job: Job) {
        self.jobs.lock().push(job);
        // The shard sets `asleep` before it looks at `jobs` for the last time, so one of the two sees the other.
        if self.asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.waker.wake()
        {
            // Nobody who publishes could do anything about it; the next sweep is a tenth of a second away.
            tracing::error!(%error, "a shard could not be woken");
        }
    }
}

impl Ear for Shared {
    fn hear(&self, settlements: Vec<Settlement>) {
        self.push(Job::Settled(settlements));
    }
}

/// What other threads ask of a shard, in their order.
#[derive(Clone)]
pub(super) struct Inbox {
    /// The shard's number.
    pub(super) id: ShardId,
    shared: Arc<Shared>,
}

impl Inbox {
    /// An empty one; the shard's own thread waits with this registry, and is woken with this token.
    pub(super) fn open(id: ShardId, registry: &Registry, token: Token) -> io::Result<Self> {
        let shared = Shared {
            jobs: Mutex::default(),
            asleep: AtomicBool::new(false),
            waker: Waker::new(registry, token)?,
            connections: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            pulse: Pulse::of_loop(&format!("shard-{}", id.0)),
        };
        Ok(Self { id, shared: Arc::new(shared) })
    }

    /// Tells the shard that a topic has something for one of its feeds.
    pub(super) fn notify(&self, feed: FeedRef) {
        self.push(Job::Pull(feed.slot));
    }

    /// Its sign of life.
    pub(super) fn pulse(&self) -> &Pulse {
        &self.shared.pulse
    }

    /// How many bytes wait for its connections, as of the last second.
    pub(super) fn waiting_bytes(&self) -> usize {
        // A figure: nothing else is read on the strength of it. The same goes for the number of connections.
        self.shared.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn outboxes_hold(&self, bytes: usize) {
        self.shared.waiting.store(bytes, Ordering::Relaxed);
    }

    /// How many connections it owns or is about to.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Asks something of the shard.
    pub(super) fn push(&self, job: Job) {
        self.shared.push(job);
    }

    /// Whom to tell what became of its connections' messages.
    pub(super) fn ear(&self) -> Arc<dyn Ear> {
        self.shared.clone()
    }

    /// One more is about to be there.
    pub(super) fn connection_arrives(&self) {
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connection_closed(&self) {
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Announces that the shard goes to sleep; false when there is a job to do first.
    pub(super) fn fall_asleep(&self) -> bool {
        self.shared.asleep.store(true, Ordering::SeqCst);
        let idle = self.shared.jobs.lock().is_empty();
        if !idle {
            self.shared.asleep.store(false, Ordering::SeqCst);
        }
        idle
    }

    pub(super) fn wake_up(&self) {
        self.shared.asleep.store(false, Ordering::SeqCst);
    }

    /// Moves the waiting jobs into `jobs`, which must be empty.
    pub(super) fn take(&self, jobs: &mut Vec<Job>) {
        std::mem::swap(&mut *self.shared.jobs.lock(), jobs);
    }
}
