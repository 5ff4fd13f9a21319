//! From the fields of an object to a [`Request`], the same for every format.
//!
//! A field is read only when its command wants it, so that a mistake is answered with the request's own `id` and
//! the field's name. Fields no command knows are ignored.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer};

use crate::{
    Command, Direction, Epoch, ErrorCode, History, Offset, Payload, Position, Publish, Rejection, Request,
    Subscribe, TAGS_MAX, Tags, TopicName,
};

/// Longest `key` and `message_id`, in bytes.
const LABEL_BYTES_MAX: usize = 200;

/// A field's value in some format, not yet interpreted.
pub(super) trait Value<'a> {
    fn is_null(&self) -> bool;
    fn text(&self) -> Result<Cow<'a, str>, Mismatch>;
    fn unsigned(&self) -> Result<u64, Mismatch>;
    fn number(&self) -> Result<f64, Mismatch>;
    fn boolean(&self) -> Result<bool, Mismatch>;
    /// An array or object, as JSON text.
    fn tree(&self) -> Result<&str, Mismatch>;
    fn payload(&self) -> Result<Payload, Mismatch>;
}

/// What a field is not.
pub(super) struct Mismatch(pub(super) Cow<'static, str>);

impl Mismatch {
    pub(super) fn expected(what: &'static str) -> Self {
        Self(Cow::Owned(format!("must be {what}")))
    }
}

impl<T: fmt::Display> From<T> for Mismatch {
    fn from(error: T) -> Self {
        Self(Cow::Owned(error.to_string()))
    }
}

/// Every field any command has.
#[derive(Deserialize)]
#[serde(bound(deserialize = "V: Deserialize<'de>"))]
pub(super) struct Fields<V> {
    #[serde(rename = "type", default, deserialize_with = "present")]
    kind: Option<V>,
    #[serde(default, deserialize_with = "present")]
    id: Option<V>,
    #[serde(default, deserialize_with = "present")]
    topic: Option<V>,
    #[serde(default, deserialize_with = "present")]
    data: Option<V>,
    #[serde(default, deserialize_with = "present")]
    b64: Option<V>,
    #[serde(default, deserialize_with = "present")]
    key: Option<V>,
    #[serde(default, deserialize_with = "present")]
    message_id: Option<V>,
    #[serde(default, deserialize_with = "present")]
    tags: Option<V>,
    #[serde(default, deserialize_with = "present")]
    since: Option<V>,
    #[serde(default, deserialize_with = "present")]
    last: Option<V>,
    #[serde(default, deserialize_with = "present")]
    presence: Option<V>,
    #[serde(default, deserialize_with = "present")]
    max_rate: Option<V>,
    #[serde(default, deserialize_with = "present")]
    limit: Option<V>,
    #[serde(default, deserialize_with = "present")]
    reverse: Option<V>,
    #[serde(default, deserialize_with = "present")]
    token: Option<V>,
}

/// Keeps an explicit null apart from an absent field: `"data":null` is a payload.
fn present<'de, D: Deserializer<'de>, V: Deserialize<'de>>(source: D) -> Result<Option<V>, D::Error> {
    V::deserialize(source).map(Some)
}

type Outcome<T> = Result<T, (ErrorCode, String)>;

impl<'a, V: Value<'a>> Fields<V> {
    pub(super) fn into_request(self) -> Result<Request, Rejection> {
        let id = self.id().map_err(|(code, message)| Rejection { id: None, code, message })?;
        match self.command() {
            Ok(command) => Ok(Request { id, command }),
            Err((code, message)) => Err(Rejection { id, code, message }),
        }
    }

    fn id(&self) -> Outcome<Option<u64>> {
        optional("id", &self.id, |value| {
            value.unsigned().map_err(|_| Mismatch::expected("an integer from 0 to 2^64-1"))
        })
    }

    fn command(&self) -> Outcome<Command> {
        let kind = required("type", &self.kind, V::text)?;
        Ok(match kind.as_ref() {
            "subscribe" => Command::Subscribe(self.subscribe()?),
            "unsubscribe" => Command::Unsubscribe { topic: self.topic()? },
            "publish" => Command::Publish(self.publish()?),
            "presence" => Command::Presence { topic: self.topic()? },
            "history" => Command::History(self.history()?),
            "auth" => Command::Auth { token: required("token", &self.token, V::text)?.into_owned() },
            "ping" => Command::Ping,
            other => return Err((ErrorCode::UnknownType, format!("unknown type `{}`", shorten(other)))),
        })
    }

    fn subscribe(&self) -> Outcome<Subscribe> {
        let max_rate = optional("max_rate", &self.max_rate, |value| match value.number()? {
            rate if rate.is_finite() && rate > 0.0 => Ok(rate),
            _ => Err(Mismatch::expected("a number above 0")),
        })?;
        Ok(Subscribe {
            topic: self.topic()?,
            since: self.since()?,
            last: optional("last", &self.last, count)?,
            presence: optional("presence", &self.presence, V::boolean)?.unwrap_or(false),
            max_rate,
        })
    }

