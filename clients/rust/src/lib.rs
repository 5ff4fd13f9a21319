//! The client of the fanwire real-time broker. It keeps one WebSocket alive, comes back after every loss, and goes on
//! exactly where it was: no message is lost or repeated without a word.
//!
//! ```no_run
//! use fanwire_client::{Client, Event, Options, Payload, SubscribeOptions};
//! use futures_util::StreamExt;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("ws://127.0.0.1:7400/ws", Options::default())?;
//! let mut lobby = client.subscribe("chat:lobby", SubscribeOptions { last: 20, ..Default::default() }).await?;
//! client.publish("chat:lobby", Payload::text("hi")?).await?;
//! while let Some(event) = lobby.next().await {
//!     if let Event::Message(message) = event? {
//!         println!("{:?}", message.payload);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//! - Messages of a topic come in its order, each at most once. After a loss the missed ones come before live ones, or
//!   [`Event::Recovered`] and [`Event::Gap`] say what may be missing.
//! - Publishes go out in the order of the calls, after lost connections too. One that was sent and not answered is sent
//!   again under the same id, so that it becomes one message; beyond the time for which the broker surely remembers
//!   ids, it fails with [`Code::OutcomeUnknown`] instead.
//! - Every queue is bounded, and says when it is full.
//!
//! # Map, in reading order
//! `options` → `error` → `backoff` and `cursor` (pure rules) → `outbox` (what waits for an answer) → `topic` (one
//! subscription, inside) → `client` and `subscription` (what programs hold) → `driver` (the task around the
//! connection) → `socket`.

mod backoff;
mod client;
mod cursor;
mod driver;
mod error;
mod options;
mod outbox;
mod publisher;
mod socket;
mod subscription;
mod topic;

pub use fanwire_proto::{
    Ack, Direction, Epoch, Format, Gap, Kind, Member, Message, Offset, Payload, Position, Tags, TopicName,
};

pub use self::client::{Client, History, HistoryOptions, Presence, Publication, Published, State};
pub use self::error::{Code, Error};
pub use self::options::{Options, SubscribeOptions, Token, TokenFuture};
pub use self::publisher::Publisher;
pub use self::subscription::{Event, Subscription};
