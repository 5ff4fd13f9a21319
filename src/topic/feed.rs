//! Who is told that a topic has something new: a shard's share of the subscribers.

/// Which shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ShardId(pub usize);

/// A shard's share of a topic's subscribers, or of those with the same `max_rate`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FeedRef {
    /// The shard.
    pub shard: ShardId,
    /// Its name for the feed.
    pub slot: u32,
}
