//! One client connection: from connect over handshake, welcome and subscription to receiving.

use std::io::{self, Read, Write};
use std::rc::Rc;

use mio::net::TcpStream;

use super::Sink;
use crate::error::Result;
use crate::stamp;
use crate::wire::{Encoding, Reply, Request};
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
    /// The encoding to ask for.
    pub encoding: Encoding,
    /// No handshake and no welcome: the peer is the bare loop, which only writes.
    pub bare: bool,
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
    /// Waits for the reply to its subscription.
    Subscribing,
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

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) stream: TcpStream,
    pub(super) state: State,
    target: Rc<Target>,
    /// The topic to subscribe to; a publisher has none.
    topic: Option<String>,
    /// The beginning of a frame whose rest has not arrived; it goes in front of the next read.
    pub(super) partial: Vec<u8>,
    /// Bytes the socket did not take yet.
    unsent: Vec<u8>,
    /// The beginning of a fragmented message.
    fragments: Vec<u8>,
}

impl Connection {
    /// Starts to connect.
    pub(super) fn open(target: &Rc<Target>, topic: Option<String>) -> io::Result<Self> {
        let stream = TcpStream::connect(target.address)?;
        let (partial, unsent, fragments) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            stream,
            state: State::Connecting,
            target: Rc::clone(target),
            topic,
            partial,
            unsent,
            fragments,
        })
    }

    /// The socket can take bytes: finish connecting, or send the rest.
    pub(super) fn writable(&mut self) -> std::result::Result<(), String> {
        if self.state == State::Connecting {
            if let Some(error) = self.stream.take_error().map_err(|e| e.to_string())? {
                return Err(format!("connecting: {error}"));
            }
            if self.stream.peer_addr().is_err() {
                return Ok(());
            }
            self.stream.set_nodelay(true).map_err(|error| error.to_string())?;
            if self.target.bare {
                self.state = State::Live;
            } else {
                self.state = State::Upgrading;
                let Target { host, path, encoding, .. } = &*self.target;
                self.unsent.extend_from_slice(handshake::request(host, path, encoding.protocol()).as_bytes());
            }
        }
        self.flush().map_err(|error| format!("writing: {error}"))
    }

    /// Whether [`Connection::writable`] has anything to do.
    pub(super) fn needs_write(&self) -> bool {
        self.state == State::Connecting || !self.unsent.is_empty()
    }

    /// Sends a request now, as far as the socket takes it.
    pub(super) fn send(&mut self, request: &Request<'_>) -> Result<()> {
        let encoding = self.target.encoding;
        let object = encoding.encode(request)?;
        self.send_frame(encoding.opcode(), &object);
        Ok(())
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
            Ok(0) => return Err("the server closed the connection".into()),
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
        if self.partial.len() == buffer.len() {
            return Err("a frame is longer than the read buffer".into());
        }
        Ok(if filled == buffer.len() { Filled::Whole } else { Filled::Part })
    }

    fn take_in(
        &mut self,
        at: usize,
        bytes: &[u8],
        arrived_ns: u64,
        sink: &mut impl Sink,
    ) -> std::result::Result<usize, String> {
        let mut taken = 0;
        if self.state == State::Upgrading {
            let Some(length) = handshake::read_response(bytes, self.target.encoding.protocol())? else {
                return Ok(0);
            };
            self.state = State::Greeting;
            taken = length;
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
                Err(stamp::Corrupt) => sink.damaged(at),
            }
        }
        if usual && stamps > 0 {
            return Ok(());
        }
        let replies: Vec<Reply> = self.target.encoding.decode(payload).map_err(|error| {
            let beginning = String::from_utf8_lossy(&payload[..payload.len().min(60)]);
            format!("the server sent a frame that does not decode ({error}): {beginning}")
        })?;
        for reply in replies {
            match reply.kind.as_str() {
                "message" if stamps == 0 => sink.damaged(at),
                "message" => {}
                _ => self.reply(at, &reply, sink)?,
            }
        }
        Ok(())
    }

    fn reply(&mut self, at: usize, reply: &Reply, sink: &mut impl Sink) -> std::result::Result<(), String> {
        match (&self.state, reply.kind.as_str()) {
            (State::Greeting, "welcome") => match self.topic.take() {
                Some(topic) => {
                    self.state = State::Subscribing;
                    let request = Request { kind: "subscribe", id: 1, topic: &topic, data: None };
                    self.send(&request).map_err(|error| error.to_string())?;
                }
                None => self.state = State::Live,
            },
            (State::Subscribing, "ok") => self.state = State::Live,
            (State::Greeting | State::Subscribing, "error") => {
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

    fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
        let [a, b, c, d, ..] = crate::clock::now_ns().to_le_bytes();
        frame::write_client(&mut self.unsent, opcode, payload, [a, b, c, d]);
        // An error shows again when the socket is next read or written.
        let _ = self.flush();
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        let outcome = loop {
            if sent == self.unsent.len() {
                break Ok(());
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
