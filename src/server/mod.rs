//! The front: accepts connections, speaks HTTP and TLS to them, and gives WebSockets to the shards. Runs on a small
//! ordinary runtime of its own.

mod accept;
mod client;
mod configuration;
mod cors;
mod front;
mod gate;
mod jwks;
mod lifecycle;
mod listen;
mod origin;
mod patience;
mod routes;
mod seldom;
mod serve;
mod stream;
mod takeover;
mod throttle;
mod tls;
mod upgrade;

pub use lifecycle::{Server, StartError};
