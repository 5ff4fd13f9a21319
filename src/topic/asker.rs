//! Who waits for a message to be durable, and what it gets to hear.

use fanwire_proto::ClientId;

use super::{Receipt, ShardId};

/// Whom to tell that a message is durable.
pub enum Asker {
    /// A connection.
    Connection {
        /// Its shard.
        shard: ShardId,
        /// Its place there.
        slot: u32,
        /// Who it is, since the place may be another one's by then.
        client: ClientId,
        /// The request's own number.
        id: Option<u64>,
    },
    /// Somebody else.
    Call(Box<dyn FnOnce(bool) + Send>),
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connection { client, id, .. } => {
                f.debug_tuple("Connection").field(client).field(id).finish()
            }
            Self::Call(_) => f.write_str("Call"),
        }
    }
}

/// An asker with what it gets to hear.
#[derive(Debug)]
pub struct Settled {
    /// Who waits.
    pub asker: Asker,
    /// Where the message is.
    pub receipt: Receipt,
}
