//! CloudEvents 1.0 as messages, in the three modes of its HTTP binding: structured, batched and binary.
//!
//! | CloudEvent | message |
//! |---|---|
//! | `data`, `data_base64`, the body in binary mode | the payload; `null` if there is none |
//! | `source` and `id` | the `message_id`: together they name an event, so that one sent twice is published once |
//! | `id`, `source`, `type`, `subject`, `time`, `dataschema` and extensions | tags of the same names after `ce-` |
//! | `datacontenttype`, the `Content-Type` in binary mode | the tag `content-type`, unless the payload shows it |
//! | `specversion` | must be `1.0` |
//!
//! An attribute has at most 200 bytes and a message 16 tags, as everywhere. `Message-Id` and `Message-Key` headers may
//! add to that; a batch has no `Message-Id`.

use std::{collections::BTreeMap, fmt};

use axum::{body::Bytes, http::HeaderMap};
use fanwire_proto::{Payload, Tags};
use percent_encoding::percent_decode;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::item::{check_tags, decode_base64};
use crate::{
    doors::http::{
        body::{content_type, keep_content_type, media_type, payload_of},
        problem::{Code, Problem},
    },
    memory::Owner,
    topic::Draft,
};

/// How a request carries events, if it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// No event: the body is the payload.
    Plain,
    /// An event whose attributes are headers.
    Binary,
    /// An event as JSON.
    Structured,
    /// An array of events as JSON.
    Batched,
}

/// Prefix of headers in binary mode, and of tags.
const PREFIX: &str = "ce-";

impl Mode {
    /// Which mode the headers show.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match media_type(content_type(headers)).as_str() {
            "application/cloudevents+json" => Ok(Self::Structured),
            "application/cloudevents-batch+json" => Ok(Self::Batched),
            other if other.starts_with("application/cloudevents") => {
                Err(Problem::new(Code::UnsupportedMediaType, "events are taken as JSON only"))
            }
            // Told by an attribute that every event must have (CloudEvents HTTP binding §3.1).
            _ if headers.contains_key("ce-specversion") => Ok(Self::Binary),
            _ => Ok(Self::Plain),
        }
    }
}

/// An event's attributes but `datacontenttype`, and its payload as the latter says.
struct Event {
    attributes: BTreeMap<String, String>,
    content_type: String,
    payload: Payload,
}

/// An event in structured mode.
pub(super) fn structured(text: &[u8]) -> Result<Draft, Problem> {
    let Members(mut members) =
        serde_json::from_slice(text).map_err(|error| wrong(format!("this is no event: {error}")))?;
    let data = members.remove("data");
    let data_base64 = members.remove("data_base64");
    let mut attributes = BTreeMap::new();
    for (name, value) in members {
        if let Some(text) = attribute(&name, value)? {
            attributes.insert(name, text);
        }
    }
    let content_type = attributes.remove("datacontenttype").unwrap_or_default();
    let payload = match (data, data_base64) {
        (Some(_), Some(_)) => return Err(wrong("give either `data` or `data_base64`")),
        (Some(data), None) => {
            Payload::json(data.get()).map_err(|error| Problem::bad_payload(format!("`data`: {error}")))?
        }
        (None, Some(encoded)) => encoded_data(encoded, &content_type)?,
        (None, None) => no_data()?,
    };
    Event { attributes, content_type, payload }.into_draft()
}

/// The events of a batch, each by itself.
pub(super) fn batched(body: &Bytes) -> Result<Vec<Result<Draft, Problem>>, Problem> {
    let events: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| wrong(format!("this is no batch of events: {error}")))?;
    Ok(events.into_iter().map(|event| structured(event.get().as_bytes())).collect())
}

/// An event in binary mode.
pub(super) fn binary(headers: &HeaderMap, body: &Bytes) -> Result<Draft, Problem> {
    let mut attributes = BTreeMap::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else { continue };
        // Headers are ASCII, so attributes come percent-encoded (CloudEvents HTTP binding §3.1.3.2).
        let text = percent_decode(value.as_bytes())
            .decode_utf8()
            .map_err(|_| wrong(format!("`{PREFIX}{name}` is not UTF-8")))?;
        check_name(name)?;
        if attributes.insert(name.to_owned(), text.into_owned()).is_some() {
            return Err(wrong(format!("`{PREFIX}{name}` is given twice")));
        }
    }
    let content_type = content_type(headers);
    let payload = match body.is_empty() {
        true => no_data()?,
        false => payload_of(content_type, body)?,
    };
    Event { attributes, content_type: content_type.into(), payload }.into_draft()
}

