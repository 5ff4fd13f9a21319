//! One client's session, as pure rules: the caller brings the clock.

mod bucket;
mod client;

pub use bucket::TokenBucket;
pub use client::{Denied, Session, owner_of};
