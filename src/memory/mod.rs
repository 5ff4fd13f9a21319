//! How much memory the broker may take, and what for: a bound of the whole, a share of it for each class of what is kept, and
//! how much of each share is in use.
//!
//! Each class counts what it keeps where it keeps it, once per publish, request or turn and never per delivery. When a share is
//! used up, nothing else is touched:
//!
//! | class | at three quarters of its share | when it is used up |
//! |---|---|---|
//! | topics | unused durable topics are unloaded; of the histories in memory the largest lose their oldest messages (a `gap` says so) | publishes and new topics are refused as `overloaded` |
//! | documents | unused ones that a store has are unloaded, and what is only read is not kept; owners that have the most get no more of it | updates are refused as `overloaded` |
//! | merging | | merging waits; reading, changing and comparing is refused as `overloaded`. A document too large for it by itself is set aside: it is served update by update |
//! | bodies | | requests are refused as `overloaded` |
//! | outboxes | | connections that do not read are closed with 4101, those first for which most waits; each shard has its part of the share, and looks once a second |
//! | idempotency | | the oldest answers are forgotten |
//!
//! What no class counts (code, connections, indexes, what the allocator holds back) has the rest, a tenth. With a data directory the store's own memory comes on top: its cache, and
//! what is in its journal and in no table yet. From six tenths of the whole on every thread is made to give back what the
//! allocator keeps for it ([`relieve`]).

mod class;
mod machine;
mod owner;
mod plan;
mod relief;
mod share;
mod shares;

pub use class::Class;
pub use machine::{of_this_machine, resident_bytes};
pub use owner::{Account, Accounts, Charge, Owner, scope_of, unscoped};
pub use plan::Plan;
pub use relief::{ask_for_relief, relieve, relieve_with};
pub use share::{Held, Share};
pub use shares::Memory;
