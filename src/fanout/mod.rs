//! Fan-out of a shard: who subscribes to what, and how each of them gets what was published, whether its connection takes it
//! at once or later.
//!
//! Pure: connections are behind [`Connections`], the time is given. Topics are asked, never looked up.
//!
//! A topic that has something marks the shard's *feed* and says so ([`notified`](Fanout::notified)). In its turn the feed pulls
//! all there is, and runs a *pass* over its list of subscribers, a slice at a time. Whoever cannot take it is treated as the
//! topic's kind promises, and catches up when its connection has [drained](Fanout::drained). `model` holds all of it against
//! what each subscriber must have heard.

mod bounds;
mod catch_up;
mod connections;
mod core;
mod counts;
mod faults;
mod feed;
#[cfg(test)]
mod model;
mod options;
mod pass;
mod passes;
mod queries;
mod rates;
mod readers;
mod slot;
mod subscriber;
mod subscriptions;
mod turns;
mod waiting;

pub use bounds::Bounds;
pub use connections::{Connections, Item, Receiver};
pub use core::Fanout;
pub use counts::Counts;
pub use options::{SubKey, SubscribeOptions};
pub use pass::{change_frame, notice_of};
pub use queries::Subscription;
pub(crate) use slot::slot32;
pub use subscriptions::Moment;
