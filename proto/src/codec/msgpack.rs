//! MessagePack frames: borrowed bytes, cut into values without interpreting them, so that one strange value costs
//! its own field and nothing else. Arrays and maps become JSON text when they are a payload, the form in which
//! fanwire keeps them.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    Frame,
    head::{Head, Reader},
    transcode::{self, DEPTH_MAX},
    value::{Mismatch, Value},
};
use crate::Payload;

/// The bytes of exactly one well-formed value.
#[derive(Clone, Copy)]
pub(super) struct Packed<'a>(&'a [u8]);

/// Takes a frame apart.
pub(super) fn frame(bytes: &[u8]) -> Result<Frame<Packed<'_>>, Mismatch> {
    let mut reader = Reader::new(bytes);
    let value = Packed(reader.value()?);
    match reader.rest().len() {
        0 => {}
        left => return Err(format!("{left} bytes follow the frame").into()),
    }
    match value.head()? {
        Head::Map(_) => Ok(Frame::One(value)),
        Head::Array(_) => value.elements().map(Frame::Many),
        _ => Err(Mismatch::expected("one map or an array of maps")),
    }
}

impl<'a> Packed<'a> {
    fn head(self) -> Result<Head<'a>, Mismatch> {
        Ok(Reader::new(self.0).head()?)
    }

    fn expect<T>(self, what: &str, read: impl FnOnce(Head<'a>) -> Option<T>) -> Result<T, Mismatch> {
        read(self.head()?).ok_or_else(|| Mismatch::expected(what))
    }
}

impl<'a> Value<'a> for Packed<'a> {
    fn is_null(self) -> bool {
        matches!(self.head(), Ok(Head::Nil))
    }

    fn text(self) -> Result<Cow<'a, str>, Mismatch> {
        self.expect("a string", |head| match head {
            Head::Text(text) => std::str::from_utf8(text).ok().map(Cow::Borrowed),
            _ => None,
        })
    }

    fn unsigned(self) -> Result<u64, Mismatch> {
        self.expect("an integer from 0 to 2^64-1", |head| match head {
            Head::Unsigned(number) => Some(number),
            _ => None,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate needs no 64 bits")]
    fn number(self) -> Result<f64, Mismatch> {
        self.expect("a number", |head| match head {
            Head::Unsigned(number) => Some(number as f64),
            Head::Negative(number) => Some(number as f64),
            Head::Float(number) => Some(number),
            _ => None,
        })
    }

    fn boolean(self) -> Result<bool, Mismatch> {
        self.expect("true or false", |head| match head {
            Head::Bool(value) => Some(value),
            _ => None,
        })
    }

    fn payload(self) -> Result<Payload, Mismatch> {
        let mut reader = Reader::new(self.0);
        if let Head::Bytes(bytes) = self.head()? {
            return Ok(Payload::Bytes(Bytes::copy_from_slice(bytes)));
        }
        let mut text = Vec::with_capacity(self.0.len());
        write_json(&mut reader, &mut text, 0)?;
        Ok(Payload::Json(RawValue::from_string(String::from_utf8(text)?)?))
    }

    fn elements(self) -> Result<Vec<Self>, Mismatch> {
        let mut reader = Reader::new(self.0);
        let Head::Array(count) = reader.head()? else {
            return Err(Mismatch::expected("an array"));
        };
        // The count is not trusted with an allocation, although a well-formed value cannot lie.
        let mut elements = Vec::new();
        for _ in 0..count {
            elements.push(Self(reader.value()?));
        }
        Ok(elements)
    }

    fn entries(self, mut each: impl FnMut(Option<Cow<'a, str>>, Self)) -> Result<(), Mismatch> {
        let mut reader = Reader::new(self.0);
        let Head::Map(count) = reader.head()? else {
            return Err(Mismatch::expected("a map"));
        };
        for _ in 0..count {
            let name = Self(reader.value()?);
            each(name.text().ok(), Self(reader.value()?));
        }
        Ok(())
    }
}

/// Writes the next value as JSON text, refusing what JSON cannot express.
fn write_json(reader: &mut Reader<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), Mismatch> {
    match reader.head()? {
        Head::Nil => out.extend_from_slice(b"null"),
        Head::Bool(value) => serde_json::to_writer(out, &value)?,
        Head::Unsigned(number) => serde_json::to_writer(out, &number)?,
        Head::Negative(number) => serde_json::to_writer(out, &number)?,
        Head::Float(number) if number.is_finite() => serde_json::to_writer(out, &number)?,
        Head::Float(_) => return Err("holds NaN or an infinity, which JSON lacks".into()),
        Head::Text(text) => write_text(text, out)?,
        Head::Bytes(_) => return Err("may be bytes as a whole, but not hold bytes".into()),
        Head::Extension => return Err("holds a MessagePack extension type, which JSON lacks".into()),
        Head::Array(_) | Head::Map(_) if depth == DEPTH_MAX => return Err(transcode::too_deep().into()),
        Head::Array(count) => {
            out.push(b'[');
            for index in 0..count {
                if index > 0 {
                    out.push(b',');
                }
                write_json(reader, out, depth + 1)?;
            }
            out.push(b']');
        }
        Head::Map(count) => {
            out.push(b'{');
            for index in 0..count {
                if index > 0 {
                    out.push(b',');
                }
                let Head::Text(name) = reader.head()? else {
                    return Err("holds a map with a key that is no string".into());
                };
                write_text(name, out)?;
                out.push(b':');
                write_json(reader, out, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_text(text: &[u8], out: &mut Vec<u8>) -> Result<(), Mismatch> {
    let text = std::str::from_utf8(text).map_err(|_| Mismatch("holds a string that is not UTF-8".into()))?;
    Ok(serde_json::to_writer(out, text)?)
}
