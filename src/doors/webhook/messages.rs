//! The messages of a delivery, as they are kept until they are published: what was planned is what goes out, whatever the
//! configuration says by then. So of a delivery's messages none goes to one topic before a crash and to another after it.

use bytes::Bytes;
use data_encoding::BASE64;
use fanwire_proto::{Payload, TopicName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::provider::Outgoing;

/// Messages of one delivery, by the number of their event.
pub(super) type Messages = Vec<(usize, Outgoing)>;

/// One of them as it is written.
#[derive(Serialize, Deserialize)]
struct Kept {
    index: usize,
    topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b64: Option<String>,
}

/// As the store has them.
pub(super) fn encode(messages: &Messages) -> Result<Vec<u8>, serde_json::Error> {
    let kept = |(index, outgoing): &(usize, Outgoing)| {
        let (json, b64) = match &outgoing.payload {
            Payload::Json(json) => (Some(json.clone()), None),
            Payload::Bytes(bytes) => (None, Some(BASE64.encode(bytes))),
        };
        let topic = outgoing.topic.as_str().to_owned();
        Kept { index: *index, topic, key: outgoing.key.clone(), json, b64 }
    };
    serde_json::to_vec(&messages.iter().map(kept).collect::<Vec<_>>())
}

/// The same read back; `None` if it is damaged.
pub(super) fn decode(bytes: &[u8]) -> Option<Messages> {
    let kept: Vec<Kept> = serde_json::from_slice(bytes).ok()?;
    let message = |Kept { index, topic, key, json, b64 }| {
        let payload = match (json, b64) {
            (Some(json), None) => Payload::Json(json),
            (None, Some(b64)) => Payload::Bytes(Bytes::from(BASE64.decode(b64.as_bytes()).ok()?)),
            _ => return None,
        };
        Some((index, Outgoing { topic: TopicName::new(&topic).ok()?, key, payload }))
    };
    kept.into_iter().map(message).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_back() {
        let topic = TopicName::new("a:b").unwrap();
        let json = Payload::json(r#"{"n": 1.10,"s":"\u00e4"}"#).unwrap();
        let messages = vec![
            (0, Outgoing { topic: topic.clone(), key: Some("k".into()), payload: json }),
            (7, Outgoing { topic, key: None, payload: Payload::Bytes(Bytes::from_static(b"\xff\0")) }),
        ];
        let kept = encode(&messages).unwrap();
        let read = decode(&kept).unwrap();
        assert_eq!(read.len(), 2);
        for ((index, outgoing), (read_index, read)) in messages.iter().zip(&read) {
            assert_eq!((index, &outgoing.topic, &outgoing.key), (read_index, &read.topic, &read.key));
            assert_eq!(outgoing.payload, read.payload);
        }
        assert!(decode(&kept[..kept.len() - 1]).is_none());
        assert!(decode(br#"[{"index":0,"topic":"*","json":1}]"#).is_none());
        assert!(decode(br#"[{"index":0,"topic":"a"}]"#).is_none());
    }
}
