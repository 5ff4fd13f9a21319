//! What a topic is: numbering, content, members, and how far each shard has taken them over.
//!
//! Shards *pull*. A publish numbers a message, keeps it, and marks every [`Feed`](FeedRef) (a shard's share of the
//! subscribers) that is not marked yet; the shard then takes everything since its last pull. So an inbox holds a topic
//! at most once, a burst is one pull, and the history is the only queue.
//!
//! What a message looks like to a subscriber is not known here: a message only carries a place for its bytes.
//!
//! Pure but for its lock: no clock, no I/O, no waiting. The lock is held for a few hundred nanoseconds and never
//! across another lock or an `.await`; what must happen outside (a wake-up) is handed out as a [`FeedRef`].

mod asker;
mod commit;
#[cfg(test)]
mod conditions_model;
mod conflated;
mod dedupe;
mod document;
#[cfg(test)]
mod durable_model;
mod feed;
mod history;
mod kept;
mod latest;
mod locked;
mod log;
mod measure;
mod merging;
mod placed;
mod presence;
mod publish;
mod refusal;
#[cfg(test)]
mod resume_model;
mod retention;
mod rule;
mod state;
mod store;
mod subscribe;
mod unkept;
mod views;
mod volatile;
mod wakes;
mod weight;

pub use asker::{Asker, Ear, NotPlaced, Outcome, Settled, Settlement};
pub use conflated::Conflated;
pub use fanwire_proto::Kind;
pub use feed::{FeedRef, ShardId};
pub use kept::{Block, Head, Restored, Writing};
pub use locked::Topic;
pub use placed::{KeyCount, Placed};
pub use presence::{Changes, PresenceChange};
pub use publish::{Draft, NotPublished, Receipt, Taken};
pub use refusal::Refusal;
pub use rule::{Keeping, KindRule, Merging, Retention, Rule, Rules};
pub use subscribe::{JoinRequest, Joined};
pub use unkept::Unkept;
pub use views::{CatchUp, Glance, HistoryQuery, Members, Pulled, Summary, Updates};
