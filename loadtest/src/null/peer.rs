//! One connection of the null broker.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use serde::Deserialize;

use crate::wire::Encoding;
use crate::ws::{frame, handshake};

/// What a client asks.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Request {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) id: Option<u64>,
    #[serde(default)]
    pub(super) topic: String,
    #[serde(default)]
    pub(super) data: Option<String>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Peer {
    stream: TcpStream,
    /// Known once the handshake is done.
    pub(super) encoding: Option<Encoding>,
    partial: Vec<u8>,
    /// What the next flush writes.
    pub(super) out: Vec<u8>,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, encoding: None, partial: Vec::new(), out: Vec::new() }
    }

    /// Reads all there is; the requests in it.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Vec<Request>> {
        let mut requests = Vec::new();
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.partial.extend_from_slice(&buffer[..count]);
                    self.take_in(&mut requests)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(requests),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn take_in(&mut self, requests: &mut Vec<Request>) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.partial);
        let mut taken = 0;
        if self.encoding.is_none() {
            let offer = handshake::read_request(&bytes).map_err(io::Error::other)?;
            let Some(offer) = offer else {
                self.partial = bytes;
                return Ok(());
            };
            taken = offer.length;
            self.out.extend_from_slice(offer.response.as_bytes());
            self.encoding = Some(if offer.msgpack { Encoding::Msgpack } else { Encoding::Json });
            self.reply(&serde_json::json!({ "type": "welcome", "client": "null", "version": "null/0" }));
        }
        let encoding = self.encoding.unwrap_or_default();
        while let Some(frame) = frame::parse(&bytes[taken..]).map_err(io::Error::other)? {
            taken += frame.length;
            match frame.opcode {
                frame::TEXT | frame::BINARY => {
                    requests.extend(encoding.decode(&frame.unmasked()).map_err(io::Error::other)?);
                }
                frame::CLOSE => return Err(ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
        }
        if taken < bytes.len() {
            self.partial = bytes[taken..].to_vec();
        }
        Ok(())
    }

    /// Puts an object into the next flush.
    pub(super) fn reply(&mut self, object: &impl serde::Serialize) {
        let encoding = self.encoding.unwrap_or_default();
        if let Ok(bytes) = encoding.encode(object) {
            frame::write_server(&mut self.out, encoding.opcode(), &bytes);
        }
    }

    /// Writes what the socket takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) if count == self.out.len() => self.out.clear(),
                Ok(count) => drop(self.out.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
