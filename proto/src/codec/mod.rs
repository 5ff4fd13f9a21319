//! The two encodings of the protocol behind one enum.

mod event;
mod head;
mod json;
mod msgpack;
mod request;
pub(crate) mod transcode;
mod value;

use serde::Serialize;

use self::value::{Mismatch, Value};
use crate::{Delivery, Event, FRAME_OBJECTS_MAX, Rejection, Request};

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

/// A frame that is not what a broker says. A client may drop it or close the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot decode: {0}")]
pub struct DecodeError(String);

/// The objects of a frame.
enum Frame<V> {
    One(V),
    Many(Vec<V>),
}

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
    /// own, in order. A frame that is malformed anywhere, or holds more than [`FRAME_OBJECTS_MAX`] objects, is one
    /// rejection and nothing else.
    pub fn decode_requests(self, frame: &[u8]) -> Vec<Result<Request, Rejection>> {
        match self {
            Self::Json => requests(json::frame(frame)),
            Self::MsgPack => requests(msgpack::frame(frame)),
        }
    }

    /// Reads a server's frame, for clients. Events of an unknown `type` are left out and unknown fields ignored,
    /// so that a client goes on when the broker learns something new. An `ok` becomes [`Event::Reply`], whatever
    /// the command; an error code that this crate does not know becomes [`ErrorCode::Internal`](crate::ErrorCode).
    pub fn decode_events(self, frame: &[u8]) -> Result<Vec<Event>, DecodeError> {
        match self {
            Self::Json => events(json::frame(frame)),
            Self::MsgPack => events(msgpack::frame(frame)),
        }
    }

    /// Writes a request, for clients.
    pub fn encode_request(self, request: &Request) -> Result<Vec<u8>, EncodeError> {
        self.encode(request)
    }

    /// Writes several requests as one frame, for clients; [`FRAME_OBJECTS_MAX`] at most.
    pub fn encode_requests(self, requests: &[Request]) -> Result<Vec<u8>, EncodeError> {
        self.encode(requests)
    }

    /// Writes an event.
    pub fn encode_event(self, event: &Event) -> Result<Vec<u8>, EncodeError> {
        self.encode(event)
    }

    /// Writes a `message` event.
    pub fn encode_delivery(self, delivery: Delivery<'_>) -> Result<Vec<u8>, EncodeError> {
        self.encode(&delivery)
    }

    fn encode<T: Serialize + ?Sized>(self, value: &T) -> Result<Vec<u8>, EncodeError> {
        match self {
            Self::Json => serde_json::to_vec(value).map_err(|error| EncodeError(error.to_string())),
            Self::MsgPack => rmp_serde::to_vec_named(value).map_err(|error| EncodeError(error.to_string())),
        }
    }
}

fn requests<'a, V: Value<'a>>(frame: Result<Frame<V>, Mismatch>) -> Vec<Result<Request, Rejection>> {
    match frame {
        Ok(Frame::One(object)) => vec![request::decode(object)],
        Ok(Frame::Many(objects)) if objects.len() > FRAME_OBJECTS_MAX => {
            let many = format!("has {} objects; {FRAME_OBJECTS_MAX} are allowed", objects.len());
            vec![Err(request::bad_frame(many.into()))]
        }
        Ok(Frame::Many(objects)) => objects.into_iter().map(request::decode).collect(),
        Err(mismatch) => vec![Err(request::bad_frame(mismatch))],
    }
}

fn events<'a, V: Value<'a>>(frame: Result<Frame<V>, Mismatch>) -> Result<Vec<Event>, DecodeError> {
    let decoded = match frame {
        Ok(Frame::One(object)) => event::decode(object).map(|event| event.into_iter().collect()),
        Ok(Frame::Many(objects)) => {
            objects.into_iter().filter_map(|object| event::decode(object).transpose()).collect()
        }
        Err(mismatch) => Err(mismatch),
    };
    decoded.map_err(|Mismatch(what)| DecodeError(what.into_owned()))
}
