//! The broker: topics by name, and the verbs on them. One file per verb; doors call these and nothing below.

mod access;
mod asking;
#[cfg(test)]
mod damage_test;
mod documents;
#[cfg(test)]
mod durable_test;
mod edit;
mod inspect;
mod lookup;
mod policy;
mod pressure;
mod publish;
mod read;
mod restoring;
mod revocations;
mod server_side;
mod state;
mod subscribe;
mod sweep;
mod unserved;
mod versions;

pub use edit::DocumentError;
pub use inspect::ConnectionPage;
pub use lookup::{Missing, NoTopic, TooManyOwned, TooManyTopics, Unreadable};
pub use policy::{Limits, Policy};
pub use publish::PublishError;
pub use revocations::RevokeError;
pub use server_side::ServerSubscribed;
pub use state::Broker;
pub use subscribe::SubscribeError;
