//! The seam: what a place takes, and what it answers.

use std::sync::Arc;

use fanwire_proto::{Ack, Position};

use crate::{
    durable::Trouble,
    topic::{Asker, Draft, NotPublished, Receipt, Taken, Topic},
};

/// A publish on its way to its place.
pub struct Submission<'a> {
    /// The message.
    pub draft: Draft,
    /// What the receipt is to promise, if that is not left to the topic's rule.
    pub ack: Option<Ack>,
    /// Where the topic must stand, if that matters.
    pub base: Option<Position>,
    /// Whoever is to be told later. Asked for under the topic's lock: it must neither wait nor publish.
    pub asker: &'a mut dyn FnMut() -> Asker,
    /// Milliseconds since 1970.
    pub now_ms: u64,
}

/// What became of a publish that was not refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "a receipt may be in here"]
pub enum Submitted {
    /// It is where it has to be.
    Placed(Receipt),
    /// The asker is told.
    Pending,
}

impl From<Taken> for Submitted {
    fn from(taken: Taken) -> Self {
        taken.receipt.map_or(Self::Pending, Self::Placed)
    }
}

/// What gives a topic's messages their place.
pub trait Place: Send + Sync {
    /// Refuses while it takes nothing, whatever the topic.
    fn check(&self) -> Result<(), Trouble>;

    /// Takes a message for a topic that it is behind. Must not wait: shards call this.
    ///
    /// # Errors
    /// When the topic refuses it, or was just forgotten. Then nobody was asked for, and nobody is told.
    fn submit(&self, topic: &Arc<Topic>, submission: Submission<'_>) -> Result<Submitted, NotPublished>;
}
