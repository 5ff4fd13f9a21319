//! Durable topics: what connects [`topic`](crate::topic), which knows no disk, with [`store`](crate::store), which knows
//! no topics.
//!
//! A publish to a durable topic gets its offset and waits in the topic. The first one that waits queues the topic for a
//! commit (`commit.rs`); when the commit begins, it takes everything that waits there and writes it as one *block*
//! (`record.rs`); when it has succeeded, the messages are shown to subscribers and acknowledged. A topic that is not in
//! memory is restored from its blocks when somebody asks for it (`load.rs`), on a thread that may wait
//! (`Broker::fetch`): a shard goes on meanwhile, only the connection that asked pauses.
//!
//! # Invariants
//! - Offsets become durable in their order, and are never used twice, not even after a crash: everything a topic hands
//!   out lies within [`UNKEPT_COUNT`](crate::defaults::UNKEPT_COUNT) of what is durable, and numbering goes on that much
//!   further for each crash and each commit that was lost ([`Run`]).
//! - The epoch outlives restarts. It changes when subscribers may have seen what a crash took back
//!   ([`Keeping::DurableSeenEarly`](crate::topic::Keeping)), and when the topic's kind was changed.
//! - What cannot be read is a gap, never a silent hole, and is not deleted or overwritten: behind it a topic goes on above
//!   everything that any topic can have handed out (`Durable::ceiling`). A document with a hole is refused.
//!
//! # Layout
//! | space | key | value |
//! |---|---|---|
//! | `topics` | name | head: kind, epoch, last offset, what was removed, crashes until then, when it was written, known damage |
//! | `messages` | name, 0, first offset | block: epoch, crashes, last offset before it, messages |
//! | `values` | name, 0, key | block of one message |
//! | `documents` | name, 0, `state` | block of what was merged: updates that had to be left apart, then one for all the rest |
//! | `store` | `run` | crashes so far, and whether the last run ended in order |

mod chain;
mod commit;
mod keys;
mod load;
mod record;
mod run;
mod salvage;
mod topics;
mod upkeep;

pub use commit::Trouble;
pub use keys::prefix_of;
pub use load::{LoadError, topic_of};
pub use record::{DamagedRecord, StoredBlock, StoredHead, decode_block, decode_head};
pub use run::Run;
pub use topics::Durable;
pub use upkeep::Due;