impl Event {
    fn into_draft(self) -> Result<Draft, Problem> {
        let Self { mut attributes, content_type, payload } = self;
        match attributes.remove("specversion").as_deref() {
            Some("1.0") => {}
            Some(_) => return Err(wrong("`specversion` must be `1.0`")),
            None => return Err(wrong("`specversion` is missing")),
        }
        let required = |name: &str| match attributes.get(name) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(wrong(format!("`{name}` is missing"))),
        };
        required("type")?;
        // A source is a URI and has no spaces, so no two events have the same name.
        let message_id = format!("{} {}", required("source")?, required("id")?);
        let mut tags: Tags =
            attributes.into_iter().map(|(name, text)| (format!("{PREFIX}{name}"), text)).collect();
        keep_content_type(&mut tags, &content_type)?;
        check_tags(&tags)?;
        Ok(Draft {
            payload,
            key: None,
            message_id: Some(message_id),
            tags: Some(tags),
            from: None,
            not_to: None,
            by: Owner::default(),
        })
    }
}

/// Text, or a boolean or integer as text; `null` is none at all.
fn attribute(name: &str, value: &RawValue) -> Result<Option<String>, Problem> {
    check_name(name)?;
    match serde_json::from_str(value.get()) {
        Ok(Value::Null) => Ok(None),
        Ok(Value::String(text)) => Ok(Some(text)),
        Ok(Value::Bool(flag)) => Ok(Some(flag.to_string())),
        Ok(Value::Number(number)) if number.is_i64() => Ok(Some(number.to_string())),
        _ => Err(wrong(format!("`{name}` must be a string, an integer or a boolean"))),
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    match !name.is_empty() && name.len() <= 100 && name.bytes().all(allowed) {
        true => Ok(()),
        false => Err(wrong("names of attributes consist of lower-case letters and digits")),
    }
}

fn encoded_data(encoded: &RawValue, content_type: &str) -> Result<Payload, Problem> {
    let wrong = |error: String| Problem::bad_payload(format!("`data_base64`: {error}"));
    let text: String = serde_json::from_str(encoded.get()).map_err(|error| wrong(error.to_string()))?;
    match decode_base64(&text).map_err(wrong)? {
        // Without a type they are bytes: whoever has JSON writes it as `data`.
        Payload::Bytes(bytes) if !content_type.is_empty() => payload_of(content_type, &bytes),
        bytes => Ok(bytes),
    }
}

fn no_data() -> Result<Payload, Problem> {
    Payload::json("null").map_err(Problem::internal)
}

fn wrong(detail: impl Into<String>) -> Problem {
    Problem::bad_request(detail)
}

/// The members of an object, none of them twice.
struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a member is given twice"));
                    }
                }
                Ok(Members(members))
            }
        }

        source.deserialize_map(Once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(draft: &Draft) -> String {
        let tags = draft.tags.iter().flatten().map(|(name, text)| format!("{name}={text}"));
        tags.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn an_event_becomes_a_message() {
        let draft = structured(
            br#"{"specversion":"1.0","id":"7","source":"/shop","type":"order.paid","subject":null,"n":3,"data":{"a":1.0}}"#,
        )
        .unwrap();
        assert_eq!(draft.payload, Payload::json(r#"{"a":1.0}"#).unwrap());
        assert_eq!(draft.message_id.as_deref(), Some("/shop 7"));
        assert_eq!(tags(&draft), "ce-id=7 ce-n=3 ce-source=/shop ce-type=order.paid");
    }

    #[test]
    fn data_is_what_its_type_says() {
        let payload = |rest: &str| {
            structured(
                format!(r#"{{"specversion":"1.0","id":"7","source":"s","type":"t"{rest}}}"#).as_bytes(),
            )
            .map(|draft| draft.payload)
        };
        assert_eq!(payload("").unwrap(), Payload::json("null").unwrap());
        assert_eq!(payload(r#","data_base64":"AAE=""#).unwrap(), Payload::Bytes(Bytes::from_static(&[0, 1])));
        let json = r#","datacontenttype":"application/json","data_base64":"WzFd""#;
        assert_eq!(payload(json).unwrap(), Payload::json("[1]").unwrap());
        assert!(payload(r#","data":1,"data_base64":"""#).is_err());
        assert!(payload(r#","data_base64":"A""#).is_err());
    }

    #[test]
    fn what_is_no_event_is_refused() {
        for text in [
            "[]",
            "{}",
            r#"{"specversion":"0.3","id":"7","source":"s","type":"t"}"#,
            r#"{"specversion":"1.0","source":"s","type":"t"}"#,
            r#"{"specversion":"1.0","id":"","source":"s","type":"t"}"#,
            r#"{"specversion":"1.0","id":"7","id":"8","source":"s","type":"t"}"#,
            r#"{"specversion":"1.0","id":"7","source":"s","type":"t","Upper":"x"}"#,
            r#"{"specversion":"1.0","id":"7","source":"s","type":"t","list":[]}"#,
        ] {
            assert!(structured(text.as_bytes()).is_err(), "{text}");
        }
    }
}
