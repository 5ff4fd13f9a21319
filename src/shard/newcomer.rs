//! A connection on its way to a shard.

use fanwire_proto::Member;

use super::{
    conn::{Origin, Permit},
    door::Door,
    socket::Socket,
};
use crate::wire::Spoken;

/// A connection on its way to a shard.
pub struct Newcomer {
    /// Its bytes.
    pub socket: Socket,
    /// What is spoken on it.
    pub spoken: Spoken,
    /// Who it is.
    pub member: Member,
    /// How it came.
    pub origin: Origin,
    /// Its protocol.
    pub door: Box<dyn Door>,
    /// Input that was read along with the handshake.
    pub input: Vec<u8>,
    /// Dropped with the connection, which it counts as long.
    pub permit: Option<Permit>,
}
