//! Bytes on the wire, for protocols that this module does not know.
//!
//! What a protocol says is its [`Dialect`]: stateless, one per protocol (and application, and encoding), shared by all
//! connections that speak it. How that travels is the connection's [`Framing`]. Both together, with what a subscription
//! may choose, are an [`Encoding`]: a message is encoded once for each, and kept beside it in [`Encoded`] slots.
//!
//! ```text
//!  message ──Dialect──► Body ──Framing──► bytes ──┬── Encoded slot of the message
//!  notice ──┘                                     └── outbox of every connection with this Encoding
//! ```

mod body;
mod closing;
mod dialect;
mod encoded;
mod frame;
mod framing;
mod spoken;
pub mod websocket;

pub use body::{Body, Data, Own};
pub use closing::Closing;
pub use dialect::{Dialect, Ending, Limits, Notice};
pub use encoded::{DialectId, Encoded, Encoding, Variant};
pub use frame::{Frame, Part};
pub use framing::Framing;
pub use spoken::{Dialects, Speaker, Spoken};
