//! One message among others: an object of a batch, or a line of a stream.
//!
//! ```json
//! {"topic":"chat:a","data":{"text":"hi"},"key":"k","message_id":"m","tags":{"a":"b"}}
//! {"topics":["chat:a","chat:b"],"b64":"AAEC"}
//! ```
//! The fields are those of the socket protocol's `publish`; `topics` publishes the same message to several.

use fanwire_proto::{ClientId, Payload, TAGS_MAX, Tags, TopicName};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::ack::{Pending, Publisher};
use crate::{
    auth::Verb,
    broker::Broker,
    defaults,
    doors::http::{
        caller::{Caller, topic_name},
        problem::Problem,
    },
    memory::Owner,
    topic::Draft,
};

/// Longest `key` and `message_id`, and longest name and value of a tag, in bytes; the socket protocol's.
pub(super) const LABEL_BYTES_MAX: usize = 200;

/// The fields as written.
#[derive(Deserialize)]
pub(super) struct Fields<'a> {
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    topics: Option<Vec<String>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    b64: Option<&'a RawValue>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    message_id: Option<String>,
    #[serde(default)]
    tags: Option<Tags>,
    #[serde(default)]
    except: Option<String>,
}

/// `"data":null` is a payload.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(source: D) -> Result<Option<&'a RawValue>, D::Error> {
    // An `Option` would read `null` as absent before the payload is even looked at.
    <&'a RawValue>::deserialize(source).map(Some)
}

/// A message that could be read, and where it is to go.
pub(super) struct Item {
    targets: Targets,
    draft: Draft,
}

enum Targets {
    One(TopicName),
    Many(Vec<Result<TopicName, Problem>>),
}

impl Item {
    /// Reads one object.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        serde_json::from_str::<Fields<'_>>(text).map_err(|error| malformed(&error))?.try_into()
    }

    /// How many messages it is to become.
    pub(super) fn count(&self) -> usize {
        match &self.targets {
            Targets::One(_) => 1,
            Targets::Many(topics) => topics.len(),
        }
    }

    /// Refuses what [`publish`](Self::publish) would refuse at this moment, wholly or in part.
    pub(super) fn check(&self, broker: &Broker, caller: &Caller) -> Result<(), Problem> {
        let check = |topic: &TopicName| {
            caller.may(Verb::Publish, topic)?;
            Ok(broker.check(topic, &self.draft)?)
        };
        match &self.targets {
            Targets::One(topic) => check(topic),
            Targets::Many(topics) => {
                topics.iter().try_for_each(|topic| topic.as_ref().map_err(Problem::clone).and_then(check))
            }
        }
    }

    /// Publishes it to its topics.
    pub(super) fn publish(self, publisher: &mut Publisher<'_>) -> Pending {
        let Self { targets, draft } = self;
        let topics = match targets {
            Targets::One(topic) => return publisher.publish(topic, draft).into(),
            Targets::Many(topics) => topics,
        };
        let publish = |topic: Result<TopicName, Problem>| {
            topic.and_then(|topic| publisher.publish(topic, draft.clone()))
        };
        Pending::Topics(topics.into_iter().map(publish).collect())
    }
}

impl TryFrom<Fields<'_>> for Item {
    type Error = Problem;

    fn try_from(fields: Fields<'_>) -> Result<Self, Problem> {
        let Fields { topic, topics, data, b64, key, message_id, tags, except } = fields;
        let targets = match (topic, topics) {
            (Some(topic), None) => Targets::One(topic_name(&topic)?),
            (None, Some(topics)) if (1..=defaults::MESSAGE_TOPICS).contains(&topics.len()) => {
                // A name that is none fails by itself, so that the message still gets to the other topics.
                Targets::Many(topics.iter().map(|topic| topic_name(topic)).collect())
            }
            (None, Some(_)) => {
                let most = defaults::MESSAGE_TOPICS;
                return Err(Problem::bad_request(format!("`topics` must have 1 to {most} entries")));
            }
            _ => return Err(Problem::bad_request("give either `topic` or `topics`")),
        };
        for (name, label) in [("key", &key), ("message_id", &message_id)] {
            if label.as_ref().is_some_and(|label| !(1..=LABEL_BYTES_MAX).contains(&label.len())) {
                let what = format!("`{name}` must have 1 to {LABEL_BYTES_MAX} bytes");
                return Err(Problem::bad_request(what));
            }
        }
        if let Some(tags) = &tags {
            check_tags(tags)?;
        }
        Ok(Self {
            targets,
            draft: Draft {
                payload: payload(data, b64)?,
                key,
                message_id,
                tags,
                from: None,
                not_to: except.as_deref().map(|text| client(text, "except")).transpose()?,
                by: Owner::default(),
            },
        })
    }
}

/// The client that a message is not for.
pub(super) fn client(text: &str, name: &str) -> Result<ClientId, Problem> {
    let read = ClientId::read(text);
    read.ok_or_else(|| {
        Problem::bad_request(format!("`{name}` must be a client's name of 16 hexadecimal digits"))
    })
}

fn payload(data: Option<&RawValue>, b64: Option<&RawValue>) -> Result<Payload, Problem> {
    match (data, b64) {
        (Some(data), None) => {
            Payload::json(data.get()).map_err(|error| Problem::bad_payload(format!("`data`: {error}")))
        }
        // Read only here, not with the other fields: what is wrong in it is a bad payload, not a bad request.
        (None, Some(b64)) => serde_json::from_str(b64.get())
            .map_err(|error| error.to_string())
            .and_then(|text: String| decode_base64(&text))
            .map_err(|error| Problem::bad_payload(format!("`b64`: {error}"))),
        _ => Err(Problem::bad_request("give either `data` or `b64`")),
    }
}

/// Bytes in base64 (RFC 4648 §4).
pub(super) fn decode_base64(text: &str) -> Result<Payload, String> {
    let bytes = data_encoding::BASE64.decode(text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(Payload::Bytes(bytes.into()))
}

/// Tags as the socket protocol allows them.
pub(super) fn check_tags(tags: &Tags) -> Result<(), Problem> {
    if tags.len() > TAGS_MAX {
        return Err(Problem::bad_request(format!("there are {} tags; {TAGS_MAX} are allowed", tags.len())));
    }
    match tags.iter().find(|(name, text)| name.len().max(text.len()) > LABEL_BYTES_MAX) {
        Some(_) => Err(Problem::bad_request(format!(
            "the name or value of a tag has more than {LABEL_BYTES_MAX} bytes"
        ))),
        None => Ok(()),
    }
}

/// What JSON that is no message is answered with.
pub(super) fn malformed(error: &serde_json::Error) -> Problem {
    Problem::bad_request(format!("this is no message: {error}"))
}

/// Most bytes of one message as JSON: its payload in base64, and its labels.
pub(super) fn message_bytes_max(max_message_bytes: usize) -> usize {
    (max_message_bytes / 3 * 4).saturating_add(4 + defaults::MESSAGE_ENVELOPE_BYTES)
}

/// Bounds the messages of a request.
pub(super) fn check_count(count: usize) -> Result<(), Problem> {
    let most = defaults::BATCH_MESSAGES;
    match count > most {
        true => Err(Problem::too_large(format!("there are {count} messages; {most} are allowed"))),
        false => Ok(()),
    }
}
