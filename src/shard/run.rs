//! A shard's thread: its loop, and what each turn does.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use fanwire_proto::ClientId;
use mio::{Events, Poll, Token};
use slab::Slab;

use super::{
    carry_out,
    conn::Conn,
    core::{Core, slot32},
    door::{Cx, Door},
    drain::Drain,
    guarded::Guarded,
    handle::{Arrivals, ShardHandle},
    inbox::{Inbox, Job},
    input::Input,
    keepalive::{Sweep, TICK},
    limits::ShardLimits,
    newcomer::Newcomer,
    settle,
    tally::{Tally, TallySink},
};
use crate::{clock::unix_ms, defaults, liveness, memory};

/// The waker's token; connections have their slot.
pub(super) const WAKER: Token = Token(usize::MAX);

/// Socket events taken from the kernel at a time.
const EVENTS: usize = 1024;

/// Owns its connections and their doors.
pub(super) struct Shard {
    poll: Poll,
    core: Core,
    doors: Slab<Guarded>,
    input: Input,
    arrivals: Arrivals,
    jobs: Vec<Job>,
    sweep: Sweep,
    /// When the next share of the connections is looked after.
    sweep_at: Instant,
    drain: Option<Drain>,
    sink: Box<dyn TallySink>,
}

impl Shard {
    pub(super) fn new(
        handle: &ShardHandle,
        poll: Poll,
        peers: Arc<[Inbox]>,
        limits: ShardLimits,
        sink: Box<dyn TallySink>,
    ) -> io::Result<Self> {
        let registry = poll.registry().try_clone()?;
        let sweep = Sweep::new(limits.ping, limits.pong_timeout);
        let core = Core::new(handle.inbox.clone(), peers, registry, limits);
        let (doors, input, jobs) = (Slab::new(), Input::new(), Vec::new());
        let sweep_at = core.now + TICK;
        let arrivals = handle.arrivals.clone();
        Ok(Self { poll, core, doors, input, arrivals, jobs, sweep, sweep_at, drain: None, sink })
    }

