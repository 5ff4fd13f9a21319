//! From the fields of an object to a [`Request`], the same for every format, and back.
//!
//! A field is read only when its command wants it, so that a mistake is answered with the request's own `id` and
//! the field's name. Fields no command knows are ignored.

use serde::{Serialize, Serializer};

use super::value::{self, Mismatch, Problem, Value, fields};
use crate::{
    Ack, ClientId, Command, Direction, ErrorCode, History, MAX_RATE_MIN, Payload, Position, Publish,
    Rejection, Request, Subscribe, TAGS_MAX, Tags, TopicName,
};

/// Longest `key` and `message_id`, and longest name and value of a tag, in bytes. Together with [`TAGS_MAX`] this
/// bounds what a message carries beside its payload.
const LABEL_BYTES_MAX: usize = 200;

fields! {
    /// Every field any command has.
    struct RequestFields {
        kind = "type",
        id = "id",
        topic = "topic",
        data = "data",
        b64 = "b64",
        key = "key",
        message_id = "message_id",
        tags = "tags",
        ack = "ack",
        except = "except",
        since = "since",
        last = "last",
        presence = "presence",
        max_rate = "max_rate",
        echo = "echo",
        limit = "limit",
        reverse = "reverse",
        token = "token",
    }
}

/// Reads one object of a frame.
pub(super) fn decode<'a, V: Value<'a>>(object: V) -> Result<Request, Rejection> {
    let fields = RequestFields::read(object).map_err(bad_frame)?;
    let reject = |id| move |Refusal { code, message }| Rejection { id, code, message };
    let id = fields.id.optional(V::unsigned).map_err(Refusal::from).map_err(reject(None))?;
    let command = fields.command().map_err(reject(id))?;
    Ok(Request { id, command })
}

/// A frame, or an object of it, that cannot be taken apart.
pub(super) fn bad_frame(Mismatch(what): Mismatch) -> Rejection {
    Rejection { id: None, code: ErrorCode::BadFrame, message: format!("the frame {what}") }
}

/// A [`Rejection`] whose `id` is not known yet.
struct Refusal {
    code: ErrorCode,
    message: String,
}

impl Refusal {
    fn payload(name: &str, Mismatch(what): &Mismatch) -> Self {
        Self { code: ErrorCode::BadPayload, message: format!("`{name}` {what}") }
    }
}

impl From<Problem> for Refusal {
    fn from(Problem(message): Problem) -> Self {
        Self { code: ErrorCode::BadRequest, message }
    }
}

impl<'a, V: Value<'a>> RequestFields<V> {
    fn command(&self) -> Result<Command, Refusal> {
        let kind = self.kind.required(V::text)?;
        Ok(match kind.as_ref() {
            "subscribe" => Command::Subscribe(self.subscribe()?),
            "unsubscribe" => Command::Unsubscribe { topic: self.topic()? },
            "publish" => Command::Publish(self.publish()?),
            "presence" => Command::Presence { topic: self.topic()? },
            "history" => Command::History(self.history()?),
            "auth" => Command::Auth { token: self.token.required(V::text)?.into_owned() },
            "ping" => Command::Ping,
            other => {
                let message = format!("unknown type `{}`", shorten(other));
                return Err(Refusal { code: ErrorCode::UnknownType, message });
            }
        })
    }

    fn subscribe(&self) -> Result<Subscribe, Refusal> {
        let max_rate = self.max_rate.optional(|value| match value.number()? {
            rate if rate.is_finite() && rate >= MAX_RATE_MIN => Ok(rate),
            _ => Err(Mismatch(format!("must be a number from {MAX_RATE_MIN} up").into())),
        })?;
        Ok(Subscribe {
            topic: self.topic()?,
            since: self.since.optional(value::position)?,
            last: self.last.optional(count)?,
            presence: self.presence.optional(V::boolean)?.unwrap_or(false),
            max_rate,
            echo: self.echo.optional(V::boolean)?.unwrap_or(true),
        })
    }

    fn publish(&self) -> Result<Publish, Refusal> {
        Ok(Publish {
            topic: self.topic()?,
            payload: self.payload()?,
            key: self.key.optional(label)?,
            message_id: self.message_id.optional(label)?,
            tags: self.tags.optional(tags)?,
            ack: self.ack.optional(ack)?,
            except: self.except.optional(client)?,
        })
    }

