//! What a protocol says: its messages, its notices and how it ends a connection.

use fanwire_proto::{CloseCode, Delivery, Epoch, ErrorCode, Member, Offset, TopicName};

use super::{Body, Variant, closing::Closing};

/// How a protocol puts what the broker has to say. Stateless: what differs between its connections is in their doors.
pub trait Dialect: Send + Sync {
    /// What operators read in a list of connections.
    fn name(&self) -> &'static str;

    /// The most bytes that one message of a client may have.
    fn reads(&self, limits: &Limits) -> usize;

    /// The most bytes of replies that may wait for a client before its connection ends; `None` for any number.
    fn outbox(&self, limits: &Limits) -> Option<usize> {
        Some(limits.max_outbox_bytes)
    }

    /// A message for subscribers, in one of the dialect's own variants.
    fn delivery(&self, delivery: Delivery<'_>, variant: Variant) -> Body;

    /// Whether a delivery says how many values were skipped before it; otherwise it is encoded once, whatever was.
    fn tells_skipped(&self) -> bool;

    /// What happens around a subscription.
    fn notice(&self, notice: &Notice<'_>) -> Body;

    /// How the end of a connection is put.
    fn closing(&self, code: CloseCode) -> Closing {
        code.into()
    }

    /// What the end of a subscription means to a client.
    fn ending(&self, _code: ErrorCode) -> Ending {
        Ending::Subscription
    }
}

/// What a client is told beside messages.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Notice<'a> {
    /// Somebody subscribed.
    Joined {
        /// To what.
        topic: &'a TopicName,
        /// Who.
        member: &'a Member,
    },
    /// Somebody's subscription ended.
    Left {
        /// To what.
        topic: &'a TopicName,
        /// Whose.
        member: &'a Member,
    },
    /// What lies between two offsets is gone for this subscriber.
    Gap {
        /// Of which topic.
        topic: &'a TopicName,
        /// Its epoch.
        epoch: Epoch,
        /// The last offset that the subscriber has.
        after: Offset,
        /// The first that it will have.
        next: Offset,
    },
    /// The server ended the subscription.
    Ended {
        /// To what.
        topic: &'a TopicName,
        /// Why.
        code: ErrorCode,
    },
    /// The connection is about to be closed.
    Goodbye {
        /// Why.
        code: ErrorCode,
        /// When to come back, in milliseconds from now.
        after_ms: u64,
    },
}

/// What ends with a subscription that the server ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The subscription, with a [notice](Notice::Ended).
    Subscription,
    /// The connection, which is for this subscription and nothing else.
    Connection(Closing),
}

/// The bounds of what is read and written, in bytes, as they are configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Largest message from a client.
    pub max_message_bytes: usize,
    /// Largest update of a document from a client.
    pub max_update_bytes: usize,
    /// Most bytes waiting for one connection.
    pub max_outbox_bytes: usize,
}
