//! JSON values as text frames and as MessagePack; bytes, which JSON lacks, stand as `{"$bin": base64}`.

use std::fmt;

use data_encoding::BASE64;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, SeqAccess, Visitor},
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::{Map, Number, Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Which subprotocol a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoding {
    Json,
    MsgPack,
}

/// Stands for bytes in a value that travels as MessagePack.
pub(crate) fn bin(bytes: &[u8]) -> Value {
    json!({ "$bin": BASE64.encode(bytes) })
}

impl Encoding {
    pub(crate) const BOTH: [Self; 2] = [Self::Json, Self::MsgPack];

    pub(crate) fn subprotocol(self) -> &'static str {
        match self {
            Self::Json => "fanwire.v1.json",
            Self::MsgPack => "fanwire.v1.msgpack",
        }
    }

    pub(crate) fn encode(self, value: &Value) -> Message {
        match self {
            Self::Json => Message::text(value.to_string()),
            Self::MsgPack => Message::binary(rmp_serde::to_vec_named(&Outgoing(value)).unwrap()),
        }
    }

    pub(crate) fn decode(self, message: &Message) -> Value {
        match (self, message) {
            (Self::Json, Message::Text(text)) => serde_json::from_str(text).unwrap(),
            (Self::MsgPack, Message::Binary(bytes)) => rmp_serde::from_slice::<Incoming>(bytes).unwrap().0,
            (_, other) => panic!("not a frame of {self:?}: {other:?}"),
        }
    }
}

struct Outgoing<'a>(&'a Value);

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(object) => match object.get("$bin") {
                Some(text) => {
                    target.serialize_bytes(&BASE64.decode(text.as_str().unwrap().as_bytes()).unwrap())
                }
                None => {
                    let mut map = target.serialize_map(Some(object.len()))?;
                    object.iter().try_for_each(|(key, value)| map.serialize_entry(key, &Outgoing(value)))?;
                    map.end()
                }
            },
            Value::Array(items) => {
                let mut seq = target.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| seq.serialize_element(&Outgoing(item)))?;
                seq.end()
            }
            scalar => scalar.serialize(target),
        }
    }
}

struct Incoming(Value);

impl<'de> Deserialize<'de> for Incoming {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(IncomingVisitor).map(Self)
    }
}

struct IncomingVisitor;

impl<'de> Visitor<'de> for IncomingVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a MessagePack value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(bin(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Incoming(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Incoming(value))) = source.next_entry::<String, _>()? {
            assert!(map.insert(key, value).is_none(), "a key twice in one map");
        }
        Ok(Value::Object(map))
    }
}
