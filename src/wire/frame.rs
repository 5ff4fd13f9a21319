//! The bytes of a body: the same for all who get it, or with places for what is each one's own.

use std::sync::Arc;

use bytes::Bytes;

use super::body::Data;

/// A body in a framing.
#[derive(Clone, Debug)]
pub enum Frame {
    /// The same for all.
    Shared(Bytes),
    /// Written from its parts for each one: what is shared is never encoded again.
    Mixed(Arc<[Part]>),
}

/// A part of a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// The same for all.
    Shared(Bytes),
    /// The beginning of a message: its header, and the receiver's own bytes, with so many shared ones behind them.
    Head(Data, usize),
    /// So many bytes of the receiver's own in the middle of a message.
    Patch(usize),
}

impl Frame {
    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Shared(bytes) => bytes.is_empty(),
            Self::Mixed(parts) => parts.is_empty(),
        }
    }
}
