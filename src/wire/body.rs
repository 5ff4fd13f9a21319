//! What a dialect has to say, before it is framed.

use bytes::Bytes;

/// Messages of a protocol without their framing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// The protocol has no word for it.
    Nothing,
    /// One message of UTF-8 text. Where a framing knows no types, bytes like any other.
    Text(Bytes),
    /// One message of bytes.
    Binary(Bytes),
    /// One message of which a part is each receiver's own, see [`shard::Stamp`](crate::shard::Stamp). Never compressed.
    Own(Data, Bytes, Own),
    /// Several messages, one right after the other: a Socket.IO event and its binary attachments.
    Several(Vec<Self>),
}

/// How WebSocket types a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Data {
    /// UTF-8.
    Text,
    /// Anything.
    Binary,
}

/// Where a receiver's own bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Own {
    /// Before the shared ones, any number of them: an address, a position.
    Head,
    /// In the middle, always as many: a packet's number.
    Patch {
        /// Behind so many shared bytes.
        at: usize,
        /// So many.
        length: usize,
    },
}

impl Body {
    /// One message of this type.
    pub fn of(data: Data, bytes: impl Into<Bytes>) -> Self {
        match data {
            Data::Text => Self::Text(bytes.into()),
            Data::Binary => Self::Binary(bytes.into()),
        }
    }

    /// One message of text.
    pub fn text(bytes: impl Into<Bytes>) -> Self {
        Self::Text(bytes.into())
    }

    /// One message of bytes.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::Binary(bytes.into())
    }
}
