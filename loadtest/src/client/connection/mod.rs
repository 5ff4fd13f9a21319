//! One client connection: from connect over handshake, welcome and subscription to receiving.

mod receiving;
mod sending;

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use super::stream::{Stream, Tls};
use crate::adapter::{Adapter, Subscription};

/// Where and how to connect; shared by all connections of a run.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server's address.
    pub address: std::net::SocketAddr,
    /// Value of the `Host` header.
    pub host: String,
    /// Path of the WebSocket.
    pub path: String,
    /// The protocol spoken there.
    pub adapter: Rc<dyn Adapter>,
    /// No handshake and no welcome: the peer is the bare loop, which only writes.
    pub bare: bool,
    /// The address to connect from, where it is not left to the system.
    pub source: Option<std::net::IpAddr>,
    /// TLS, where it is spoken.
    pub tls: Option<Tls>,
}

impl Target {
    /// A server that speaks `adapter`'s protocol.
    #[must_use]
    pub fn new(address: std::net::SocketAddr, host: &str, path: &str, adapter: Rc<dyn Adapter>) -> Self {
        let (host, path) = (host.to_owned(), path.to_owned());
        Self { address, host, path, adapter, bare: false, source: None, tls: None }
    }

    pub(in crate::client) fn connect(&self) -> io::Result<Stream> {
        Stream::open(self.address, self.source, self.tls.as_ref())
    }
}

/// What a connection is for.
#[derive(Clone, Debug)]
pub enum Role {
    /// Speaks the adapter's protocol: subscribes, and publishes when told to.
    Client(Vec<Subscription>),
    /// Publishes by HTTP requests, one after the other on one connection without waiting for the answers.
    HttpPublisher,
}

/// How far a connection has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The TCP handshake is under way.
    Connecting,
    /// The WebSocket request has been sent.
    Upgrading,
    /// Waits for the server's first object.
    Greeting,
    /// Waits for the replies to its subscriptions: so many of them.
    Subscribing(usize),
    /// Set up.
    Live,
    /// Over, for the reason given.
    Ended(String),
}

/// How much of the buffer one read filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Filled {
    /// There was nothing to read.
    Nothing,
    /// Some; the socket is empty now.
    Part,
    /// All; there may be more.
    Whole,
}

/// Why a connection ended that nobody said goodbye to.
const CLOSED: &str = "the server closed the connection";

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    pub(in crate::client) stream: Stream,
    pub(in crate::client) state: State,
    target: Rc<Target>,
    role: Role,
    /// Numbers of the HTTP requests that have not been answered.
    asked: VecDeque<u64>,
    /// HTTP requests that wait for the answer to the one before.
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// The server said that it closes the connection behind its answer.
    closes: bool,
    /// The beginning of a frame whose rest has not arrived; it goes in front of the next read.
    pub(in crate::client) partial: Vec<u8>,
    /// Bytes the socket did not take yet.
    unsent: Vec<u8>,
    /// Whether a stream of events comes in chunks.
    chunked: bool,
    /// The beginning of a fragmented message, or of an event.
    fragments: Vec<u8>,
}

/// A mask for a frame (RFC 6455 §5.3); no intermediary has to be fooled here.
fn mask() -> [u8; 4] {
    let [a, b, c, d, ..] = crate::clock::now_ns().to_le_bytes();
    [a, b, c, d]
}

impl Connection {
    /// Starts to connect.
    pub(in crate::client) fn open(target: &Rc<Target>, role: Role) -> io::Result<Self> {
        let stream = target.connect()?;
        let (partial, unsent, fragments) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            stream,
            state: State::Connecting,
            target: Rc::clone(target),
            role,
            asked: VecDeque::new(),
            waiting: VecDeque::new(),
            closes: false,
            chunked: false,
            partial,
            unsent,
            fragments,
        })
    }

    /// Connects anew where the server closed the connection as it had said; false where that was no such end.
    pub(in crate::client) fn reopen(&mut self) -> io::Result<bool> {
        // With requests unanswered it is a loss, and must be told as one.
        if !self.closes || !self.asked.is_empty() {
            return Ok(false);
        }
        self.stream = self.target.connect()?;
        (self.state, self.closes) = (State::Connecting, false);
        self.partial.clear();
        Ok(true)
    }
}
