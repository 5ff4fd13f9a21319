//! What fan-out counts: plain numbers.

/// What happened since it was last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages handed to connections, one per message and subscriber.
    pub deliveries: u64,
    /// Messages that volatile subscribers missed because their socket was full.
    pub dropped: u64,
    /// Values left out for `latest` subscribers.
    pub conflated: u64,
    /// Gaps signalled to `log` subscribers.
    pub gaps: u64,
}
