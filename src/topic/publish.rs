//! A publish: what comes in, and what comes of it.

use fanwire_proto::{ClientId, Epoch, Member, Offset, Payload, Position, Tags};

use super::Refusal;
use crate::memory::Owner;

/// A message before it has a place.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The content.
    pub payload: Payload,
    /// Kind `latest`: which value it replaces.
    pub key: Option<String>,
    /// Makes the publish idempotent.
    pub message_id: Option<String>,
    /// Labels.
    pub tags: Option<Tags>,
    /// Who publishes, as subscribers get to see it.
    pub from: Option<Member>,
    /// The client that does not get it.
    pub not_to: Option<ClientId>,
    /// Who publishes, for what is kept of it: a topic that it makes, its message id.
    pub by: Owner,
}

/// Where a message is, for whoever published it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The topic's epoch.
    pub epoch: Epoch,
    /// The message's place.
    pub offset: Offset,
    /// Whether it had been published before.
    pub duplicate: bool,
    /// How many subscribers the topic has.
    pub subscribers: usize,
    /// Messages that a volatile topic dropped to make room.
    pub dropped: u64,
}

/// A message that a topic has taken: it has its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Its epoch and offset. On a durable topic nobody but the topic's place is to know them yet.
    pub at: Position,
    /// Whether it had been published before.
    pub duplicate: bool,
    /// There already if what was asked for is true already; otherwise it is made by the commit that makes it true, for
    /// the asker.
    pub receipt: Option<Receipt>,
    /// Whether the topic has to be queued for a commit.
    pub begin_commit: bool,
}

/// Why a publish did not happen.
#[derive(Debug, thiserror::Error)]
pub enum NotPublished {
    /// The topic was forgotten between looking it up and this; look it up again and publish what is given back.
    #[error("the topic was just closed")]
    Closed(Box<Draft>),
    /// The topic refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}
