//! What became of a message that its publisher's connection has waited for.

use fanwire_proto::{ClientId, TopicName};

use crate::topic::Receipt;

/// The outcome of one publish, for the connection that made it.
#[derive(Debug)]
pub struct Settlement {
    /// The connection's place in its shard.
    pub slot: u32,
    /// Who it is; by the time this comes, the place may be another one's.
    pub client: ClientId,
    /// The door's own number for the request.
    pub id: Option<u64>,
    /// The topic.
    pub topic: TopicName,
    /// Where the message is, if it is durable; nothing if it could not be written.
    pub receipt: Option<Receipt>,
}
