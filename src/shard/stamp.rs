//! What of a delivery is one connection's own: an address before it, a position, a packet's number.

use std::any::Any;

use fanwire_proto::Message;

use crate::{fanout::SubKey, wire::Notice};

/// Gives what goes out to one connection the bytes that are its own, where its dialect has left a place for them
/// ([`Body::Own`](crate::wire::Body::Own)). Called per delivery, on the shard's thread.
pub trait Stamp: Any + Send {
    /// Appends the connection's own bytes of something that goes out on a subscription, or to the connection as such.
    fn stamp(&mut self, key: Option<SubKey>, said: Said<'_>, own: &mut Vec<u8>);
}

/// What goes out.
#[derive(Clone, Copy)]
pub enum Said<'a> {
    /// A message of a topic.
    Message(&'a Message),
    /// A notice.
    Notice(&'a Notice<'a>),
}

/// Parts of this size and more are sent as they are, and shared with whoever else gets them; putting smaller ones
/// together saves writes.
pub(super) const APART_BYTES: usize = 16 * 1024;

/// A stamp behind one word.
pub(super) struct OwnStamp(pub(super) Box<dyn Stamp>);
