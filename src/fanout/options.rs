//! What a door says of a subscription.

use fanwire_proto::{Member, Position};

/// What a door calls a subscription of its connection; nobody else reads anything into it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SubKey(pub u32);

/// What a subscriber asks for.
#[derive(Clone, Debug, Default)]
pub struct SubscribeOptions {
    /// What the subscription is called: one for each of a connection, several of which may be to the same topic.
    pub key: SubKey,
    /// Resume after this position.
    pub since: Option<Position>,
    /// Without `since`: start with this many past messages.
    pub last: Option<u32>,
    /// Whether it wants members, joins and leaves.
    pub watch: bool,
    /// Kind `latest`: at most this many passes a second; ignored by others.
    pub max_rate: Option<f64>,
    /// Whether it goes without what this connection publishes.
    pub declines_own: bool,
    /// Who subscribes, where that is not the connection's own member; of the same client.
    pub member: Option<Member>,
}
