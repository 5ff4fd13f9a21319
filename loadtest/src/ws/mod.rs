//! RFC 6455 as far as a load tester needs it: the handshake, and frames over bytes in memory.

pub mod frame;
pub mod handshake;
