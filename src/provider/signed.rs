//! What a signature covers: a text with `{…}` for parts of the request.

use std::{borrow::Cow, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Request, form, sns};

/// Part of what is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    Text(String),
    /// The body as it came.
    Body,
    /// The fields of a form, sorted; nothing if the body is none.
    Form,
    Method,
    Url,
    /// What the scheme's `id` names.
    Id,
    /// What the scheme's `timestamp` names, as it is written.
    Timestamp,
    Secret,
    /// The value of the source's `expect` that is tried.
    Expect,
    /// Checksum of the body in decimal.
    Crc32,
    /// The members of an SNS message that it signs.
    Sns,
}

impl Piece {
    /// The sender's own words, which must not reach over the text that ends them.
    fn value<'a>(&self, parts: &Parts<'a>) -> Option<&'a [u8]> {
        match self {
            Self::Id => Some(parts.id),
            Self::Timestamp => Some(parts.timestamp),
            _ => None,
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|window| window == part)
}

const NAMES: &[(&str, Piece)] = &[
    ("body", Piece::Body),
    ("form", Piece::Form),
    ("method", Piece::Method),
    ("url", Piece::Url),
    ("id", Piece::Id),
    ("timestamp", Piece::Timestamp),
    ("secret", Piece::Secret),
    ("expect", Piece::Expect),
    ("crc32", Piece::Crc32),
    ("sns", Piece::Sns),
];

/// A template of what is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed(Vec<Piece>);

/// The parts that are not in the request itself.
pub(super) struct Parts<'a> {
    pub(super) id: &'a [u8],
    pub(super) timestamp: &'a [u8],
    pub(super) url: &'a str,
    pub(super) secret: &'a [u8],
    pub(super) expect: &'a str,
    /// What was sent, before or after it was decompressed.
    pub(super) body: &'a [u8],
}

impl Signed {
    pub(super) fn has(&self, piece: &Piece) -> bool {
        self.0.contains(piece)
    }

    /// Whether it covers the content of the request.
    pub(super) fn covers_body(&self) -> bool {
        [Piece::Body, Piece::Form, Piece::Crc32, Piece::Sns].iter().any(|piece| self.has(piece))
    }

    /// The message that was signed; `None` if the request lacks a part of it. So that no two requests have the same
    /// message, an id or a timestamp must not contain the text that follows it.
    pub(super) fn message<'a>(&self, request: &Request<'a>, parts: &Parts<'a>) -> Option<Cow<'a, [u8]>> {
        let body = parts.body;
        // The usual case, and without a copy of what may be megabytes.
        if self.0 == [Piece::Body] {
            return Some(body.into());
        }
        let mut message = Vec::with_capacity(body.len() + 256);
        for (at, piece) in self.0.iter().enumerate() {
            if let Some(Piece::Text(end)) = self.0.get(at + 1)
                && piece.value(parts).is_some_and(|value| contains(value, end.as_bytes()))
            {
                return None;
            }
            match piece {
                Piece::Text(text) => message.extend_from_slice(text.as_bytes()),
                Piece::Body => message.extend_from_slice(body),
                // Twilio signs a form by its fields and anything else by its hash, which is then a parameter of the
                // signed address.
                Piece::Form if request.is_form() => message.extend(form::sorted(request.body)?),
                Piece::Form => {}
                Piece::Method => message.extend_from_slice(request.method.as_bytes()),
                Piece::Url => message.extend_from_slice(parts.url.as_bytes()),
                Piece::Id => message.extend_from_slice(parts.id),
                Piece::Timestamp => message.extend_from_slice(parts.timestamp),
                Piece::Secret => message.extend_from_slice(parts.secret),
                Piece::Expect => message.extend_from_slice(parts.expect.as_bytes()),
                Piece::Crc32 => message.extend(crc32fast::hash(body).to_string().into_bytes()),
                Piece::Sns => message.extend(sns::canonical(request.json()?)?.into_bytes()),
            }
        }
        Some(message.into())
    }
}

impl FromStr for Signed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            let known: Vec<_> = NAMES.iter().map(|(known, _)| format!("`{{{known}}}`")).collect();
            format!("in braces must be one of {}", known.join(", "))
        };
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            let (name, after) = after.split_once('}').ok_or("`{` without `}`")?;
            let known = NAMES.iter().find(|(known, _)| *known == name);
            let (_, piece) = known.ok_or_else(unknown)?;
            pieces.push(piece.clone());
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        match pieces.iter().any(|piece| !matches!(piece, Piece::Text(_))) {
            true => Ok(Self(pieces)),
            false => Err("it names no part of the request, such as `{body}`".into()),
        }
    }
}

impl std::fmt::Display for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for piece in &self.0 {
            match (piece, NAMES.iter().find(|(_, known)| known == piece)) {
                (Piece::Text(text), _) => f.write_str(text)?,
                (_, Some((name, _))) => write!(f, "{{{name}}}")?,
                (_, None) => {}
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Signed {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        text.parse().map_err(|error| D::Error::custom(format!("`signed`: {error}")))
    }
}

impl Serialize for Signed {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        target.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_read_and_written() {
        for text in ["{body}", "v0:{timestamp}:{body}", "{id}|{timestamp}|{expect}|{crc32}", "{method}{url}"]
        {
            assert_eq!(text.parse::<Signed>().unwrap().to_string(), text);
        }
        for wrong in ["", "body", "{body", "{cookie}"] {
            assert!(wrong.parse::<Signed>().is_err(), "{wrong}");
        }
    }
}
