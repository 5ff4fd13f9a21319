//! Setting connections up, at a pace that a server's accept queue stands.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::{Interest, Token};

use super::Pool;
use crate::adapter::Subscription;
use crate::client::connection::{Connection, Role, State, Target};
use crate::client::{Ignore, Sink};
use crate::clock::{self, SECOND};
use crate::error::{Context, Error, Result};

/// A set-up that gets no further for this long has failed.
const SETUP_PATIENCE_NS: u64 = 15 * SECOND;

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

impl Pool {
    /// A pool that sets up no more connections when `stop` is true.
    #[must_use]
    pub fn until(self, stop: &Arc<AtomicBool>) -> Self {
        Self { stop: Arc::clone(stop), ..self }
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
            // Waiting for the pace is not being stuck.
            if under_way.is_empty() {
                progress_ns = clock::now_ns();
            }
            // At a pace it is time that opens the next one, without one only what happens to those under way.
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

    fn connect(&mut self, target: &Rc<Target>, role: Role) -> Result<usize> {
        let at = self.connections.len();
        let mut connection = Connection::open(target, role).context("connect")?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(connection.stream.tcp(), Token(at), interest).context("epoll")?;
        self.connections.push(connection);
        Ok(at)
    }
}
