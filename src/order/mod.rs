//! How a message gets its place, apart from how it is accepted: what is behind a topic is known here and nowhere above.
//!
//! # Words
//! - **accept**: a publish passes the broker's checks and finds its topic. From here on it is somebody else's.
//! - **submit**: it is handed to the topic's *place* ([`Place::submit`]) with somebody to tell ([`Asker`](crate::topic::Asker)).
//! - **place**: the message gets its epoch and its offset, and is where its topic promises that it is: in memory at once, on
//!   the disk when it is committed, anywhere else when they answer there.
//! - **receipt**: what says so ([`Receipt`](crate::topic::Receipt)). It is made when the message is placed, by whoever places
//!   it, and there is none before. What it promises is what was asked for by `ack`, or else by the topic's rule.
//!
//! `ack = accepted` asks for less than a durable topic's rule: a number in the topic's order, which memory can give at once, and
//! no more. Its receipt is true at once: nothing else ever gets this epoch and offset, and what is placed after it comes after
//! it. That the message survives, or that anybody sees it before it is durable, is not promised by it, and a crash may take the
//! message back: its number then stays unused.
//!
//! # A publish's states
//! ```text
//!                      Err: it has no place and gets none; nobody is told
//! (draft) ──submit──┬────────────────────────────────────────────────────► refused
//!                   ├──Placed(receipt)───────────────────────────────────► placed
//!                   └──Pending──┬──the asker is told Ok(receipt)─────────► placed
//!                               └──the asker is told Err(NotPlaced)──────► may still come, nobody knows
//! ```
//! Each publish ends in exactly one of these, and each is said once: by what `submit` returns, or, after `Pending`, to the
//! asker, from any thread, even before `submit` has returned. An [`Asker`](crate::topic::Asker) cannot be told twice and, when it is dropped, says
//! that its message was lost sight of; so a topic, a thread or a place that goes away leaves nobody waiting. Whoever asked may
//! go away first: a connection's settlement finds another client in its slot and is let go, a request's receiver is closed.
//!
//! # Who owns what
//! | what | owner | until |
//! |---|---|---|
//! | the draft | the place; given back if the topic was just forgotten | it is refused or numbered |
//! | numbering, and what is seen when | the topic that the place is the home of | for ever |
//! | the asker | the place: nobody for one that answers at once; for the disk the topic, beside the message that it waits for | it is told |
//! | the receipt | whoever was told; nobody keeps it meanwhile | it is sent |
//! | which place is behind a topic | [`Order::place_of`] | the process ends |
//!
//! # Invariants
//! - Nothing above knows which place is behind a topic: doors and verbs have [`Submitted`], an [`Asker`](crate::topic::Asker) and [`Placing`].
//! - A place asks for the asker if and only if it answers `Pending`, once. One that answers at once costs no allocation for it.
//! - One connection's publishes to one topic are placed in their order.
//! - What a crash takes back was never shown: who has a receipt of a durable message has it after the commit
//!   ([`durable`](crate::durable)).
//!
//! # What can fail
//! | what | whoever published hears |
//! |---|---|
//! | the store takes nothing | refused, before anything is numbered ([`Place::check`]) |
//! | the topic is full | refused |
//! | the commit fails | `NotPlaced::NotKept`; the message stays in the topic for the next commit, nobody waits for that one |
//! | the thread that commits ends, the topic is dropped | `NotPlaced::Lost` or `NotKept` |
//! | the connection or request ends first | nobody is left; the message is placed all the same |

mod disk;
mod here;
mod memory;
mod place;
mod placing;

use std::sync::Arc;

pub use place::{Place, Submission, Submitted};
pub use placing::Placing;

use self::{disk::Disk, here::Here, memory::Memory};
use crate::{durable::Durable, metrics::Metrics, shard::ShardHandle, tap::Taps, topic::Keeping};

/// The places that there are.
pub struct Order {
    memory: Box<dyn Place>,
    disk: Box<dyn Place>,
}

impl Order {
    /// All of them in this process: subscribers are on these shards or at these taps.
    pub fn new(shards: Arc<[ShardHandle]>, taps: Arc<Taps>, durable: Arc<Durable>, metrics: Metrics) -> Self {
        let here = Arc::new(Here { shards, taps, metrics });
        Self { memory: Box::new(Memory(here.clone())), disk: Box::new(Disk { here, durable }) }
    }

    /// Has another place behind topics in memory.
    #[cfg(test)]
    pub(crate) fn stand_behind_memory(&mut self, place: Box<dyn Place>) {
        self.memory = place;
    }

    /// The place behind a topic: the only spot that decides it.
    pub fn place_of(&self, keeping: Keeping) -> &dyn Place {
        match keeping {
            Keeping::Memory => &*self.memory,
            Keeping::Durable | Keeping::DurableSeenEarly => &*self.disk,
        }
    }
}
