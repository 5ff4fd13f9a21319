//! The ways in: one module per wire protocol. A door decodes, asks the broker, and answers in its own dialect; it owns
//! no topic state and no fan-out.

pub mod control;
pub mod errors;
pub mod http;
pub mod native;
pub mod sse;
pub mod webhook;
pub mod yjs;
