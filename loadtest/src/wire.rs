//! fanwire's native protocol (DESIGN §5) as a client sees it, written down independently of the broker's own codec.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::ws::frame;

/// How objects are encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Text frames with JSON.
    #[default]
    Json,
    /// Binary frames with MessagePack maps.
    Msgpack,
}

impl Encoding {
    /// The WebSocket subprotocol.
    #[must_use]
    pub fn protocol(self) -> &'static str {
        match self {
            Self::Json => "fanwire.v1.json",
            Self::Msgpack => "fanwire.v1.msgpack",
        }
    }

    /// The opcode of its frames.
    #[must_use]
    pub fn opcode(self) -> u8 {
        match self {
            Self::Json => frame::TEXT,
            Self::Msgpack => frame::BINARY,
        }
    }

    /// Encodes one object.
    ///
    /// # Errors
    /// When the object cannot be encoded, which none of this module's can fail to be.
    pub fn encode(self, object: &impl Serialize) -> Result<Vec<u8>> {
        match self {
            Self::Json => serde_json::to_vec(object).map_err(|error| Error::Encode(error.to_string())),
            Self::Msgpack => {
                rmp_serde::to_vec_named(object).map_err(|error| Error::Encode(error.to_string()))
            }
        }
    }

    /// Decodes a frame of one object or an array of them.
    ///
    /// # Errors
    /// When the frame is neither.
    pub fn decode<'a, T: Deserialize<'a>>(self, payload: &'a [u8]) -> std::result::Result<Vec<T>, String> {
        let array = match self {
            Self::Json => payload.trim_ascii_start().first() == Some(&b'['),
            // The markers of fixarray, array 16 and array 32.
            Self::Msgpack => matches!(payload.first(), Some(0x90..=0x9f | 0xdc | 0xdd)),
        };
        match (self, array) {
            (Self::Json, true) => serde_json::from_slice(payload).map_err(|error| error.to_string()),
            (Self::Json, false) => {
                serde_json::from_slice(payload).map(|one| vec![one]).map_err(|e| e.to_string())
            }
            (Self::Msgpack, true) => rmp_serde::from_slice(payload).map_err(|error| error.to_string()),
            (Self::Msgpack, false) => {
                rmp_serde::from_slice(payload).map(|one| vec![one]).map_err(|error| error.to_string())
            }
        }
    }
}

/// A place in a topic, as replies and `since` have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Position {
    /// Offsets of different epochs do not compare.
    pub epoch: String,
    /// The offset.
    pub offset: u64,
}

/// What a client sends.
#[derive(Debug, Default, Serialize)]
pub struct Request<'a> {
    /// The command.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The client's own number for the reply.
    pub id: u64,
    /// The topic.
    pub topic: &'a str,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<&'a Position>,
    /// The most batches a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<f64>,
    /// Which value this is, for kind `latest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// The same message, sent again, has the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<&'a str>,
    /// What the acknowledgement has to mean: `durable`, or absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack: Option<&'a str>,
    /// What to publish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Data<'a>>,
}

/// What is published.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes; MessagePack only.
    Bytes(&'a [u8]),
}

impl Serialize for Data<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            // As a slice it would become an array of numbers.
            Self::Bytes(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

/// What a server sends, as far as the tester looks at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Reply {
    /// `welcome`, `ok`, `error`, `message`, …
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The number of the request it answers.
    #[serde(default)]
    pub id: Option<u64>,
    /// The code of an `error`, `end` or `goodbye`.
    #[serde(default)]
    pub code: Option<String>,
    /// Whether trying again can help after an `error`.
    #[serde(default)]
    pub retry: Option<bool>,
    /// The explanation of an `error`.
    #[serde(default)]
    pub message: Option<String>,
    /// The topic.
    #[serde(default)]
    pub topic: Option<String>,
    /// The epoch of an `ok` or `gap`.
    #[serde(default)]
    pub epoch: Option<String>,
    /// The position of an `ok` or `message`.
    #[serde(default)]
    pub offset: Option<u64>,
    /// Whether a resumed subscription missed nothing.
    #[serde(default)]
    pub recovered: Option<bool>,
    /// Which value a message is.
    #[serde(default)]
    pub key: Option<String>,
    /// How many older values it stands for.
    #[serde(default)]
    pub skipped: Option<u64>,
    /// The offset before a `gap`.
    #[serde(default)]
    pub after: Option<u64>,
    /// The offset after a `gap`.
    #[serde(default)]
    pub next: Option<u64>,
}

/// A delivery as the broker encodes it; the bare loop sends as many bytes.
#[derive(Debug, Serialize)]
pub struct Delivery<'a> {
    /// Always `message`.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// Position in the topic.
    pub offset: u64,
    /// Milliseconds since 1970.
    pub time: u64,
    /// What was published.
    pub data: &'a str,
}

impl<'a> Delivery<'a> {
    /// A delivery with a time of the usual length.
    #[must_use]
    pub fn new(topic: &'a str, offset: u64, data: &'a str) -> Self {
        Self { kind: "message", topic, offset, time: 1_795_288_835_123, data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(kind: &str, id: Option<u64>) -> Reply {
        Reply { kind: kind.into(), id, ..Reply::default() }
    }

    #[test]
    fn json_replies_come_alone_or_in_an_array_and_unknown_fields_are_ignored() {
        let one: Vec<Reply> =
            Encoding::Json.decode(br#"{"type":"ok","id":1,"offset":5,"epoch":"e"}"#).unwrap();
        assert_eq!(one, [Reply { epoch: Some("e".into()), offset: Some(5), ..reply("ok", Some(1)) }]);
        let two: Vec<Reply> = Encoding::Json.decode(br#" [{"type":"pong"},{"type":"ok","id":2}]"#).unwrap();
        assert_eq!(two, [reply("pong", None), reply("ok", Some(2))]);
        assert!(Encoding::Json.decode::<Reply>(b"{").is_err());
    }

    #[test]
    fn msgpack_deliveries_are_maps_with_the_same_names() {
        let delivery = Delivery::new("bench:x", 7, "hello");
        for object in [Encoding::Msgpack.encode(&delivery), Encoding::Msgpack.encode(&[&delivery])] {
            let replies: Vec<Reply> = Encoding::Msgpack.decode(&object.unwrap()).unwrap();
            let topic = Some("bench:x".to_owned());
            assert_eq!(replies, [Reply { topic, offset: Some(7), ..reply("message", None) }]);
        }
    }

    #[test]
    fn a_publish_reads_as_the_contract_has_it() {
        let request = Request {
            kind: "publish",
            id: 3,
            topic: "chat:lobby",
            data: Some(Data::Text("hi")),
            ..Request::default()
        };
        let json = Encoding::Json.encode(&request).unwrap();
        assert_eq!(json, br#"{"type":"publish","id":3,"topic":"chat:lobby","data":"hi"}"#);
    }
}