    /// Serves its connections until they are drained.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while !self.drain.as_ref().is_some_and(|drain| drain.is_over(&self.core)) {
            if let Err(error) = self.wait(&mut events) {
                // Its connections would hang for good; whoever looks after the process starts it anew.
                liveness::end_process(&format!("a shard cannot wait for its sockets: {error}"));
            }
            self.turn(&events);
        }
        self.core.inbox.pulse().retire();
    }

    /// Sleeps until there is something to do.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let now = Instant::now();
        let others = [self.core.fanout.next_wake(), self.core.wakes.next()].into_iter().flatten();
        // Never longer than to the next sweep, so the pulse goes on without any work.
        let next = others.fold(self.sweep_at, Instant::min);
        // With work left it never says that it sleeps, so nobody pays for a system call to wake it.
        let timeout = match self.core.has_work() || !self.core.inbox.fall_asleep() {
            true => Some(Duration::ZERO),
            false => Some(next.saturating_duration_since(now)),
        };
        let waited = self.poll.poll(events, timeout);
        // From here on whoever pushes need not wake it either: jobs are taken in this turn, or keep it from sleeping.
        self.core.inbox.wake_up();
        self.core.inbox.pulse().beat();
        match waited {
            // No events then; a turn without any does no harm.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            other => other,
        }
    }

    fn turn(&mut self, events: &Events) {
        // One time for the whole turn: beside this only slices of passes ask the clock.
        self.core.now = Instant::now();
        self.core.now_ms = unix_ms();
        self.handle_sockets(events);
        self.handle_jobs();
        self.handle_timers();
        self.core.fanout.catch_up(&mut self.core.out);
        self.core.fanout.run(&mut self.core.out, self.core.now);
        // Only now: while passes go over the lists of subscribers nobody may be taken out of them.
        self.core.remove_ended();
        self.tell_ended();
        if let Some(drain) = &mut self.drain {
            drain.go_on(&mut self.core);
        }
        // The order from here on: a backlog overflows in a write, what has been written out can be shut, and a slot is
        // free for the next connection once nothing of this turn names it any more.
        self.core.out.flush_dirty();
        self.core.close_overflowed();
        self.core.tend_lingering();
        self.bury();
        self.report();
    }

    /// Takes up what sockets announce, and then handles input in turn: so much of each connection, and so much of all, that
    /// what others wait for comes soon, however much there is of it.
    fn handle_sockets(&mut self, events: &Events) {
        for event in events.iter().filter(|event| event.token() != WAKER) {
            let slot = slot32(event.token().0);
            if event.is_writable() {
                self.core.handle_writable(slot);
            }
            if let Some(conn) = self.core.out.conns.get_mut(slot as usize)
                && event.is_read_closed()
            {
                // The end may share an edge with the last bytes, and would not be announced again.
                conn.hung_up = true;
            }
            // What is wrong with a socket is said by its next read.
            if event.is_readable() || event.is_error() || event.is_read_closed() {
                self.core.want_read(slot);
            }
        }
        let mut left = defaults::TURN_INPUT_COST;
        // Who asks for more goes to the end of the queue, and is not among these.
        for _ in 0..self.core.readable.len() {
            if left == 0 {
                return;
            }
            if let Some(slot) = self.core.readable.pop_front() {
                self.input.take_turn(&mut self.core, &mut self.doors, slot);
                // A read that brings no whole frame costs a system call all the same.
                left = left.saturating_sub(self.core.spent.max(1));
            }
        }
    }

    fn handle_jobs(&mut self) {
        // The two lists change places: the lock is held for a moment however many there are, and neither is made anew.
        let mut jobs = std::mem::take(&mut self.jobs);
        self.core.inbox.take(&mut jobs);
        for job in jobs.drain(..) {
            match job {
                Job::Pull(feed) => self.core.fanout.notified(feed, self.core.now),
                Job::Adopt => self.arrivals.take().into_iter().for_each(|newcomer| self.adopt(newcomer)),
                Job::Limits(limits) => self.apply(limits),
                Job::Deliver(slot, client, frames) => self.core.out.deliver(slot, client, frames),
                Job::Attach(slot, client, socket) => self.core.attach(slot, client, socket),
                Job::Resume(slot, client) => self.resume(slot, client),
                Job::End(slot, client, closing) => self.core.end(slot, client, closing),
                Job::Order(order) => carry_out::carry_out(&mut self.core, &mut self.doors, order),
                Job::Settled(settlements) => settle::hand_out(&mut self.core, &mut self.doors, settlements),
                // The other side may have stopped waiting.
                Job::Sync(done) => drop(done.try_send(())),
                Job::Finish(limit) => self.drain = Some(Drain::begin(&mut self.core, limit)),
            }
        }
        self.jobs = jobs;
    }

    /// Lets the door go on, and then what else came from its client.
    fn resume(&mut self, slot: u32, client: ClientId) {
        // The connection may have ended while another thread had its answer, and its slot may be another one's.
        let paused = self.core.out.conns.get_mut(slot as usize).filter(|conn| conn.member.client == client);
        let Some(conn) = paused.filter(|conn| conn.is_open() && conn.paused) else { return };
        conn.paused = false;
        self.core.spent = 0;
        // It may have answered pings that nobody has read.
        conn.heard = true;
        self.doors[slot as usize].resumed(&mut Cx { core: &mut self.core, slot });
        self.core.out.stage_replies(slot);
        self.core.want_read(slot);
    }

    /// Connections in the middle of a message finish it under the old bound.
    fn apply(&mut self, limits: ShardLimits) {
        self.sweep = self.sweep.with(limits.ping, limits.pong_timeout);
        self.core.out.limits = limits;
    }

    fn handle_timers(&mut self) {
        self.core.fanout.wake(self.core.now);
        if self.sweep_at <= self.core.now {
            self.sweep();
        }
        while let Some(slot) = self.core.wakes.pop_due(self.core.now) {
            // One that is about to end has said its last words.
            if self.core.out.conns.get(slot as usize).is_some_and(Conn::is_open) {
                self.doors[slot as usize].woke(&mut Cx { core: &mut self.core, slot });
                self.core.out.stage_replies(slot);
            }
        }
    }

    fn sweep(&mut self) {
        for slot in self.core.keep_alive(&mut self.sweep) {
            self.tick(slot);
        }
        // Beside the share of this tick, or a grant would last for up to a ping interval longer.
        while let Some(slot) = self.core.next_ending() {
            self.tick(slot);
        }
        self.core.look_at_outboxes();
        if let Some(drain) = &mut self.drain {
            drain.next_wave(&mut self.core);
        }
        self.sweep_at = self.core.now + TICK;
        memory::relieve();
    }

    /// Lets doors know of subscriptions that the server has ended.
    fn tell_ended(&mut self) {
        for (slot, key, code) in std::mem::take(&mut self.core.told) {
            if self.core.out.conns.get(slot as usize).is_some_and(Conn::is_open) {
                // Not when the subscription ended: the door that runs then may be this one.
                self.doors[slot as usize].ended(&mut Cx { core: &mut self.core, slot }, key, code);
                self.core.out.stage_replies(slot);
            }
        }
    }

    fn tick(&mut self, slot: u32) {
        // One buffer has the replies of all doors, so each call is followed by `stage_replies`.
        self.doors[slot as usize].tick(&mut Cx { core: &mut self.core, slot });
        self.core.out.stage_replies(slot);
    }

    fn adopt(&mut self, newcomer: Newcomer) {
        let Newcomer { socket, spoken, member, origin, door, input, permit } = newcomer;
        self.core.out.learn(&spoken);
        let mut conn = Conn::new(socket, spoken.encoding(), member, origin, self.core.now_ms);
        conn.permit = permit;
        let slot = self.core.out.conns.insert(conn);
        let door_slot = self.doors.insert(Guarded(door));
        debug_assert_eq!(slot, door_slot, "connections and doors come and go together");
        self.core.out.tally.opened += 1;
        if let Err(error) = self.core.watch(slot) {
            tracing::warn!(%error, "a connection could not be watched");
            return self.core.out.dead.push(slot32(slot));
        }
        let slot = slot32(slot);
        // What it brought along has a turn's room of its own.
        self.core.spent = 0;
        self.doors[slot as usize].opened(&mut Cx { core: &mut self.core, slot });
        self.core.out.stage_replies(slot);
        if !input.is_empty() {
            self.input.decode(&mut self.core, &mut self.doors, slot, input.as_slice().into());
        }
        // A TLS session may hold input that raises no event any more.
        self.core.want_read(slot);
    }

    /// Drops the connections that ended in this turn.
    fn bury(&mut self) {
        for slot in std::mem::take(&mut self.core.out.dead) {
            // A read, a write and a deadline may all have found it dead in one turn.
            if !self.core.out.conns.contains(slot as usize) {
                continue;
            }
            // While the connection is still there: what it leaves asks who leaves.
            self.core.leave_all(slot);
            self.core.ends_at(slot, None);
            self.core.wakes.set(slot, None);
            let mut conn = self.core.out.conns.remove(slot as usize);
            if let Err(error) = conn.socket.deregister(&self.core.registry) {
                tracing::debug!(%error, "a connection was not watched");
            }
            // Both slabs give out the slot that was freed last, so taking out of both in one order keeps them in step.
            self.doors.remove(slot as usize);
            self.core.inbox.connection_closed();
            self.core.out.tally.closed += 1;
        }
    }

    fn report(&mut self) {
        self.core.out.tally.count(self.core.fanout.take_counts());
        // An idle shard leaves counters alone that all shards share.
        if self.core.out.tally != Tally::default() {
            self.sink.add(&std::mem::take(&mut self.core.out.tally));
        }
    }
}
