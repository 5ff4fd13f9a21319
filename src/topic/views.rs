//! What a topic tells: content for shards and readers, members, counts.

use std::sync::Arc;

use fanwire_proto::{Epoch, Member, Offset, Payload, Position};

use super::{Changes, Placed, Rule};

/// What a shard takes over in one go.
#[derive(Debug)]
pub struct Pulled {
    /// Messages in offset order.
    pub messages: Vec<Arc<Placed>>,
    /// The shard now has everything up to here.
    pub upto: Offset,
    /// Joins and leaves; `None` when some were lost.
    pub changes: Option<Changes>,
    /// Whether another pull would find more.
    pub more: bool,
}

/// The content of a document.
#[derive(Debug)]
pub struct Updates {
    /// In offset order.
    pub updates: Vec<Arc<Placed>>,
    /// Where they end.
    pub position: Position,
}

/// What a subscriber that fell behind gets next.
#[derive(Debug)]
pub struct CatchUp {
    /// The hole before the messages: from the position asked about to the first offset there is.
    pub gap: Option<Offset>,
    /// Messages in offset order.
    pub messages: Vec<Arc<Placed>>,
    /// Where the subscriber stands after them.
    pub upto: Offset,
    /// The topic's epoch.
    pub epoch: Epoch,
}

/// Counts for `presence` replies.
#[derive(Debug)]
pub struct Members {
    /// One entry per client.
    pub members: Vec<Member>,
    /// How many clients.
    pub clients: usize,
    /// How many different users.
    pub users: usize,
}

/// A topic at a glance.
#[derive(Debug)]
pub struct Summary {
    /// Its last position.
    pub position: Position,
    /// How many subscribers it has.
    pub subscribers: usize,
    /// How many clients and how many different users those are, unless the rule keeps no presence.
    pub present: Option<(usize, usize)>,
    /// How many messages or values it holds for readers.
    pub messages: usize,
    /// What it promises and keeps.
    pub rule: Arc<Rule>,
}

/// What a topic tells at so little cost that ten thousand can be asked every second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glance {
    /// The topic's last position.
    pub position: Position,
    /// How many subscribers it has.
    pub subscribers: usize,
    /// When it last took a message, in milliseconds since 1970.
    pub published_ms: Option<u64>,
}

/// What to read of a history.
#[derive(Clone, Copy, Debug)]
pub struct HistoryQuery {
    /// After (backwards: before) this position.
    pub since: Option<Position>,
    /// Most messages.
    pub limit: usize,
    /// Newest first.
    pub reverse: bool,
}

impl Updates {
    /// The bytes of the updates after an offset.
    pub fn after(&self, offset: Offset) -> impl Iterator<Item = &[u8]> {
        let newer = self.updates.iter().filter(move |update| update.message.offset > offset);
        newer.filter_map(|update| match &update.message.payload {
            Payload::Bytes(bytes) => Some(bytes.as_ref()),
            Payload::Json(_) => None,
        })
    }
}
