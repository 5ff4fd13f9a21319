//! fanwire's native wire protocol: what clients and the broker say to each other over `/ws`.
//!
//! The crate is pure: no sockets, no clock, no threads. `PROTOCOL.md` beside it is the specification
//! in prose; `vectors/` holds every frame as JSON text and MessagePack bytes.
//!
//! # Map, in reading order
//! - [`TopicName`], [`Pattern`], [`Offset`], [`Epoch`], [`ClientId`]: validated names and positions
//! - [`Payload`]: what a message carries, a JSON value or bytes
//! - [`Request`] and [`Command`]: client to server
//! - [`Event`] and [`Message`]: server to client
//! - [`Reply`]: what a client decodes an `ok` into
//! - [`ErrorCode`] and [`CloseCode`]: the closed lists of ways to say no
//! - [`Format`]: JSON and MessagePack, decoding without panics and encoding once
//!
//! Invariant: everything here is deterministic, and no input makes a decoder panic or allocate more than a small
//! multiple of its length.

mod name;
pub use name::{
    ClientId, Epoch, InvalidPattern, InvalidTopic, Offset, Pattern, Position, TOPIC_BYTES_MAX, TopicName,
};

mod kind;
pub use kind::Kind;

mod payload;
pub use payload::{InvalidPayload, Payload};

mod code;
pub use code::{CloseCode, ErrorCode};

mod command;
pub use command::{
    Ack, Command, Direction, FRAME_OBJECTS_MAX, History, MAX_RATE_MIN, Publish, Rejection, Request,
    Subscribe, TAGS_MAX, Tags,
};

mod event;
pub use event::{
    Delivery, ErrorReply, Event, Gap, HistoryReply, Member, Message, PublisherRef, ServerSubscribed,
};

mod reply;
pub use reply::Reply;

mod codec;
pub use codec::{DecodeError, EncodeError, Format};