    fn payload(&self) -> Result<Payload, Refusal> {
        match (self.data.or_null()?, self.b64.given()?) {
            (Some(_), Some(_)) => Err(Problem("give `data` or `b64`, not both".into()).into()),
            (Some(data), None) => data.payload().map_err(|error| Refusal::payload("data", &error)),
            (None, Some(b64)) => value::base64(b64).map_err(|error| Refusal::payload("b64", &error)),
            (None, None) => Err(Problem("`data` or `b64` is missing".into()).into()),
        }
    }

    fn history(&self) -> Result<History, Refusal> {
        let reverse = self.reverse.optional(V::boolean)?.unwrap_or(false);
        Ok(History {
            topic: self.topic()?,
            since: self.since.optional(value::position)?,
            limit: self.limit.optional(count)?,
            direction: if reverse { Direction::Backward } else { Direction::Forward },
        })
    }

    fn topic(&self) -> Result<TopicName, Refusal> {
        let name = self.topic.required(V::text)?;
        TopicName::new(&name)
            .map_err(|error| Refusal { code: ErrorCode::BadTopic, message: error.to_string() })
    }
}

/// A number of messages; no topic has more than the largest this can say.
fn count<'a, V: Value<'a>>(value: V) -> Result<u32, Mismatch> {
    Ok(u32::try_from(value.unsigned()?).unwrap_or(u32::MAX))
}

fn label<'a, V: Value<'a>>(value: V) -> Result<String, Mismatch> {
    let text = value.text()?;
    match text.len() {
        0 => Err(Mismatch::expected("at least one character long")),
        length if length > LABEL_BYTES_MAX => {
            Err(format!("has {length} bytes; {LABEL_BYTES_MAX} are allowed").into())
        }
        _ => Ok(text.into_owned()),
    }
}

fn ack<'a, V: Value<'a>>(value: V) -> Result<Ack, Mismatch> {
    Ack::read(&value.text()?).ok_or_else(|| Mismatch::expected("`accepted` or `durable`"))
}

fn client<'a, V: Value<'a>>(value: V) -> Result<ClientId, Mismatch> {
    ClientId::read(&value.text()?)
        .ok_or_else(|| Mismatch::expected("a client's name of 16 hexadecimal digits"))
}

fn tags<'a, V: Value<'a>>(value: V) -> Result<Tags, Mismatch> {
    let tags = value::tags(value)?;
    match tags.len() {
        many if many > TAGS_MAX => Err(format!("has {many} entries; {TAGS_MAX} are allowed").into()),
        _ if tags.iter().any(|(name, text)| name.len().max(text.len()) > LABEL_BYTES_MAX) => {
            Err(format!("has a name or value of more than {LABEL_BYTES_MAX} bytes").into())
        }
        _ => Ok(tags),
    }
}

/// Bounds what an error message repeats of hostile input.
fn shorten(text: &str) -> &str {
    text.char_indices().nth(40).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// A request as it is written: what is absent or has its default is left out.
#[derive(Default, Serialize)]
struct Wire<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a TopicName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<&'a Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    presence: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_rate: Option<f64>,
    /// Only where it is declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    reverse: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a Tags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ack: Option<Ack>,
    #[serde(skip_serializing_if = "Option::is_none")]
    except: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64: Option<&'a Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl Serialize for Request {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut wire = Wire { id: self.id, ..Wire::of(&self.command) };
        if serializer.is_human_readable() && matches!(wire.data, Some(Payload::Bytes(_))) {
            wire.b64 = wire.data.take();
        }
        wire.serialize(serializer)
    }
}

impl<'a> Wire<'a> {
    fn of(command: &'a Command) -> Self {
        let kind = command.name();
        let to = |topic| Self { kind, topic: Some(topic), ..Self::default() };
        match command {
            Command::Subscribe(Subscribe { topic, since, last, presence, max_rate, echo }) => Self {
                since: since.as_ref(),
                last: *last,
                presence: *presence,
                max_rate: *max_rate,
                echo: (!echo).then_some(false),
                ..to(topic)
            },
            Command::Publish(Publish { topic, payload, key, message_id, tags, ack, except }) => Self {
                key: key.as_deref(),
                message_id: message_id.as_deref(),
                tags: tags.as_ref(),
                ack: *ack,
                except: *except,
                data: Some(payload),
                ..to(topic)
            },
            Command::History(History { topic, since, limit, direction }) => Self {
                since: since.as_ref(),
                limit: *limit,
                reverse: *direction == Direction::Backward,
                ..to(topic)
            },
            Command::Unsubscribe { topic } | Command::Presence { topic } => to(topic),
            Command::Auth { token } => Self { kind, token: Some(token), ..Self::default() },
            Command::Ping => Self { kind, ..Self::default() },
        }
    }
}
