//! The loop around all connections: one poll, one read buffer, one alarm for the publishing schedule.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::connection::{Connection, Filled, Role, State, Target};
use super::{Ignore, Sink};
use crate::adapter::{Publication, Subscription};
use crate::clock::{self, Alarm, SECOND};
use crate::error::{Context, Error, Result};

/// Few enough that a due message waits a fraction of a millisecond for a batch to be worked off.
const EVENTS: usize = 128;
/// Holds about a thousand small messages, and any frame the tester can be sent.
const BUFFER: usize = 256 * 1024;
/// A set-up that gets no further for this long has failed.
const SETUP_PATIENCE_NS: u64 = 15 * SECOND;
const ALARM: Token = Token(usize::MAX);

/// All client connections of a run.
#[derive(Debug)]
pub struct Pool {
    poll: Poll,
    events: Events,
    alarm: Alarm,
    buffer: Vec<u8>,
    connections: Vec<Connection>,
    load: Load,
    /// Ends the setting up when it is true.
    stop: Arc<AtomicBool>,
}

/// How fast connections are opened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// The most under way at any moment, so that the server's accept queue never overflows.
    pub at_once: usize,
    /// The most a second.
    pub rate: Option<f64>,
}

impl Pace {
    /// How many may have been opened after so long.
    fn allows(&self, since_ns: u64) -> usize {
        let allowed =
            |rate: f64| usize::try_from(clock::whole(rate * since_ns as f64 / 1e9)).unwrap_or(usize::MAX);
        self.rate.map_or(usize::MAX, |rate| allowed(rate).max(1))
    }
}

/// How the turns went so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Events worked off.
    events: u64,
    /// Of these, the ones in full batches: more connections were ready than one turn takes.
    crowded: u64,
}

impl Load {
    /// The share of events since `before` that came in full batches, in percent. A tester that keeps up finds a few
    /// connections ready at a time even when it never sleeps; one that is behind finds them all.
    #[must_use]
    pub fn behind_percent(self, before: Self) -> f64 {
        let events = self.events - before.events;
        (self.crowded - before.crowded) as f64 * 100.0 / events.max(1) as f64
    }
}

impl Pool {
    /// Makes an empty pool.
    ///
    /// # Errors
    /// When the system gives no poll or timer.
    pub fn new() -> Result<Self> {
        let poll = Poll::new().context("epoll")?;
        let alarm = Alarm::new()?;
        poll.registry()
            .register(&mut SourceFd(&alarm.raw_fd()), ALARM, Interest::READABLE)
            .context("timer")?;
        let events = Events::with_capacity(EVENTS);
        Ok(Self {
            poll,
            events,
            alarm,
            buffer: vec![0; BUFFER],
            connections: Vec::new(),
            load: Load::default(),
            stop: Arc::default(),
        })
    }

    /// A pool that sets up no more connections when `stop` is true.
    #[must_use]
    pub fn until(self, stop: &Arc<AtomicBool>) -> Self {
        Self { stop: Arc::clone(stop), ..self }
    }

    /// How many connections there are, ended ones included; also the number of the next one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there are no connections.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// How the turns went so far.
    #[must_use]
    pub fn load(&self) -> Load {
        self.load
    }

