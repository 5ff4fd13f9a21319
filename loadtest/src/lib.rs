//! A load tester for pub/sub brokers: it measures latency from the moment a message was *due*, keeps a ledger of
//! every message for every subscriber, measures what the server spent, and gives a verdict.
//!
//! Reading order: [`stamp`] (what a message carries) → [`ledger`] (what must arrive) → [`ws`] and [`wire`] (frames and
//! objects) → [`client`] (thousands of connections on one thread) → [`window`] (one measurement) → [`scenario`] (what
//! a command measures) → [`verdict`], [`report`] and [`output`]. [`bare`] and [`null`] are the servers it measures itself with;
//! [`relay`] makes a good one look bad.

pub mod adapter;
pub mod affinity;
pub mod bare;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cpu;
pub mod error;
pub mod latency;
pub mod ledger;
pub mod memory;
pub mod null;
pub mod options;
pub mod output;
pub mod relay;
pub mod report;
pub mod run;
pub mod scenario;
pub mod server;
pub mod stamp;
pub mod tally;
pub mod verdict;
pub mod window;
pub mod wire;
pub mod ws;

pub use error::{Error, Result};
