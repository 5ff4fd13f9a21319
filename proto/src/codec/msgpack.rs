//! MessagePack frames. Scalars are read as they are; arrays and maps are turned into JSON text on the way in, the
//! form in which fanwire keeps them.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};

use super::{
    decode::{Fields, Mismatch, Value, bad_frame},
    transcode::{self, DEPTH_MAX},
};
use crate::{Payload, Rejection, Request};

pub(super) fn decode_requests(frame: &[u8]) -> Vec<Result<Request, Rejection>> {
    match frame.first() {
        Some(0x90..=0x9f | 0xdc | 0xdd) => decode_array(frame),
        Some(0x80..=0x8f | 0xde | 0xdf) => {
            let mut objects = Objects::new(frame);
            let request = objects.next_request();
            match objects.finish() {
                Ok(()) => vec![request],
                Err(trailing) if request.is_ok() => vec![Err(trailing)],
                Err(_) => vec![request],
            }
        }
        Some(_) => vec![Err(bad_frame("a frame is one map or an array of maps"))],
        None => vec![Err(bad_frame("the frame is empty"))],
    }
}

/// Reads element by element: a map that is not a request is rejected alone, broken bytes end the frame.
fn decode_array(frame: &[u8]) -> Vec<Result<Request, Rejection>> {
    let Some((count, body)) = array_header(frame) else {
        return vec![Err(bad_frame("the array's length is cut off"))];
    };
    let mut objects = Objects::new(body);
    let mut requests = Vec::new();
    for _ in 0..count {
        requests.push(objects.next_request());
        if objects.broken {
            return requests;
        }
    }
    if let Err(trailing) = objects.finish() {
        requests.push(Err(trailing));
    }
    requests
}

fn array_header(frame: &[u8]) -> Option<(u64, &[u8])> {
    match *frame {
        [short @ 0x90..=0x9f, ref body @ ..] => Some((u64::from(short & 0x0f), body)),
        [0xdc, a, b, ref body @ ..] => Some((u64::from(u16::from_be_bytes([a, b])), body)),
        [0xdd, a, b, c, d, ref body @ ..] => Some((u64::from(u32::from_be_bytes([a, b, c, d])), body)),
        _ => None,
    }
}

/// A run of maps in one frame.
struct Objects<'a> {
    rest: &'a [u8],
    broken: bool,
}

impl<'a> Objects<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, broken: false }
    }

    fn next_request(&mut self) -> Result<Request, Rejection> {
        if !matches!(self.rest.first(), Some(0x80..=0x8f | 0xde | 0xdf)) {
            self.broken = true;
            return Err(bad_frame("a frame is one map or an array of maps"));
        }
        let mut source = rmp_serde::Deserializer::from_read_ref(self.rest);
        source.set_max_depth(DEPTH_MAX);
        match Fields::<Field<'a>>::deserialize(&mut source) {
            Ok(fields) => {
                let used = self.rest.len() - source.get_ref().len();
                self.rest = &self.rest[used..];
                fields.into_request()
            }
            Err(error) => {
                // Where this map ends is unknown, and with it where the next one starts.
                self.broken = true;
                Err(bad_frame(error))
            }
        }
    }

    fn finish(&self) -> Result<(), Rejection> {
        match self.rest.len() {
            0 => Ok(()),
            _ if self.broken => Ok(()),
            left => Err(bad_frame(format!("{left} bytes follow the last object"))),
        }
    }
}

/// A field's value as MessagePack has it.
enum Field<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// An array or map, as JSON text.
    Tree(String),
    /// A value JSON cannot express; an error only where a command wants the field.
    Inexpressible(String),
}

impl<'a> Value<'a> for Field<'a> {
    fn is_null(&self) -> bool {
        matches!(self, Self::Nil)
    }

    fn text(&self) -> Result<Cow<'a, str>, Mismatch> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            _ => Err(Mismatch::expected("a string")),
        }
    }

    fn unsigned(&self) -> Result<u64, Mismatch> {
        match self {
            Self::Unsigned(number) => Ok(*number),
            _ => Err(Mismatch::expected("a non-negative integer")),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 64 bits")]
    fn number(&self) -> Result<f64, Mismatch> {
        match self {
            Self::Unsigned(number) => Ok(*number as f64),
            Self::Negative(number) => Ok(*number as f64),
            Self::Float(number) => Ok(*number),
            _ => Err(Mismatch::expected("a number")),
        }
    }

    fn boolean(&self) -> Result<bool, Mismatch> {
        match self {
            Self::Bool(value) => Ok(*value),
            _ => Err(Mismatch::expected("true or false")),
        }
    }

    fn tree(&self) -> Result<&str, Mismatch> {
        match self {
            Self::Tree(text) => Ok(text),
            _ => Err(Mismatch::expected("a map")),
        }
    }

    fn payload(&self) -> Result<Payload, Mismatch> {
        let json = |text: &str| Payload::json(text).map_err(Mismatch::from);
        match self {
            Self::Nil => json("null"),
            Self::Bool(value) => json(if *value { "true" } else { "false" }),
            Self::Unsigned(number) => json(&number.to_string()),
            Self::Negative(number) => json(&number.to_string()),
            Self::Float(number) if number.is_finite() => json(&serde_json::to_string(number)?),
            Self::Float(_) => Err("NaN and infinities are not JSON".into()),
            Self::Text(text) => Payload::text(text).map_err(Mismatch::from),
            Self::Bytes(bytes) => Ok(Payload::Bytes(bytes.to_vec().into())),
            Self::Tree(text) => json(text),
            Self::Inexpressible(why) => Err(why.into()),
        }
    }
}

impl<'de> Deserialize<'de> for Field<'de> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can express")
    }

    fn visit_unit<E>(self) -> Result<Field<'de>, E> {
        Ok(Field::Nil)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Field<'de>, E> {
        Ok(Field::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Field<'de>, E> {
        Ok(Field::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Field<'de>, E> {
        Ok(u64::try_from(value).map_or(Field::Negative(value), Field::Unsigned))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Field<'de>, E> {
        Ok(Field::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Field<'de>, E> {
        Ok(Field::Text(Cow::Owned(value.into())))
    }

    fn visit_borrowed_bytes<E>(self, value: &'de [u8]) -> Result<Field<'de>, E> {
        Ok(Field::Bytes(Cow::Borrowed(value)))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Field<'de>, E> {
        Ok(Field::Bytes(Cow::Owned(value.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Field<'de>, A::Error> {
        transcode::seq_to_json(seq).map(Field::Tree)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field<'de>, A::Error> {
        transcode::map_to_json(map).map(Field::Tree)
    }

    /// An extension type; its content is read past, so that the rest of the frame stays readable.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, source: D) -> Result<Field<'de>, D::Error> {
        de::IgnoredAny::deserialize(source)?;
        Ok(Field::Inexpressible("MessagePack extension types are not JSON".into()))
    }
}
