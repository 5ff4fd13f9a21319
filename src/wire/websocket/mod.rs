//! The WebSocket protocol (RFC 6455) with compression (RFC 7692) as functions from bytes to bytes: no socket, no clock.
//!
//! A server's half: it reads masked frames in whatever pieces they come, and writes frames that are neither masked nor
//! fragmented.
//!
//! # Why it is our own
//! A broker holds many idle connections on one thread, so what reads their frames must keep nothing for those that are
//! between two messages, work in the buffer the thread reads into, and say what a peer's frames cost. Of the crates that
//! exist, tungstenite refuses compressed frames and reads through a buffer per connection; fastwebsockets and
//! tokio-websockets have no compression; soketto, ratchet, yawc and sockudo-ws own the stream they read from, wtx the
//! runtime too, and the ones under the MPL are out for its licence. websocket-sans-io is frames without messages, which
//! leaves most of what is here to its user. shiguredo_websocket has the right shape, but keeps buffers and a compressor
//! of its own for each connection, which cannot be shared. tungstenite stays for handshakes, for clients and as the
//! other opinion that the tests compare with.
//!
//! # Compression keeps nothing between messages
//! Both sides are told to forget (`server_no_context_takeover`, `client_no_context_takeover`): a message compressed for
//! one subscriber is then right for all, and one inflater serves every connection of a thread. What a window that slides
//! over messages would save in bytes costs 40 KiB or more per connection to read and a compression per subscriber to
//! write.

mod close;
mod decoder;
mod deflate;
mod header;
mod mask;
mod negotiate;
mod utf8;
mod violation;

#[cfg(test)]
mod autobahn;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;

pub use close::append_close;
pub use decoder::{Cost, Decoder, Incoming, Partial, Rules};
pub use deflate::{Deflation, Inflater, Window, append_deflated};
pub use header::{Opcode, append_frame, append_header};
pub use negotiate::{Agreement, negotiate};
pub use violation::Violation;
