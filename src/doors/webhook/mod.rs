//! Webhooks on their way in: judged by their source, recognised, kept, then published. What is kept is published, also
//! by the process after this one.
//!
//! ```text
//! take ─► judge (pure: greet · verify · reply · parts) ─► claim ─► seen before? ─► keep (durable) ─► publish ─► 2xx
//!                                                                      │              │                │
//!                                                                  duplicate: 2xx   full: 503   refused: again later
//! ```
//! The record of a delivery, what it is known by, and the note that it waits to be published are one batch. The note goes
//! once every message is published, on a durable topic once it is durable. A crash leaves either nothing, and the
//! provider comes again, or all of it, and it is published at the next start under the same message ids.

mod accept;
mod address;
mod certificates;
mod claims;
mod deliveries;
mod incoming;
mod inspect;
mod late;
mod messages;
mod pending;
mod publish;
mod receive;
mod recent;
mod record;
mod refusal;
mod retention;
mod routes;
mod seen;
mod shared;
mod start;
mod state;
mod take;
mod turns;
mod upkeep;

pub use address::Peer;
pub use incoming::Incoming;
pub use inspect::{DeliveryPage, DeliveryQuery, NotReplayed};
pub use record::{Delivery, DeliveryId, EventNote, Header, Outcome};
pub use refusal::NotTaken;
pub use routes::{router, watching};
pub use start::StartError;
pub use state::{Settings, Webhooks};
