//! Whoever asked for a [`Receipt`] that there is not yet, and what it gets to hear.
//!
//! ```text
//!              its place has it                          told Ok(receipt)
//! (Pending) ──────────────────────────────────────────►
//!     │  its place does not get it for now               told Err(NotPlaced::NotKept)
//!     ├────────────────────────────────────────────────►
//!     │  who held the asker is gone: topic, thread       told Err(NotPlaced::Lost), by `Drop`
//!     └────────────────────────────────────────────────►
//! ```
//! An [`Asker`] owns the right to be told: telling consumes it, and one that is dropped is told that its message was lost
//! sight of. So each hears exactly once, whatever becomes of those who hold it; that the connection or the request may be
//! gone by then is the ear's own affair.

use std::sync::Arc;

use fanwire_proto::{ClientId, TopicName};

use super::Receipt;

/// What became of a publish that was submitted.
pub type Outcome = Result<Receipt, NotPlaced>;

/// Why there is no receipt. Neither says that the message is nowhere, so whoever published can do the same about both, and
/// reads the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPlaced {
    /// Its place could not keep it, and tries again.
    #[error("{}", MAY_STILL_COME)]
    NotKept,
    /// Whoever was to say what becomes of it went away.
    #[error("{}", MAY_STILL_COME)]
    Lost,
}

const MAY_STILL_COME: &str =
    "the message could not be made durable for now; it may still come: repeat it with the same `message_id`";

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
    /// What became of it.
    pub outcome: Outcome,
}

/// A thread that owns connections, as those see it who have something to tell them.
pub trait Ear: Send + Sync {
    /// Passes on what became of messages, in this order. Must not wait.
    fn hear(&self, settlements: Vec<Settlement>);
}

/// Somebody who is told exactly once what became of a publish.
#[must_use = "whoever is dropped hears that the message was lost"]
pub struct Asker(Option<Who>);

enum Who {
    Connection { ear: Arc<dyn Ear>, slot: u32, client: ClientId, id: Option<u64>, topic: TopicName },
    Call(Box<dyn FnOnce(Outcome) + Send>),
}

impl Asker {
    /// Nobody: a publish whose outcome is not waited for.
    pub const fn nobody() -> Self {
        Self(None)
    }

    /// A connection's request. Without an `id` there is a reply only if it fails.
    pub fn connection(
        ear: Arc<dyn Ear>,
        slot: u32,
        client: ClientId,
        id: Option<u64>,
        topic: TopicName,
    ) -> Self {
        Self(Some(Who::Connection { ear, slot, client, id, topic }))
    }

    /// Somebody else. `call` must not wait, and may run on any thread.
    pub fn call(call: impl FnOnce(Outcome) + Send + 'static) -> Self {
        Self(Some(Who::Call(Box::new(call))))
    }

    /// Whether there is nobody to tell.
    pub const fn is_nobody(&self) -> bool {
        self.0.is_none()
    }

    /// Tells it.
    pub fn tell(mut self, outcome: Outcome) {
        if let Some(who) = self.0.take() {
            who.hear(outcome, |ear, settlement| ear.hear(vec![settlement]));
        }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if let Some(who) = self.0.take() {
            // Whoever holds an asker may go down with a panic, a topic or the store: nobody waits for ever.
            who.hear(Err(NotPlaced::Lost), |ear, settlement| ear.hear(vec![settlement]));
        }
    }
}

impl Who {
    fn hear(self, outcome: Outcome, send: impl FnOnce(Arc<dyn Ear>, Settlement)) {
        match self {
            Self::Call(call) => call(outcome),
            Self::Connection { id: None, .. } if outcome.is_ok() => {}
            Self::Connection { ear, slot, client, id, topic } => {
                send(ear, Settlement { slot, client, id, topic, outcome });
            }
        }
    }
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            None => f.write_str("Nobody"),
            Some(Who::Connection { client, id, .. }) => {
                f.debug_tuple("Connection").field(client).field(id).finish()
            }
            Some(Who::Call(_)) => f.write_str("Call"),
        }
    }
}

/// An asker with what it gets to hear.
#[derive(Debug)]
pub struct Settled {
    /// Who waits.
    pub asker: Asker,
    /// What for.
    pub outcome: Outcome,
}

impl Settled {
    /// Tells all of them, in order, each thread's connections in one go.
    pub fn tell_all(all: Vec<Self>) {
        let mut by_ear: Vec<(Arc<dyn Ear>, Vec<Settlement>)> = Vec::new();
        for Self { mut asker, outcome } in all {
            // Taken out, or `Drop` would tell it a second time.
            let Some(who) = asker.0.take() else { continue };
            who.hear(outcome, |ear, settlement| {
                // There are as many as shards.
                match by_ear.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &ear)) {
                    Some((_, settlements)) => settlements.push(settlement),
                    None => by_ear.push((ear, vec![settlement])),
                }
            });
        }
        by_ear.into_iter().for_each(|(ear, settlements)| ear.hear(settlements));
    }
}
