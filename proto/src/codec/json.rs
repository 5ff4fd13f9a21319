//! JSON frames: borrowed text, so that a payload is copied once and kept as written.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    Frame,
    value::{Mismatch, Value},
};
use crate::Payload;

/// A value as text. What [`frame`] and the accessors hand out is known to be well-formed, except for the object
/// of a frame that is not an array: reading its entries tells.
#[derive(Clone, Copy)]
pub(super) struct Json<'a>(&'a str);

/// Takes a frame apart.
pub(super) fn frame(bytes: &[u8]) -> Result<Frame<Json<'_>>, Mismatch> {
    let text = std::str::from_utf8(bytes)?;
    match first_byte(text) {
        Some(b'{') => Ok(Frame::One(Json(text))),
        Some(b'[') => Json(text).elements().map(Frame::Many),
        // A broken scalar is told what is broken; a sound one, that it is no object.
        _ => {
            serde_json::from_str::<&RawValue>(text)?;
            Err(Mismatch::expected("one object or an array of objects"))
        }
    }
}

fn first_byte(text: &str) -> Option<u8> {
    text.bytes().find(|byte| !byte.is_ascii_whitespace())
}

impl<'a> Value<'a> for Json<'a> {
    fn is_null(self) -> bool {
        self.0 == "null"
    }

    fn text(self) -> Result<Cow<'a, str>, Mismatch> {
        read_text(self.0).ok_or_else(|| Mismatch::expected("a string"))
    }

    fn unsigned(self) -> Result<u64, Mismatch> {
        serde_json::from_str(self.0).map_err(|_| Mismatch::expected("an integer from 0 to 2^64-1"))
    }

    fn number(self) -> Result<f64, Mismatch> {
        serde_json::from_str(self.0).map_err(|_| Mismatch::expected("a number"))
    }

    fn boolean(self) -> Result<bool, Mismatch> {
        serde_json::from_str(self.0).map_err(|_| Mismatch::expected("true or false"))
    }

    fn payload(self) -> Result<Payload, Mismatch> {
        Ok(Payload::json(self.0)?)
    }

    fn elements(self) -> Result<Vec<Self>, Mismatch> {
        if first_byte(self.0) != Some(b'[') {
            return Err(Mismatch::expected("an array"));
        }
        let elements: Vec<&RawValue> = serde_json::from_str(self.0)?;
        Ok(elements.into_iter().map(|raw| Self(raw.get())).collect())
    }

    fn entries(self, each: impl FnMut(Option<Cow<'a, str>>, Self)) -> Result<(), Mismatch> {
        if first_byte(self.0) != Some(b'{') {
            return Err(Mismatch::expected("an object"));
        }
        let mut source = serde_json::Deserializer::from_str(self.0);
        source.deserialize_map(EachEntry(each))?;
        Ok(source.end()?)
    }
}

/// Borrows a string without escapes, copies one with. Not every well-formed string is Unicode: `"\ud800"`.
fn read_text(raw: &str) -> Option<Cow<'_, str>> {
    match serde_json::from_str::<&str>(raw) {
        Ok(text) => Some(Cow::Borrowed(text)),
        Err(_) => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
}

struct EachEntry<F>(F);

impl<'a, F: FnMut(Option<Cow<'a, str>>, Json<'a>)> Visitor<'a> for EachEntry<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            (self.0)(read_text(name.get()), Json(value.get()));
        }
        Ok(())
    }
}
