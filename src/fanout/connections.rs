//! Connections as fan-out sees them: who takes something now, and where to put it.

use std::time::Instant;

use bytes::Bytes;
use fanwire_proto::ClientId;

use super::options::SubKey;
use crate::{
    topic::{Placed, PresenceChange},
    wire::{Encoding, Notice, Speaker},
};

/// Whoever owns the connections that are fanned out to. Connections are named by slots.
pub trait Connections {
    /// What a pass has to know of a connection; nothing once it is gone.
    fn receiver(&self, conn: u32) -> Option<Receiver>;

    /// Makes the bytes of an encoding that some connection has.
    fn speaker(&self, encoding: Encoding) -> Speaker<'_>;

    /// Takes bytes that many connections are about to be sent; the name is good until the next
    /// [`flush_all`](Self::flush_all).
    fn share(&mut self, bytes: Bytes) -> u32;

    /// Sends a connection what is [shared](Self::share). Called per delivery.
    fn send_shared(&mut self, conn: u32, shared: u32);

    /// Sends a connection something on one of its subscriptions that others do not get like this. The items are gone through
    /// once.
    fn send_own<'a>(&mut self, conn: u32, key: SubKey, items: impl Iterator<Item = Item<'a>>);

    /// Has what was sent to a connection leave, so that it shows whether it takes more.
    fn flush(&mut self, conn: u32);

    /// The same for all of them. What is shared ends.
    fn flush_all(&mut self);

    /// The time at this moment, which is asked for at the beginning and the end of a slice only.
    fn now(&self) -> Instant;
}

/// A connection as a pass meets it.
#[derive(Clone, Copy)]
pub struct Receiver {
    /// Who is there.
    pub client: ClientId,
    /// What is spoken there.
    pub encoding: Encoding,
    /// Its socket takes no more for now.
    pub blocked: bool,
}

/// Something that one subscriber gets.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    /// A message, behind so many values of its key that were left out.
    Message(&'a Placed, u64),
    /// Somebody came or left.
    Change(&'a PresenceChange),
    /// Anything else.
    Notice(Notice<'a>),
}
