//! One client's session, as pure rules: the caller brings the clock.

mod bucket;
mod client;
mod own;
mod subscribing;

pub use bucket::TokenBucket;
pub use client::{Denied, Session, Standing, check, owner_of};
pub use own::{By, OwnGrant};
pub use subscribing::{Terms, Wish};
