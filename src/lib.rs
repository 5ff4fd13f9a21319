//! fanwire.
pub mod auth;
pub mod broker;
pub mod config;
pub mod defaults;
pub mod doors;
pub mod frames;
pub mod metrics;
pub mod server;
pub mod session;
pub mod shard;
pub mod topic;
