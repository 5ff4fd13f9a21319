//! What a message carries: a JSON value or bytes.

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::codec::transcode;

/// A message's content. JSON is kept as its text, so JSON subscribers get what was published, byte for byte.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A JSON value that every format can express: numbers fit a double, strings are Unicode.
    Json(Box<RawValue>),
    /// Bytes: MessagePack `bin`, `b64` in JSON.
    Bytes(Bytes),
}

/// Why something is no payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPayload(pub(crate) String);

impl Payload {
    /// Takes JSON text, having checked that other formats can express it too.
    pub fn json(text: &str) -> Result<Self, InvalidPayload> {
        transcode::check_json(text)?;
        let raw =
            serde_json::from_str::<&RawValue>(text).map_err(|error| InvalidPayload(error.to_string()))?;
        Ok(Self::Json(raw.to_owned()))
    }

    /// Takes text as a JSON string.
    pub fn text(text: &str) -> Result<Self, InvalidPayload> {
        serde_json::value::to_raw_value(text)
            .map(Self::Json)
            .map_err(|error| InvalidPayload(error.to_string()))
    }

    /// Its size as stored, in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(raw) => raw.get().len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether it has no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(a), Self::Json(b)) => a.get() == b.get(),
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            _ => false,
        }
    }
}
