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
    /// Several messages, one right after the other: a Socket.IO event and its binary attachments.
    Several(Vec<Self>),
}

impl Body {
    /// One message of text.
    pub fn text(bytes: impl Into<Bytes>) -> Self {
        Self::Text(bytes.into())
    }

    /// One message of bytes.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::Binary(bytes.into())
    }
}
