//! The only way into a shard from another thread.
//!
//! Bounded by what it carries: each feed waits here at most once (its topic marks it), each connection enters once and
//! has one or two answers of workers under way and pauses once, whoever gives an order waits for its outcome,
//! and there are only as many settlements as messages that wait for the disk.

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
use fanwire_proto::{ClientId, CloseCode};
use mio::Waker;
use parking_lot::Mutex;

use super::{Newcomer, Order, Settlement, ShardLimits, Socket};
use crate::{
    liveness::Pulse,
    topic::{FeedRef, ShardId},
    wire::{Body, Closing, Spoken},
};

/// A connection as other threads see it. It may be gone by now.
#[derive(Clone)]
pub struct Address {
    pub(super) shard: ShardHandle,
    pub(super) slot: u32,
    pub(super) client: ClientId,
    pub(super) spoken: Spoken,
}

impl Address {
    /// What is spoken there.
    pub fn spoken(&self) -> &Spoken {
        &self.spoken
    }

    /// Sends frames. Whoever does has to see to it that there are not too many.
    pub fn deliver(&self, frames: Vec<Bytes>) {
        self.shard.push(Job::Deliver(self.slot, self.client, frames));
    }

    /// Sends something of the door's own.
    pub fn send(&self, body: Body) {
        self.deliver(vec![self.spoken.speaker().say(body)]);
    }

    /// Ends the connection.
    pub fn end(&self, closing: Closing) {
        self.shard.push(Job::End(self.slot, self.client, closing));
    }
}

/// A connection whose door has [paused](super::Cx::pause) it; it goes on when this is dropped.
pub struct Paused(pub(super) Address);

impl Drop for Paused {
    fn drop(&mut self) {
        let Address { shard, slot, client, .. } = &self.0;
        shard.push(Job::Resume(*slot, *client));
    }
}

/// A connection that waits for its socket; it ends if this is dropped instead.
pub struct Awaited(Option<Address>);

impl Awaited {
    pub(super) fn new(address: Address) -> Self {
        Self(Some(address))
    }

    /// Hands over the socket, to which the beginning of the response has been written.
    pub fn attach(mut self, socket: Socket) {
        if let Some(Address { shard, slot, client, .. }) = self.0.take() {
            shard.push(Job::Attach(slot, client, socket));
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(address) = self.0.take() {
            address.end(CloseCode::Normal.into());
        }
    }
}

/// Everything that other threads ask of a shard.
pub(super) enum Job {
    /// A topic has something for this feed.
    Pull(u32),
    /// Take over a connection.
    Adopt(Box<Newcomer>),
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

/// A shard as other threads see it.
#[derive(Clone)]
pub struct ShardHandle {
    /// Its number.
    pub id: ShardId,
    shared: Arc<Shared>,
}

impl ShardHandle {
    pub(super) fn new(id: ShardId, waker: Waker) -> Self {
        let shared = Shared {
            jobs: Mutex::default(),
            asleep: AtomicBool::new(false),
            waker,
            connections: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            pulse: Pulse::of_loop(&format!("shard-{}", id.0)),
        };
        Self { id, shared: Arc::new(shared) }
    }

    /// Tells the shard that a topic has something for one of its feeds.
    pub fn notify(&self, feed: FeedRef) {
        self.push(Job::Pull(feed.slot));
    }

    /// Hands over a connection.
    pub fn adopt(&self, newcomer: Newcomer) {
        self.shared.connections.fetch_add(1, Ordering::Relaxed);
        self.push(Job::Adopt(Box::new(newcomer)));
    }

    /// Replaces the bounds.
    pub fn limit(&self, limits: ShardLimits) {
        self.push(Job::Limits(limits));
    }

    /// Gives an order.
    pub fn order(&self, order: Order) {
        self.push(Job::Order(order));
    }

    /// Tells connections what became of their messages.
    pub fn settle(&self, settlements: Vec<Settlement>) {
        self.push(Job::Settled(settlements));
    }

    /// The receiver hears once the shard has finished whatever it was doing when this was called.
    pub fn sync(&self) -> mpsc::Receiver<()> {
        let (done, wait) = mpsc::sync_channel(1);
        self.push(Job::Sync(done));
        wait
    }

    /// Orders the shard to deliver what is left and end its connections, within `limit`.
    pub fn finish(&self, limit: Duration) {
        self.push(Job::Finish(limit));
    }

    /// Its sign of life.
    pub fn pulse(&self) -> &Pulse {
        &self.shared.pulse
    }

    /// How many bytes wait for its connections, as of the last second.
    pub fn waiting_bytes(&self) -> usize {
        self.shared.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn outboxes_hold(&self, bytes: usize) {
        self.shared.waiting.store(bytes, Ordering::Relaxed);
    }

    /// How many connections it owns or is about to.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    fn push(&self, job: Job) {
        self.shared.jobs.lock().push(job);
        // The shard sets `asleep` before it looks at `jobs` for the last time, so one of the two sees the other.
        if self.shared.asleep.swap(false, Ordering::SeqCst)
            && let Err(error) = self.shared.waker.wake()
        {
            tracing::error!(%error, "a shard could not be woken");
        }
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

/// Makes the waker and the handle of a new shard.
pub(super) fn open(id: ShardId, registry: &mio::Registry, token: mio::Token) -> io::Result<ShardHandle> {
    Ok(ShardHandle::new(id, Waker::new(registry, token)?))
}
