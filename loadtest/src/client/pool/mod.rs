//! The loop around all connections: one poll, one read buffer, one alarm for the publishing schedule.

mod opening;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

pub use self::opening::Pace;
use super::Sink;
use super::connection::{Connection, Filled, State};
use crate::adapter::Publication;
use crate::clock::Alarm;
use crate::error::{Context, Result};

/// Few enough that a due message waits a fraction of a millisecond for a batch to be worked off.
const EVENTS: usize = 128;
/// Holds about a thousand small messages, and any frame the tester can be sent.
const BUFFER: usize = 256 * 1024;
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
        // The sink is not told: who cuts a connection knows of it, and it is no fault.
        connection.state = State::Ended("cut".into());
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
            // None where it was the alarm, which need not be read: it has ended the wait, and epoll tells of its next
            // ring anew.
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
        // Twice what is left over, so that a large frame is read in steps that double instead of being copied again for
        // each piece.
        grow(buffer, connection.partial.len() * 2);
        match connection.readable(at, buffer, sink)? {
            Filled::Whole => {}
            // The other side has ended: no further event tells of what is still in the socket, so it is read up to there.
            Filled::Part if until_end => {}
            _ => return Ok(()),
        }
    }
}
