//! Connections as other threads reach them.

use bytes::Bytes;
use fanwire_proto::{ClientId, CloseCode};

use super::{
    inbox::{Inbox, Job},
    socket::Socket,
};
use crate::wire::{Body, Closing, Spoken};

/// A connection as other threads see it. It may be gone by now.
#[derive(Clone)]
pub struct Address {
    pub(super) shard: Inbox,
    pub(super) slot: u32,
    pub(super) client: ClientId,
    pub(super) spoken: Spoken,
}

impl Address {
    /// What is spoken there.
    pub fn spoken(&self) -> &Spoken {
        &self.spoken
    }

    /// Sends frames. Whoever does has to see to it that there are not too many.
    pub fn deliver(&self, frames: Vec<Bytes>) {
        self.shard.push(Job::Deliver(self.slot, self.client, frames));
    }

    /// Sends something of the door's own.
    pub fn send(&self, body: Body) {
        self.deliver(vec![self.spoken.speaker().say(body)]);
    }

    /// Ends the connection.
    pub fn end(&self, closing: Closing) {
        self.shard.push(Job::End(self.slot, self.client, closing));
    }
}

/// A connection whose door has [paused](super::Cx::pause) it; it goes on when this is dropped.
pub struct Paused(pub(super) Address);

impl Drop for Paused {
    fn drop(&mut self) {
        // However it ends, by a panic too: the client must not wait for ever.
        let Address { shard, slot, client, .. } = &self.0;
        shard.push(Job::Resume(*slot, *client));
    }
}

/// A connection that waits for its socket; it ends if this is dropped instead.
pub struct Awaited(Option<Address>);

impl Awaited {
    pub(super) fn new(address: Address) -> Self {
        Self(Some(address))
    }

    /// Hands over the socket, to which the beginning of the response has been written.
    pub fn attach(mut self, socket: Socket) {
        if let Some(Address { shard, slot, client, .. }) = self.0.take() {
            shard.push(Job::Attach(slot, client, socket));
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(address) = self.0.take() {
            address.end(CloseCode::Normal.into());
        }
    }
}
