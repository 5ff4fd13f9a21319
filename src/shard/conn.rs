//! One connection as its shard holds it.

use std::{
    any::Any,
    net::IpAddr,
    num::{NonZeroU32, NonZeroU64},
    sync::Arc,
    time::Instant,
};

use bytes::BytesMut;
use fanwire_proto::Member;

use super::{
    backlog::Backlog,
    socket::Socket,
    stamp::{OwnStamp, Stamp},
};
use crate::{
    auth::Credential,
    defaults,
    wire::{Encoding, websocket::Partial},
};

/// Frames that one turn may hand a connection before it is written to at once.
pub(super) const STAGED_MAX: usize = 4;

/// Where a connection is in its life.
///
/// ```text
/// Open ──close frame sent or received──► Lingering ──peer's end or deadline──► gone
///   └──────────────error or reset───────────────────────────────────────────► gone
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Open,
    /// Our last words are written; input is discarded, so that no reset overtakes them.
    Lingering {
        until: Instant,
        /// Our direction has been ended.
        shut: bool,
    },
}

/// Frames of this turn, by their index in the shard's table.
#[derive(Default)]
pub(super) struct Staged {
    frames: [u32; STAGED_MAX],
    count: u8,
}

impl Staged {
    pub(super) fn push(&mut self, frame: u32) {
        // There is room: a full stage is written before it gets more.
        self.frames[usize::from(self.count)] = frame;
        self.count += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        usize::from(self.count) == STAGED_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn indices(&self) -> &[u32] {
        &self.frames[..usize::from(self.count)]
    }

    /// Empties it.
    pub(super) fn take(&mut self) -> ([u32; STAGED_MAX], usize) {
        (self.frames, usize::from(std::mem::take(&mut self.count)))
    }
}

/// Whatever a connection holds for as long as it lives.
pub type Permit = Arc<dyn Any + Send + Sync>;

/// How a connection came, for those who look after the broker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The name of its door.
    pub door: &'static str,
    /// The other end's address.
    pub address: IpAddr,
}

/// A connection. Invariant: it is written to only through its stage and backlog, so frames never interleave.
pub(super) struct Conn {
    pub(super) socket: Socket,
    pub(super) encoding: Encoding,
    pub(super) phase: Phase,
    pub(super) staged: Staged,
    /// Present while the socket takes no more; then nothing is written past it.
    pub(super) backlog: Option<Box<Backlog>>,
    /// Present in the middle of a message.
    pub(super) partial: Option<Box<Partial>>,
    /// Input that waits until the client has read its replies, or its door goes on.
    pub(super) unread: Option<Box<BytesMut>>,
    /// Its door waits for something from another thread; until then nothing is decoded.
    pub(super) paused: bool,
    /// Its door has more to do than its turn had room for; until then nothing is decoded.
    pub(super) yielded: bool,
    /// In the queue of those with more to read or to do.
    pub(super) in_turn: bool,
    /// The peer sends no more than what is in the socket.
    pub(super) hung_up: bool,
    /// The socket had more to read when reading stopped.
    pub(super) read_again: bool,
    /// Something came from the peer, or it took something, since the last ping.
    pub(super) heard: bool,
    /// A ping waits for its answer.
    pub(super) pinged: bool,
    pub(super) member: Member,
    /// The name of the token or key it came with.
    pub(super) credential: Option<Credential>,
    /// When what it may do ends, in milliseconds since 1970.
    pub(super) ends_ms: Option<NonZeroU64>,
    pub(super) origin: Origin,
    pub(super) permit: Option<Permit>,
    /// What of its deliveries is its own; most have nothing.
    pub(super) stamp: Option<Box<OwnStamp>>,
    /// When it came, in milliseconds since 1970.
    pub(super) opened_ms: u64,
    /// When the last ping was sent, see [`Core::micros`](super::core::Core::micros).
    pub(super) pinged_us: u32,
    /// What the last ping that was answered took, in microseconds.
    pub(super) round_trip_us: Option<NonZeroU32>,
}

impl Conn {
    pub(super) fn new(
        socket: Socket,
        encoding: Encoding,
        member: Member,
        origin: Origin,
        now_ms: u64,
    ) -> Self {
        Self {
            socket,
            encoding,
            phase: Phase::Open,
            staged: Staged::default(),
            backlog: None,
            partial: None,
            unread: None,
            paused: false,
            yielded: false,
            in_turn: false,
            hung_up: false,
            read_again: false,
            heard: true,
            pinged: false,
            member,
            credential: None,
            ends_ms: None,
            origin,
            permit: None,
            stamp: None,
            opened_ms: now_ms,
            pinged_us: 0,
            round_trip_us: None,
        }
    }

    /// What gives the bytes that are its own, if anything does.
    pub(super) fn stamp(&mut self) -> Option<&mut dyn Stamp> {
        match &mut self.stamp {
            Some(stamp) => Some(&mut *stamp.0),
            None => None,
        }
    }

    /// Whether the socket takes no more for now.
    pub(super) fn is_blocked(&self) -> bool {
        self.backlog.is_some()
    }

    pub(super) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// Whether its input has to wait.
    pub(super) fn reads_nothing(&self) -> bool {
        self.paused || self.yielded || self.backlog_bytes() > defaults::READ_PAUSE_BYTES
    }

    pub(super) fn backlog_bytes(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Most of hundred thousand connections are idle, and what an idle one takes is this, its door and its place among the
    /// subscribers.
    #[test]
    fn an_idle_connection_takes_little() {
        assert!(size_of::<Conn>() <= 256, "{}", size_of::<Conn>());
    }
}
