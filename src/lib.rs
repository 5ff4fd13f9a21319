//! fanwire.
pub mod auth;
pub mod broker;
pub mod config;
pub mod defaults;
pub mod frames;
pub mod doors;
pub mod metrics;
pub mod session;
pub mod shard;
pub mod topic;
