//! What the broker says: replies, messages, presence changes, endings.

use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{ClientId, Epoch, ErrorCode, Kind, Offset, Payload, Reply, Tags, TopicName};

/// One object from server to client. The variants that share the tag `ok` are replies to different commands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Event {
    /// The first event on a connection.
    Welcome {
        /// This connection's name.
        client: ClientId,
        /// Product and version.
        version: Arc<str>,
        /// Seconds between the server's WebSocket pings.
        ping_s: u64,
        /// Largest message the server reads, in bytes.
        max_message_bytes: usize,
        /// Who the server takes the client for, when a token said so.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<Arc<str>>,
    },
    /// Reply to `subscribe`.
    #[serde(rename = "ok")]
    Subscribed {
        /// The request's number.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The topic.
        topic: TopicName,
        /// Its epoch.
        epoch: Epoch,
        /// Its last offset at this moment.
        offset: Offset,
        /// What the topic promises.
        kind: Kind,
        /// With `since`: whether everything missed follows.
        #[serde(skip_serializing_if = "Option::is_none")]
        recovered: Option<bool>,
        /// With `presence`: who is there.
        #[serde(skip_serializing_if = "Option::is_none")]
        members: Option<Vec<Member>>,
    },
    /// Reply to `unsubscribe`.
    #[serde(rename = "ok")]
    Unsubscribed {
        /// The request's number.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The topic.
        topic: TopicName,
    },
    /// Reply to `publish`.
    #[serde(rename = "ok")]
    Published {
        /// The request's number.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The topic.
        topic: TopicName,
        /// Its epoch.
        epoch: Epoch,
        /// Where the message stands.
        offset: Offset,
        /// True when the `message_id` was seen before; the offset is then the first one's.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
    },
    /// Reply to `presence`.
    #[serde(rename = "ok")]
    Members {
        /// The request's number.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// The topic.
        topic: TopicName,
        /// One entry per client.
        members: Vec<Member>,
        /// How many clients.
        clients: usize,
        /// How many different users, anonymous clients left out.
        users: usize,
    },
    /// Reply to `history`.
    #[serde(rename = "ok")]
    History(HistoryReply),
    /// Reply to `auth`.
    #[serde(rename = "ok")]
    Authenticated {
        /// The request's number.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// Who the client is now.
        #[serde(skip_serializing_if = "Option::is_none")]
        user: Option<Arc<str>>,
        /// When the token ends, in milliseconds since 1970.
        #[serde(skip_serializing_if = "Option::is_none")]
        expires: Option<u64>,
    },
    /// What a client decodes any of the replies above into. The broker does not write it.
    #[serde(rename = "ok")]
    Reply(Box<Reply>),
    /// A command failed, or a frame could not be read.
    Error(ErrorReply),
    /// A client subscribed to the topic.
    Join {
        /// The topic.
        topic: TopicName,
        /// Who.
        #[serde(flatten)]
        member: Member,
    },
    /// A client left the topic.
    Leave {
        /// The topic.
        topic: TopicName,
        /// Who.
        #[serde(flatten)]
        member: Member,
    },
    /// Reply to `ping`.
    Pong {
        /// The request's number.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
    },
    /// Messages between two offsets are gone for this subscriber.
    Gap(Gap),
    /// The server subscribed this connection to a topic.
    #[serde(rename = "subscribed")]
    ServerSubscribed(ServerSubscribed),
    /// The server ended this subscription.
    End {
        /// The topic.
        topic: TopicName,
        /// Why.
        code: ErrorCode,
    },
    /// The connection is about to be closed.
    Goodbye {
        /// Why.
        code: ErrorCode,
        /// Whether to come back.
        reconnect: bool,
        /// How long to wait before that, in milliseconds.
        after_ms: u64,
    },
    /// A message of a subscribed topic. It writes its tag itself: serde's way hides whether the format is text.
    #[serde(untagged, serialize_with = "serialize_tagged")]
    Message(Message),
}

