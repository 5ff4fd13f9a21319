//! Counts of one turn: plain numbers, added to the metrics' atomics once per turn.

use crate::fanout::Counts;

/// What happened since it was last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages handed to subscribers' connections, one per message and subscriber.
    pub deliveries: u64,
    /// Calls that wrote to a socket.
    pub writes: u64,
    /// Bytes that sockets took.
    pub bytes_out: u64,
    /// Bytes that sockets gave.
    pub bytes_in: u64,
    /// WebSocket messages read.
    pub frames_in: u64,
    /// Times a socket took less than it was given.
    pub blocked: u64,
    /// Messages that volatile subscribers missed because their socket was full.
    pub dropped: u64,
    /// Values left out for `latest` subscribers.
    pub conflated: u64,
    /// Gaps signalled to `log` subscribers.
    pub gaps: u64,
    /// Connections taken over.
    pub opened: u64,
    /// Connections gone, for whatever reason.
    pub closed: u64,
    /// Of these, by ping timeout.
    pub closed_ping: u64,
    /// Of these, because replies were not read.
    pub closed_outbox: u64,
    /// Of these, for breaking the protocol.
    pub closed_violation: u64,
}

impl Tally {
    /// Adds what happened in fan-out.
    pub(super) fn count(&mut self, counts: Counts) {
        let Counts { deliveries, dropped, conflated, gaps } = counts;
        self.deliveries += deliveries;
        self.dropped += dropped;
        self.conflated += conflated;
        self.gaps += gaps;
    }
}

/// Where a shard reports its tallies.
pub trait TallySink: Send {
    /// Takes what happened since the last call.
    fn add(&mut self, tally: &Tally);
}
