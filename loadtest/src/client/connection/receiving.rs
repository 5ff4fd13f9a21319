//! What a connection receives: the server's steps of the setting up, then frames, events or answers, taken apart.

use std::io::{self, Read};
use std::rc::Rc;

use super::{CLOSED, Connection, Filled, Role, State};
use crate::client::http::{self, Answer};
use crate::client::{Sink, events};
use crate::stamp;
use crate::wire::Reply;
use crate::ws::frame::{self, Frame};
use crate::ws::handshake;

impl Connection {
    /// Reads what is there behind what was left over, and takes in every whole frame. A read
    /// that fills the buffer only in part has emptied the socket, which saves the caller a second one.
    pub(in crate::client) fn readable(
        &mut self,
        at: usize,
        buffer: &mut [u8],
        sink: &mut impl Sink,
    ) -> Result<Filled, String> {
        let kept = self.partial.len();
        buffer[..kept].copy_from_slice(&self.partial);
        let count = match self.stream.read(&mut buffer[kept..]) {
            Ok(0) => return Err(CLOSED.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Filled::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Filled::Whole),
            Err(error) => return Err(format!("reading: {error}")),
        };
        // Once for all of a read: they were in the kernel by then, and asking the clock for each would be much of the
        // work.
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
    ) -> Result<usize, String> {
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
    ) -> Result<usize, String> {
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
        // Taken out, since looking into it needs the rest of the connection; what has no end yet goes back.
        let stream = std::mem::take(&mut self.fragments);
        let mut done = 0;
        while let Some((length, with_end)) = events::split_event(&stream[done..]) {
            self.objects(at, &stream[done..done + length], arrived_ns, sink)?;
            done += with_end;
        }
        self.fragments.extend_from_slice(&stream[done..]);
        Ok(taken)
    }

    fn take_in_http(&mut self, at: usize, bytes: &[u8], sink: &mut impl Sink) -> Result<usize, String> {
        let mut taken = 0;
        while let Some(Answer { reply, length, closes }) = http::read_response(&bytes[taken..])? {
            taken += length;
            self.closes = closes;
            // Without numbers, HTTP/1.1 answers in the order of the requests (RFC 9112 §9.3.2).
            sink.reply(at, &Reply { id: self.asked.pop_front(), ..reply });
        }
        self.ask_next();
        Ok(taken)
    }

    fn data(
        &mut self,
        at: usize,
        frame: Frame<'_>,
        arrived_ns: u64,
        sink: &mut impl Sink,
    ) -> Result<(), String> {
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
    ) -> Result<(), String> {
        let mut stamps = 0;
        let mut usual = self.state == State::Live;
        for stamp in stamp::scan(payload) {
            stamps += 1;
            match stamp {
                Ok(stamp) => usual &= sink.stamped(at, &stamp, arrived_ns),
                Err(damage) => sink.damaged(at, damage),
            }
        }
        // Nearly every frame ends here: nothing of it is decoded, or the tester would cost more than the server.
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

    fn reply(&mut self, at: usize, reply: &Reply, sink: &mut impl Sink) -> Result<(), String> {
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
    fn introduce(&mut self) -> Result<(), String> {
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
}
