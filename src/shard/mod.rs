//! A shard: one thread that owns its share of the connections and does all their work.
//!
//! The loop is a readiness loop over `mio`, not an async runtime: a task per connection costs 1 KiB of memory each
//! (measured with tokio 1.54: 1 045 B per idle connection against 5 B here) and buys nothing when one owner does
//! everything in turns.
//!
//! A turn: sockets that are ready are read and their doors answer; orders from other threads are carried out; timers
//! fire; laggards get a batch of history; passes run a few slices; every connection with something to send is
//! written once.
//!
//! A shard never looks a topic up: its doors do, and hand it the [`Topic`](crate::topic::Topic).

mod address;
mod backlog;
mod carry_out;
mod closing;
mod conn;
mod core;
mod describe;
mod door;
mod drain;
mod endings;
mod gathering;
mod guarded;
mod handle;
mod inbox;
mod input;
mod keepalive;
mod limits;
mod listing;
mod newcomer;
mod orders;
mod outbox;
mod outgoing;
mod pressure;
mod run;
mod settle;
mod shards;
mod socket;
mod stamp;
mod subscribing;
mod table;
mod tally;
mod timers;
mod wakes;

pub use address::{Address, Awaited, Paused};
pub use conn::{Origin, Permit};
pub use door::{Cx, Door, Inbound};
pub use handle::ShardHandle;
pub use limits::ShardLimits;
pub use listing::{Connection, ConnectionOrder, ConnectionQuery, Listing};
pub use newcomer::Newcomer;
pub use orders::{Order, ServerSubs, Who};
pub use shards::Shards;
pub use socket::Socket;
pub use stamp::{Said, Stamp};
pub use tally::{Tally, TallySink};

pub use crate::fanout::{SubKey, SubscribeOptions};
