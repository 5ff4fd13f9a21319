//! One client's session, as pure rules: the caller brings the clock.

mod bucket;

pub use bucket::TokenBucket;
