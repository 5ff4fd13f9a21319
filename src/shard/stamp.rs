//! What of a delivery is one connection's own: an address before it, a position, a packet's number.

use std::any::Any;

use bytes::Bytes;
use fanwire_proto::Message;

use super::options::SubKey;
use crate::wire::{Frame, Framing, Notice, Part};

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

/// Puts together what one connection gets, but for the large parts.
pub(super) struct Gather<'a> {
    framing: Framing,
    key: Option<SubKey>,
    stamp: Option<&'a mut dyn Stamp>,
    own: Vec<u8>,
    small: Vec<u8>,
    gathered: Vec<Bytes>,
}

impl<'a> Gather<'a> {
    pub(super) fn new(framing: Framing, key: Option<SubKey>, stamp: Option<&'a mut dyn Stamp>) -> Self {
        Self { framing, key, stamp, own: Vec::new(), small: Vec::new(), gathered: Vec::new() }
    }

    pub(super) fn add(&mut self, said: Said<'_>, frame: &Frame) {
        match frame {
            Frame::Shared(bytes) => self.share(bytes),
            Frame::Mixed(parts) => {
                self.own.clear();
                if let Some(stamp) = &mut self.stamp {
                    stamp.stamp(self.key, said, &mut self.own);
                }
                for part in parts.iter() {
                    match part {
                        Part::Shared(bytes) => self.share(bytes),
                        own => self.framing.append_part(&mut self.small, own, &self.own),
                    }
                }
            }
        }
    }

    fn share(&mut self, bytes: &Bytes) {
        if bytes.len() < APART_BYTES {
            return self.small.extend_from_slice(bytes);
        }
        self.finish_small();
        self.gathered.push(bytes.clone());
    }

    fn finish_small(&mut self) {
        if !self.small.is_empty() {
            self.gathered.push(std::mem::take(&mut self.small).into());
        }
    }

    pub(super) fn finish(mut self) -> Vec<Bytes> {
        self.finish_small();
        self.gathered
    }
}

/// A stamp behind one word.
pub(super) struct OwnStamp(pub(super) Box<dyn Stamp>);
