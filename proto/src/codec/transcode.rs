//! Moves a JSON value into another format without a tree in between, and checks that this can be done.
//!
//! The common ground is JSON's data model: null, booleans, numbers that fit an integer of 64 bits or a finite
//! double, Unicode strings, arrays, and objects with string keys.

use std::{cell::RefCell, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
    ser::{self, SerializeMap, SerializeSeq},
};

use crate::{InvalidPayload, Payload};

/// Deepest nesting of a payload. `serde_json` reads 128 levels, and a payload may stand four deep in a frame: in a
/// message of the array of a reply of an array.
pub(super) const DEPTH_MAX: usize = 120;

/// Checks that JSON text is in the common ground.
pub(crate) fn check_json(text: &str) -> Result<(), InvalidPayload> {
    let mut source = serde_json::Deserializer::from_str(text);
    Checked::deserialize(&mut source)
        .and_then(|_| source.end())
        .map_err(|error| InvalidPayload(error.to_string()))?;
    match depth(text) {
        deep if deep > DEPTH_MAX => Err(too_deep()),
        _ => Ok(()),
    }
}

pub(super) fn too_deep() -> InvalidPayload {
    InvalidPayload(format!("is nested more than {DEPTH_MAX} deep"))
}

/// How deep arrays and objects nest in valid JSON text.
fn depth(text: &str) -> usize {
    let (mut now, mut most, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                now += 1;
                most = most.max(now);
            }
            b']' | b'}' if !in_string => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// JSON text writes itself into JSON and is transcoded into anything else; bytes become base64 in text formats.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self, serializer.is_human_readable()) {
            (Self::Json(raw), true) => raw.serialize(serializer),
            (Self::Json(raw), false) => {
                let mut source = serde_json::Deserializer::from_str(raw.get());
                Transcoder::new(&mut source).serialize(serializer)
            }
            (Self::Bytes(bytes), true) => {
                serializer.collect_str(&data_encoding::BASE64.encode_display(bytes))
            }
            (Self::Bytes(bytes), false) => serializer.serialize_bytes(bytes),
        }
    }
}

/// Reads any value of the common ground and keeps nothing.
struct Checked;

impl<'de> Deserialize<'de> for Checked {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(CheckVisitor)
    }
}

struct CheckVisitor;

impl<'de> Visitor<'de> for CheckVisitor {
    type Value = Checked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_str<E>(self, _: &str) -> Result<Checked, E> {
        Ok(Checked)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Checked, A::Error> {
        while seq.next_element::<Checked>()?.is_some() {}
        Ok(Checked)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Checked, A::Error> {
        while map.next_entry::<CheckedKey, Checked>()?.is_some() {}
        Ok(Checked)
    }
}

/// A string that is read for its escapes, then dropped.
struct CheckedKey;

impl<'de> Deserialize<'de> for CheckedKey {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_str(CheckVisitor).map(|_| Self)
    }
}

/// Serializes whatever a deserializer holds, once.
struct Transcoder<D>(RefCell<Option<D>>);

impl<D> Transcoder<D> {
    fn new(source: D) -> Self {
        Self(RefCell::new(Some(source)))
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Transcoder<D> {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        let source = self.0.borrow_mut().take().ok_or_else(|| ser::Error::custom("value already read"))?;
        source.deserialize_any(CopyVisitor(target)).map_err(ser::Error::custom)
    }
}

struct CopyVisitor<S>(S);

impl<'de, S: Serializer> Visitor<'de> for CopyVisitor<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can express")
    }

    fn visit_unit<E: de::Error>(self) -> Result<S::Ok, E> {
        self.0.serialize_unit().map_err(E::custom)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<S::Ok, E> {
        self.0.serialize_bool(value).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<S::Ok, E> {
        self.0.serialize_i64(value).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<S::Ok, E> {
        self.0.serialize_u64(value).map_err(E::custom)
    }

    fn visit_f32<E: de::Error>(self, value: f32) -> Result<S::Ok, E> {
        if !value.is_finite() {
            return Err(E::custom(NOT_FINITE));
        }
        self.0.serialize_f32(value).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<S::Ok, E> {
        if !value.is_finite() {
            return Err(E::custom(NOT_FINITE));
        }
        self.0.serialize_f64(value).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<S::Ok, E> {
        self.0.serialize_str(value).map_err(E::custom)
    }

    fn visit_bytes<E: de::Error>(self, _: &[u8]) -> Result<S::Ok, E> {
        Err(E::custom("bytes may be the whole of `data`, but not a part of it"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<S::Ok, A::Error> {
        let mut target = self.0.serialize_seq(seq.size_hint()).map_err(de::Error::custom)?;
        while seq.next_element_seed(ElementSeed(&mut target))?.is_some() {}
        target.end().map_err(de::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<S::Ok, A::Error> {
        let mut target = self.0.serialize_map(map.size_hint()).map_err(de::Error::custom)?;
        while map.next_key_seed(KeySeed(&mut target))?.is_some() {
            map.next_value_seed(ValueSeed(&mut target))?;
        }
        target.end().map_err(de::Error::custom)
    }
}

const NOT_FINITE: &str = "NaN and infinities are not JSON";

struct ElementSeed<'t, T>(&'t mut T);

impl<'de, T: SerializeSeq> DeserializeSeed<'de> for ElementSeed<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        self.0.serialize_element(&Transcoder::new(source)).map_err(de::Error::custom)
    }
}

struct ValueSeed<'t, T>(&'t mut T);

impl<'de, T: SerializeMap> DeserializeSeed<'de> for ValueSeed<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        self.0.serialize_value(&Transcoder::new(source)).map_err(de::Error::custom)
    }
}

struct KeySeed<'t, T>(&'t mut T);

impl<'de, T: SerializeMap> DeserializeSeed<'de> for KeySeed<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<(), D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de, T: SerializeMap> Visitor<'de> for KeySeed<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string as key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<(), E> {
        self.0.serialize_key(key).map_err(E::custom)
    }
}