    /// How many connections have ended.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.connections.iter().filter(|c| matches!(c.state, State::Ended(_))).count()
    }

    /// Connects once per client, subscribes to its topics, and returns when all are set up. At most `at_once`
    /// are under way at any moment, so that the server's accept queue never overflows.
    ///
    /// # Errors
    /// When one of them cannot be set up, with the server's reason.
    pub fn open(
        &mut self,
        target: &Rc<Target>,
        clients: Vec<Vec<Subscription>>,
        at_once: usize,
    ) -> Result<()> {
        let pace = Pace { at_once, rate: None };
        self.open_roles(target, clients.into_iter().map(Role::Client).collect(), pace, &mut Ignore)
    }

    /// The same for connections of any role, at a pace, with a sink for what arrives meanwhile.
    ///
    /// # Errors
    /// When one of them cannot be set up, with the server's reason.
    pub fn open_roles(
        &mut self,
        target: &Rc<Target>,
        roles: Vec<Role>,
        pace: Pace,
        sink: &mut impl Sink,
    ) -> Result<()> {
        let mut waiting = roles.into_iter();
        let mut under_way = VecDeque::new();
        let (begin_ns, mut opened) = (clock::now_ns(), 0);
        let mut progress_ns = begin_ns;
        loop {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            while under_way.len() < pace.at_once.max(1) && opened < pace.allows(clock::now_ns() - begin_ns) {
                let Some(role) = waiting.next() else { break };
                opened += 1;
                under_way.push_back(self.connect(target, role)?);
            }
            if under_way.is_empty() && waiting.len() == 0 {
                return Ok(());
            }
            if under_way.is_empty() {
                progress_ns = clock::now_ns();
            }
            let patience = if pace.rate.is_some() { 1 } else { 100 };
            self.turn(Some(Duration::from_millis(patience)), sink)?;
            let before = under_way.len();
            for _ in 0..before {
                let Some(at) = under_way.pop_front() else { break };
                match &self.connections[at].state {
                    State::Live => progress_ns = clock::now_ns(),
                    State::Ended(reason) => return Err(Error::Setup(format!("connection {at}: {reason}"))),
                    _ => under_way.push_back(at),
                }
            }
            if clock::now_ns() > progress_ns + SETUP_PATIENCE_NS {
                let stuck = under_way.front().map(|&at| self.connections[at].state.clone());
                return Err(Error::Setup(format!("setting up connections got stuck in state {stuck:?}")));
            }
        }
    }

    /// Sends a message on connection `at`; one that has ended takes none.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn publish(&mut self, at: usize, publication: &Publication<'_>) -> Result<()> {
        let connection = &mut self.connections[at];
        if let State::Ended(_) = connection.state {
            return Ok(());
        }
        connection.publish(publication)
    }

    /// Sends messages on connection `at` together; one that has ended takes none.
    ///
    /// # Errors
    /// When one cannot be encoded.
    pub fn publish_all<'a>(
        &mut self,
        at: usize,
        publications: impl Iterator<Item = Publication<'a>>,
    ) -> Result<()> {
        let connection = &mut self.connections[at];
        match connection.state {
            State::Ended(_) => Ok(()),
            _ => connection.publish_all(publications),
        }
    }

    /// How far connection `at` has come.
    #[must_use]
    pub fn state(&self, at: usize) -> &State {
        &self.connections[at].state
    }

    /// Bytes that the sockets have not taken, all connections together.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.connections.iter().map(Connection::backlog).sum()
    }

    /// Breaks connection `at` as a network would: without a word.
    pub fn cut(&mut self, at: usize) {
        let connection = &mut self.connections[at];
        connection.stream.cut();
        connection.state = State::Ended("cut".into());
    }

    /// Connects anew in the place of connection `at`, which has ended. Setting up goes on in later turns.
    ///
    /// # Errors
    /// When the system gives no socket.
    pub fn reconnect(&mut self, at: usize, target: &Rc<Target>, role: Role) -> Result<()> {
        let mut connection = Connection::open(target, role).context("connect")?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(connection.stream.tcp(), Token(at), interest).context("epoll")?;
        self.connections[at] = connection;
        Ok(())
    }

    /// Reads connection `at` again after [`Pool::mute`].
    ///
    /// # Errors
    /// When the system refuses.
    pub fn unmute(&mut self, at: usize) -> Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(self.connections[at].stream.tcp(), Token(at), interest).context("epoll")
    }

    /// Reads at most `bytes` from connection `at`, which is muted.
    pub fn sip(&mut self, at: usize, bytes: usize, sink: &mut impl Sink) {
        let connection = &mut self.connections[at];
        if matches!(connection.state, State::Ended(_)) {
            return;
        }
        let room = connection.partial.len() + bytes;
        grow(&mut self.buffer, room);
        if let Err(reason) = connection.readable(at, &mut self.buffer[..room], sink) {
            sink.ended(at, &reason);
            connection.state = State::Ended(reason);
        }
    }

    /// Stops reading connection `at` for good: from now on it is a stalled subscriber.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn mute(&mut self, at: usize) -> Result<()> {
        self.poll.registry().deregister(self.connections[at].stream.tcp()).context("epoll")
    }

    /// Lets the next turn end at `deadline_ns` at the latest.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn wake_at(&self, deadline_ns: u64) -> Result<()> {
        self.alarm.set(deadline_ns)
    }

    /// Waits for events (or the alarm, or the timeout) and works off one batch of them.
    ///
    /// # Errors
    /// When waiting fails; what happens to a single connection goes to the sink.
    pub fn turn(&mut self, timeout: Option<Duration>, sink: &mut impl Sink) -> Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Err(error).context("epoll_wait");
            }
            _ => {}
        }
        let mut events = 0;
        for event in &self.events {
            events += 1;
            let Token(at) = event.token();
            let Some(connection) = self.connections.get_mut(at) else { continue };
            if matches!(connection.state, State::Ended(_)) {
                continue;
            }
            let readable = event.is_readable() || event.is_read_closed() || event.is_error();
            let until_end = event.is_read_closed() || event.is_error();
            let outcome = work_off(connection, at, readable, until_end, &mut self.buffer, sink);
            if let Err(reason) = outcome {
                if connection.reopen().context("connect")? {
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    self.poll
                        .registry()
                        .register(connection.stream.tcp(), Token(at), interest)
                        .context("epoll")?;
                    continue;
                }
                // Shut down at once, so that the server sees what the tester has seen.
                connection.stream.cut();
                sink.ended(at, &reason);
                connection.state = State::Ended(reason);
            }
        }
        self.load.events += events;
        self.load.crowded += if events < EVENTS as u64 { 0 } else { events };
        Ok(())
    }

    fn connect(&mut self, target: &Rc<Target>, role: Role) -> Result<usize> {
        let at = self.connections.len();
        let mut connection = Connection::open(target, role).context("connect")?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(connection.stream.tcp(), Token(at), interest).context("epoll")?;
        self.connections.push(connection);
        Ok(at)
    }
}

/// A frame longer than the buffer needs a longer one; frame::MAX_PAYLOAD bounds it.
fn grow(buffer: &mut Vec<u8>, room: usize) {
    if buffer.len() < room {
        buffer.resize(room, 0);
    }
}

fn work_off(
    connection: &mut Connection,
    at: usize,
    readable: bool,
    until_end: bool,
    buffer: &mut Vec<u8>,
    sink: &mut impl Sink,
) -> std::result::Result<(), String> {
    if connection.needs_write() {
        connection.writable()?;
    }
    if !readable || connection.state == State::Connecting {
        return Ok(());
    }
    loop {
        grow(buffer, connection.partial.len() * 2);
        match connection.readable(at, buffer, sink)? {
            Filled::Whole => {}
            Filled::Part if until_end => {}
            _ => return Ok(()),
        }
    }
}
