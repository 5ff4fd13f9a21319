//! The two encodings of the protocol behind one enum.

mod decode;
mod json;
mod msgpack;
pub(crate) mod transcode;

use serde::Serialize;

use crate::{Delivery, Event, Rejection, Request};

/// How objects are written on a connection; chosen by WebSocket subprotocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// Text frames, RFC 8259.
    Json,
    /// Binary frames, MessagePack with string keys.
    MsgPack,
}

/// An event that could not be written; a fault of the program, not of any input.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode: {0}")]
pub struct EncodeError(String);

impl Format {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Json, Self::MsgPack];

    /// The WebSocket subprotocol's name.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "fanwire.v1.json",
            Self::MsgPack => "fanwire.v1.msgpack",
        }
    }

    /// Position in [`Format::ALL`], for tables with an entry per format.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Reads a client's frame: one object or an array of them. Each object is a request or a rejection of its
    /// own; a frame that is neither is one rejection.
    pub fn decode_requests(self, frame: &[u8]) -> Vec<Result<Request, Rejection>> {
        match self {
            Self::Json => json::decode_requests(frame),
            Self::MsgPack => msgpack::decode_requests(frame),
        }
    }

    /// Writes an event.
    pub fn encode_event(self, event: &Event) -> Result<Vec<u8>, EncodeError> {
        self.encode(event)
    }

    /// Writes a `message` event.
    pub fn encode_delivery(self, delivery: Delivery<'_>) -> Result<Vec<u8>, EncodeError> {
        self.encode(&delivery)
    }

    fn encode<T: Serialize>(self, value: &T) -> Result<Vec<u8>, EncodeError> {
        match self {
            Self::Json => serde_json::to_vec(value).map_err(|error| EncodeError(error.to_string())),
            Self::MsgPack => rmp_serde::to_vec_named(value).map_err(|error| EncodeError(error.to_string())),
        }
    }
}
