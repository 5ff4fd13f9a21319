//! The bounds a shard applies.

use std::time::Duration;

use crate::wire::Limits;

/// The bounds a shard applies.
#[derive(Clone, Debug)]
pub struct ShardLimits {
    /// Of what is read and written.
    pub bytes: Limits,
    /// Most bytes waiting for all connections of the shard together.
    pub max_outboxes_bytes: usize,
    /// Between pings.
    pub ping: Duration,
    /// To answer a ping; at most `ping`.
    pub pong_timeout: Duration,
}
