//! One client connection: from connect over handshake, welcome and subscription to receiving.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;

use super::http::{self, Answer};
use super::stream::{Stream, Tls};
use super::{Sink, events};
use crate::adapter::{Adapter, Publication, Subscription};
use crate::error::{Error, Result};
use crate::stamp;
use crate::wire::Reply;
use crate::ws::frame::{self, Frame};
use crate::ws::handshake;

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

    pub(super) fn connect(&self) -> io::Result<Stream> {
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
pub(super) enum Filled {
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
    pub(super) stream: Stream,
    pub(super) state: State,
    target: Rc<Target>,
    role: Role,
    /// Numbers of the HTTP requests that have not been answered.
    asked: VecDeque<u64>,
    /// HTTP requests that wait for the answer to the one before.
    waiting: VecDeque<(u64, Vec<u8>)>,
    /// The server said that it closes the connection behind its answer.
    closes: bool,
    /// The beginning of a frame whose rest has not arrived; it goes in front of the next read.
    pub(super) partial: Vec<u8>,
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
    pub(super) fn open(target: &Rc<Target>, role: Role) -> io::Result<Self> {
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

    /// The socket can take bytes: finish connecting, or send the rest.
    pub(super) fn writable(&mut self) -> std::result::Result<(), String> {
        if self.state == State::Connecting {
            if let Some(error) = self.stream.tcp().take_error().map_err(|e| e.to_string())? {
                return Err(format!("connecting: {error}"));
            }
            if self.stream.tcp().peer_addr().is_err() {
                return Ok(());
            }
            self.stream.tcp().set_nodelay(true).map_err(|error| error.to_string())?;
            match &self.role {
                Role::Client(subscriptions) if !self.target.bare => {
                    let Target { host, path, adapter, .. } = &*self.target;
                    let path = adapter.path(path, subscriptions);
                    let request = if adapter.streams_events() {
                        events::request(host, &path)
                    } else {
                        handshake::request(host, &path, adapter.subprotocol())
                    };
                    self.unsent.extend_from_slice(request.as_bytes());
                    self.state = State::Upgrading;
                }
                _ => {
                    self.state = State::Live;
                    self.ask_next();
                }
            }
        }
        self.flush().map_err(|error| format!("writing: {error}"))
    }

    /// Whether [`Connection::writable`] has anything to do.
    pub(super) fn needs_write(&self) -> bool {
        self.state == State::Connecting || !self.unsent.is_empty() || self.stream.wants_write()
    }

    /// Sends a message now, as far as the socket takes it.
    pub(super) fn publish(&mut self, publication: &Publication<'_>) -> Result<()> {
        let Target { host, adapter, .. } = &*self.target;
        match self.role {
            Role::Client(_) => {
                let (opcode, bytes) = (adapter.opcode(), adapter.publish(publication)?);
                self.send_frame(opcode, &bytes);
            }
            Role::HttpPublisher => {
                let post = adapter.http_publish(publication);
                let post = post.ok_or_else(|| Error::Usage("this adapter has no HTTP publishing".into()))?;
                if adapter.one_request_at_a_time() {
                    let mut request = Vec::new();
                    http::write_post(&mut request, host, &post, publication);
                    self.waiting.push_back((publication.id, request));
                    self.ask_next();
                } else {
                    http::write_post(&mut self.unsent, host, &post, publication);
                    self.asked.push_back(publication.id);
                    // An error shows again when the socket is next read or written.
                    let _ = self.flush();
                }
            }
        }
        Ok(())
    }

    /// Sends messages with one write, as far as the socket takes them.
    pub(super) fn publish_all<'a>(
        &mut self,
        publications: impl Iterator<Item = Publication<'a>>,
    ) -> Result<()> {
        let adapter = &self.target.adapter;
        for publication in publications {
            let bytes = adapter.publish(&publication)?;
            frame::write_client(&mut self.unsent, adapter.opcode(), &bytes, mask());
        }
        // An error shows again when the socket is next read or written.
        let _ = self.flush();
        Ok(())
    }

    /// Bytes that the socket has not taken.
    pub(super) fn backlog(&self) -> usize {
        self.unsent.len()
    }

    /// Reads what is there behind what was left over, and takes in every whole frame. A read
    /// that fills the buffer only in part has emptied the socket, which saves the caller a second one.
    pub(super) fn readable(
        &mut self,
        at: usize,
        buffer: &mut [u8],
        sink: &mut impl Sink,
    ) -> std::result::Result<Filled, String> {
        let kept = self.partial.len();
        buffer[..kept].copy_from_slice(&self.partial);
        let count = match self.stream.read(&mut buffer[kept..]) {
            Ok(0) => return Err(CLOSED.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Filled::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Filled::Whole),
            Err(error) => return Err(format!("reading: {error}")),
        };
        let arrived_ns = crate::clock::now_ns();
        sink.read(at, count);
        let filled = kept + count;
        let taken = self.take_in(at, &buffer[..filled], arrived_ns, sink)?;
        self.partial.clear();
        self.partial.extend_from_slice(&buffer[taken..filled]);
        let may_be_more = filled == buffer.len() || !self.stream.short_read_is_all();
        Ok(if may_be_more { Filled::Whole } else { Filled::Part })
    }

    fn take_in(
        &mut self,
        at: usize,
        bytes: &[u8],
        arrived_ns: u64,
        sink: &mut impl Sink,
    ) -> std::result::Result<usize, String> {
        if let Role::HttpPublisher = self.role {
            return self.take_in_http(at, bytes, sink);
        }
        if self.target.adapter.streams_events() {
            return self.take_in_events(at, bytes, arrived_ns, sink);
        }
        let mut taken = 0;
        if self.state == State::Upgrading {
            let Some(length) = handshake::read_response(bytes, self.target.adapter.subprotocol())? else {
                return Ok(0);
            };
            self.state = State::Greeting;
            taken = length;
            let adapter = Rc::clone(&self.target.adapter);
            if let Some(words) = adapter.first_words() {
                self.send_frame(adapter.opcode(), &words);
            }
            if !adapter.greets() {
                self.introduce()?;
            }
        }
        while let Some(frame) = frame::parse(&bytes[taken..]).map_err(|error| error.to_string())? {
            taken += frame.length;
            match frame.opcode {
                frame::PING => self.send_frame(frame::PONG, frame.payload),
                frame::PONG => {}
                frame::CLOSE => return Err(format!("the server closed with code {}", frame.close_code())),
                _ => self.data(at, frame, arrived_ns, sink)?,
            }
        }
        Ok(taken)
    }

    fn take_in_events(
        &mut self,
        at: usize,
        bytes: &[u8],
        arrived_ns: u64,
        sink: &mut impl Sink,
    ) -> std::result::Result<usize, String> {
        let mut taken = 0;
        if self.state == State::Upgrading {
            let Some((length, chunked)) = events::read_head(bytes)? else { return Ok(0) };
            (taken, self.chunked) = (length, chunked);
            self.introduce()?;
        }
        if self.chunked {
            while let Some((begin, end, length)) = events::read_chunk(&bytes[taken..])? {
                if begin == end {
                    return Err("the server ended the stream of events".into());
                }
                self.fragments.extend_from_slice(&bytes[taken + begin..taken + end]);
                taken += length;
            }
        } else {
            self.fragments.extend_from_slice(&bytes[taken..]);
            taken = bytes.len();
        }
        let stream = std::mem::take(&mut self.fragments);
        let mut done = 0;
        while let Some((length, with_end)) = events::split_event(&stream[done..]) {
            self.objects(at, &stream[done..done + length], arrived_ns, sink)?;
            done += with_end;
        }
        self.fragments.extend_from_slice(&stream[done..]);
        Ok(taken)
    }

    fn take_in_http(
        &mut self,
        at: usize,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) -> std::result::Result<usize, String> {
        let mut taken = 0;
        while let Some(Answer { reply, length, closes }) = http::read_response(&bytes[taken..])? {
            taken += length;
            self.closes = closes;
            sink.reply(at, &Reply { id: self.asked.pop_front(), ..reply });
        }
        self.ask_next();
        Ok(taken)
    }

    /// Sends the next of the waiting HTTP requests, when none is under way.
    fn ask_next(&mut self) {
        if self.state != State::Live || self.closes || !self.asked.is_empty() {
            return;
        }
        if let Some((id, request)) = self.waiting.pop_front() {
            self.asked.push_back(id);
            self.unsent.extend_from_slice(&request);
            // An error shows again when the socket is next read or written.
            let _ = self.flush();
        }
    }

    /// Connects anew where the server closed the connection as it had said; false where that was no such end.
    pub(super) fn reopen(&mut self) -> io::Result<bool> {
        if !self.closes || !self.asked.is_empty() {
            return Ok(false);
        }
        self.stream = self.target.connect()?;
        (self.state, self.closes) = (State::Connecting, false);
        self.partial.clear();
        Ok(true)
    }

    fn data(
        &mut self,
        at: usize,
        frame: Frame<'_>,
        arrived_ns: u64,
        sink: &mut impl Sink,
    ) -> std::result::Result<(), String> {
        if frame.fin && frame.opcode != frame::CONTINUATION {
            return self.objects(at, frame.payload, arrived_ns, sink);
        }
        self.fragments.extend_from_slice(frame.payload);
        if !frame.fin {
            return Ok(());
        }
        let message = std::mem::take(&mut self.fragments);
        self.objects(at, &message, arrived_ns, sink)
    }

    /// Takes one message: the stamps by a search, everything else by decoding it.
    fn objects(
        &mut self,
        at: usize,
        payload: &[u8],
        arrived_ns: u64,
        sink: &mut impl Sink,
    ) -> std::result::Result<(), String> {
        let mut stamps = 0;
        let mut usual = self.state == State::Live;
        for stamp in stamp::scan(payload) {
            stamps += 1;
            match stamp {
                Ok(stamp) => usual &= sink.stamped(at, &stamp, arrived_ns),
                Err(damage) => sink.damaged(at, damage),
            }
        }
        if usual && stamps > 0 {
            return Ok(());
        }
        let replies = self.target.adapter.decode(payload).map_err(|error| {
            let beginning = String::from_utf8_lossy(&payload[..payload.len().min(60)]);
            format!("the server sent a frame that does not decode ({error}): {beginning}")
        })?;
        for reply in replies {
            match reply.kind.as_str() {
                "message" => {
                    if stamps == 0 {
                        sink.damaged(at, stamp::Corrupt::Stamp);
                    }
                    sink.message(at, &reply);
                }
                "ping" => {
                    let answer = reply.code.unwrap_or_default();
                    self.send_frame(self.target.adapter.opcode(), answer.as_bytes());
                }
                _ => self.reply(at, &reply, sink)?,
            }
        }
        Ok(())
    }

    fn reply(&mut self, at: usize, reply: &Reply, sink: &mut impl Sink) -> std::result::Result<(), String> {
        match (&self.state, reply.kind.as_str()) {
            (State::Greeting, "welcome") => self.introduce()?,
            (&State::Subscribing(left), "ok") => {
                sink.subscribed(at, reply);
                self.state = if left <= 1 { State::Live } else { State::Subscribing(left - 1) };
            }
            (State::Greeting | State::Subscribing(_), "error") => {
                let (code, message) = (reply.code.as_deref(), reply.message.as_deref());
                return Err(format!(
                    "the server answered with error {} ({})",
                    code.unwrap_or("?"),
                    message.unwrap_or("")
                ));
            }
            _ => sink.reply(at, reply),
        }
        Ok(())
    }

    /// The server is there: say what this client wants.
    fn introduce(&mut self) -> std::result::Result<(), String> {
        let adapter = Rc::clone(&self.target.adapter);
        if let Some(hello) = adapter.hello() {
            self.send_frame(adapter.opcode(), &hello);
        }
        // Taken, so that a client that idles does not hold them.
        let Role::Client(subscriptions) = std::mem::replace(&mut self.role, Role::Client(Vec::new())) else {
            return Ok(());
        };
        let mut waiting = 0;
        for (id, subscription) in (1..).zip(&subscriptions) {
            let request = adapter.subscribe(id, subscription).map_err(|error| error.to_string())?;
            if let Some(request) = request {
                self.send_frame(adapter.opcode(), &request);
                waiting += 1;
            }
        }
        self.state = if waiting == 0 { State::Live } else { State::Subscribing(waiting) };
        Ok(())
    }

    fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
        frame::write_client(&mut self.unsent, opcode, payload, mask());
        // An error shows again when the socket is next read or written.
        let _ = self.flush();
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        let outcome = loop {
            if sent == self.unsent.len() {
                break self.stream.flush();
            }
            match self.stream.write(&self.unsent[sent..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.unsent.drain(..sent);
        if self.unsent.is_empty() && self.state != State::Live {
            self.unsent = Vec::new();
        }
        outcome
    }
}
