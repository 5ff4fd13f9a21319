//! What a connection sends: its request, publications, answers; as far as the socket takes it, the rest later.

use std::io::{self, Write};

use super::{Connection, Role, State, Target, mask};
use crate::adapter::Publication;
use crate::client::{events, http};
use crate::error::{Error, Result};
use crate::ws::{frame, handshake};

impl Connection {
    /// The socket can take bytes: finish connecting, or send the rest.
    pub(in crate::client) fn writable(&mut self) -> std::result::Result<(), String> {
        if self.state == State::Connecting {
            if let Some(error) = self.stream.tcp().take_error().map_err(|e| e.to_string())? {
                return Err(format!("connecting: {error}"));
            }
            // Writable and without an error, but not connected yet: epoll may say so early.
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
    pub(in crate::client) fn needs_write(&self) -> bool {
        self.state == State::Connecting || !self.unsent.is_empty() || self.stream.wants_write()
    }

    /// Sends a message now, as far as the socket takes it.
    pub(in crate::client) fn publish(&mut self, publication: &Publication<'_>) -> Result<()> {
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
    pub(in crate::client) fn publish_all<'a>(
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
    pub(in crate::client) fn backlog(&self) -> usize {
        self.unsent.len()
    }

    /// Sends the next of the waiting HTTP requests, when none is under way.
    pub(super) fn ask_next(&mut self) {
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

    pub(super) fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
        frame::write_client(&mut self.unsent, opcode, payload, mask());
        // An error shows again when the socket is next read or written.
        let _ = self.flush();
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
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
        // The handshake is the largest thing a subscriber sends: with thousands of them, its room is worth giving back.
        if self.unsent.is_empty() && self.state != State::Live {
            self.unsent = Vec::new();
        }
        outcome
    }
}
