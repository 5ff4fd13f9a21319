//! JSON frames: borrowed raw values, so that a payload is copied once and kept as written.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::decode::{Fields, Mismatch, Value, bad_frame};
use crate::{Payload, Rejection, Request};

pub(super) fn decode_requests(frame: &[u8]) -> Vec<Result<Request, Rejection>> {
    match first_byte(frame) {
        Some(b'{') => vec![decode_object(frame)],
        Some(b'[') => match serde_json::from_slice::<Vec<&RawValue>>(frame) {
            Ok(objects) => objects.into_iter().map(|object| decode_object(object.get().as_bytes())).collect(),
            Err(error) => vec![Err(bad_frame(error))],
        },
        // A broken scalar is told what is broken; a sound one, that it is no object.
        _ => match serde_json::from_slice::<&RawValue>(frame) {
            Ok(_) => vec![Err(bad_frame(NOT_AN_OBJECT))],
            Err(error) => vec![Err(bad_frame(error))],
        },
    }
}

const NOT_AN_OBJECT: &str = "a frame is one object or an array of objects";

fn decode_object(text: &[u8]) -> Result<Request, Rejection> {
    if first_byte(text) != Some(b'{') {
        return Err(bad_frame(NOT_AN_OBJECT));
    }
    serde_json::from_slice::<Fields<&RawValue>>(text).map_err(bad_frame)?.into_request()
}

fn first_byte(text: &[u8]) -> Option<u8> {
    text.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

impl<'a> Value<'a> for &'a RawValue {
    fn is_null(&self) -> bool {
        self.get() == "null"
    }

    fn text(&self) -> Result<Cow<'a, str>, Mismatch> {
        read_text(self.get()).ok_or_else(|| Mismatch::expected("a string"))
    }

    fn unsigned(&self) -> Result<u64, Mismatch> {
        serde_json::from_str(self.get()).map_err(|_| Mismatch::expected("a non-negative integer"))
    }

    fn number(&self) -> Result<f64, Mismatch> {
        serde_json::from_str(self.get()).map_err(|_| Mismatch::expected("a number"))
    }

    fn boolean(&self) -> Result<bool, Mismatch> {
        serde_json::from_str(self.get()).map_err(|_| Mismatch::expected("true or false"))
    }

    fn tree(&self) -> Result<&str, Mismatch> {
        Ok(self.get())
    }

    fn payload(&self) -> Result<Payload, Mismatch> {
        Payload::json(self.get()).map_err(Mismatch::from)
    }
}

/// Borrows a string without escapes, copies one with.
fn read_text(raw: &str) -> Option<Cow<'_, str>> {
    match serde_json::from_str::<&str>(raw) {
        Ok(text) => Some(Cow::Borrowed(text)),
        Err(_) => serde_json::from_str(raw).ok().map(Cow::Owned),
    }
}