impl Event {
    /// The names of all events, in the order of the documentation.
    pub const NAMES: &[&str] = &[
        "welcome",
        "ok",
        "error",
        "subscribed",
        "message",
        "join",
        "leave",
        "pong",
        "gap",
        "end",
        "goodbye",
    ];
}

/// A command failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ErrorReply {
    /// The request's number where it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// What kind of refusal.
    pub code: ErrorCode,
    /// What was wrong, for people.
    pub message: String,
    /// Whether the same command may succeed later.
    pub retry: bool,
}

/// A subscription that the server made: its token names the topic, or a back end asked for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServerSubscribed {
    /// The topic.
    pub topic: TopicName,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its last offset at this moment.
    pub offset: Offset,
    /// What the topic promises; absent if it is a kind of a later version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Where the server said after which position: whether everything since follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// With presence: who is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Member>>,
    /// When the subscription ends, in milliseconds since 1970, if it does so before the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// What lies between the two offsets is gone for this subscriber.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// The topic.
    pub topic: TopicName,
    /// Its epoch.
    pub epoch: Epoch,
    /// The last offset before the hole.
    pub after: Offset,
    /// The first offset after it.
    pub next: Offset,
}

/// Reply to `history`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HistoryReply {
    /// The request's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The topic.
    pub topic: TopicName,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its last offset.
    pub offset: Offset,
    /// With `since`: false when messages between it and the first one here are gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// The messages asked for.
    pub messages: Vec<Message>,
    /// Whether there are more in this direction.
    pub more: bool,
}

/// One client subscribed to a topic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    /// The connection.
    pub client: ClientId,
    /// Its user, when it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// What its token says about it for others to see; in lists of members and in `join`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub info: Option<Arc<Payload>>,
}

/// Who published a message.
pub type PublisherRef = Member;

/// A message with its place in the topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The topic.
    pub topic: TopicName,
    /// Its place.
    pub offset: Offset,
    /// When the broker took it, in milliseconds since 1970.
    pub time: u64,
    /// The content.
    pub payload: Payload,
    /// Kind `latest`: which value it is.
    pub key: Option<Box<str>>,
    /// Labels.
    pub tags: Option<Box<Tags>>,
    /// Who published it; absent for publishes over HTTP.
    pub from: Option<PublisherRef>,
    /// Kind `latest`: how many values of this key were left out just before this one.
    pub skipped: u64,
}

/// Borrows a message to encode it with a `skipped` of the moment.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The message.
    pub message: &'a Message,
    /// What to report as [`Message::skipped`].
    pub skipped: u64,
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_message(self, self.skipped, None, serializer)
    }
}

/// Encodes the whole `message` event, tag included.
impl Serialize for Delivery<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_message(self.message, self.skipped, Some("message"), serializer)
    }
}

fn serialize_tagged<S: Serializer>(message: &Message, serializer: S) -> Result<S::Ok, S::Error> {
    serialize_message(message, message.skipped, Some("message"), serializer)
}

fn serialize_message<S: Serializer>(
    message: &Message,
    skipped: u64,
    tag: Option<&'static str>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let optional = [tag.is_some(), message.key.is_some(), message.tags.is_some(), message.from.is_some()];
    let fields = 4 + optional.iter().filter(|&&given| given).count() + usize::from(skipped > 0);
    let text_format = serializer.is_human_readable();
    let mut object = serializer.serialize_struct("Message", fields)?;
    if let Some(tag) = tag {
        object.serialize_field("type", tag)?;
    }
    object.serialize_field("topic", &message.topic)?;
    object.serialize_field("offset", &message.offset)?;
    object.serialize_field("time", &message.time)?;
    if let Some(key) = &message.key {
        object.serialize_field("key", key)?;
    }
    if let Some(tags) = &message.tags {
        object.serialize_field("tags", tags)?;
    }
    if let Some(from) = &message.from {
        object.serialize_field("from", from)?;
    }
    if skipped > 0 {
        object.serialize_field("skipped", &skipped)?;
    }
    let name = match message.payload {
        Payload::Bytes(_) if text_format => "b64",
        _ => "data",
    };
    object.serialize_field(name, &message.payload)?;
    object.end()
}