    fn publish(&self) -> Outcome<Publish> {
        let topic = self.topic()?;
        let payload = match (&self.data, present_value(&self.b64)) {
            (Some(_), Some(_)) => return Err(bad_request("give `data` or `b64`, not both")),
            (Some(data), None) => data.payload().map_err(|error| bad_payload("data", &error))?,
            (None, Some(b64)) => decode_base64(b64).map_err(|error| bad_payload("b64", &error))?,
            (None, None) => return Err(bad_request("`data` or `b64` is missing")),
        };
        Ok(Publish {
            topic,
            payload,
            key: optional("key", &self.key, label)?,
            message_id: optional("message_id", &self.message_id, label)?,
            tags: optional("tags", &self.tags, tags)?,
        })
    }

    fn history(&self) -> Outcome<History> {
        let reverse = optional("reverse", &self.reverse, V::boolean)?.unwrap_or(false);
        Ok(History {
            topic: self.topic()?,
            since: self.since()?,
            limit: optional("limit", &self.limit, count)?,
            direction: if reverse { Direction::Backward } else { Direction::Forward },
        })
    }

    fn topic(&self) -> Outcome<TopicName> {
        let name = required("topic", &self.topic, V::text)?;
        TopicName::new(&name).map_err(|error| (ErrorCode::BadTopic, error.to_string()))
    }

    fn since(&self) -> Outcome<Option<Position>> {
        optional("since", &self.since, |value| {
            let position: WirePosition<'_> = serde_json::from_str(value.tree()?)
                .map_err(|_| Mismatch::expected("an object with `epoch` (string) and `offset` (integer)"))?;
            Ok(Position { epoch: Epoch::read(&position.epoch), offset: Offset(position.offset) })
        })
    }
}

#[derive(Deserialize)]
struct WirePosition<'a> {
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    offset: u64,
}

fn present_value<'a, V: Value<'a>>(field: &Option<V>) -> Option<&V> {
    field.as_ref().filter(|value| !value.is_null())
}

fn optional<'a, V: Value<'a>, T>(
    name: &str,
    field: &Option<V>,
    read: impl Fn(&V) -> Result<T, Mismatch>,
) -> Outcome<Option<T>> {
    present_value(field)
        .map(|value| read(value).map_err(|Mismatch(what)| bad_request(&format!("`{name}` {what}"))))
        .transpose()
}

fn required<'a, V: Value<'a>, T>(
    name: &str,
    field: &Option<V>,
    read: impl Fn(&V) -> Result<T, Mismatch>,
) -> Outcome<T> {
    optional(name, field, read)?.ok_or_else(|| bad_request(&format!("`{name}` is missing")))
}

fn count<'a, V: Value<'a>>(value: &V) -> Result<u32, Mismatch> {
    let number = value.unsigned().map_err(|_| Mismatch::expected("a non-negative integer"))?;
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}

fn label<'a, V: Value<'a>>(value: &V) -> Result<String, Mismatch> {
    let text = value.text()?;
    match text.len() {
        0 => Err(Mismatch::expected("at least one character long")),
        length if length > LABEL_BYTES_MAX => {
            Err(Mismatch(format!("has {length} bytes; {LABEL_BYTES_MAX} are allowed").into()))
        }
        _ => Ok(text.into_owned()),
    }
}

fn tags<'a, V: Value<'a>>(value: &V) -> Result<Tags, Mismatch> {
    let tags: Tags = serde_json::from_str(value.tree()?)
        .map_err(|_| Mismatch::expected("an object whose values are strings"))?;
    match tags.len() {
        many if many > TAGS_MAX => Err(Mismatch(format!("has {many} entries; {TAGS_MAX} are allowed").into())),
        _ => Ok(tags),
    }
}

fn decode_base64<'a, V: Value<'a>>(value: &V) -> Result<Payload, Mismatch> {
    let bytes = data_encoding::BASE64.decode(value.text()?.as_bytes())?;
    Ok(Payload::Bytes(bytes.into()))
}

fn bad_request(message: &str) -> (ErrorCode, String) {
    (ErrorCode::BadRequest, message.into())
}

fn bad_payload(name: &str, Mismatch(what): &Mismatch) -> (ErrorCode, String) {
    (ErrorCode::BadPayload, format!("`{name}`: {what}"))
}

/// Bounds what an error message repeats of hostile input.
fn shorten(text: &str) -> &str {
    text.char_indices().nth(40).map_or(text, |(end, _)| &text[..end])
}

/// A frame that cannot be taken apart.
pub(super) fn bad_frame(error: impl fmt::Display) -> Rejection {
    Rejection { id: None, code: ErrorCode::BadFrame, message: error.to_string() }
}
