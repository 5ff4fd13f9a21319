//! An `ok` as a client sees it.
//!
//! The replies to different commands share the tag `ok`, and some have the same fields: `subscribe` and `publish`
//! differ in nothing. A client knows which command it sent under an `id`, and so which fields to expect; a reply
//! is therefore decoded flat, with every field that any reply has.

use std::sync::Arc;

use serde::Serialize;

use crate::{Epoch, Event, HistoryReply, Kind, Member, Message, Offset, TopicName};

/// A command succeeded. Which fields are there depends on the command with this `id`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reply {
    /// The request's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// All but `auth`: the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<TopicName>,
    /// `subscribe`, `publish`, `history`: the topic's epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// `subscribe`, `history`: the topic's last offset. `publish`: where the message stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<Offset>,
    /// `subscribe`: what the topic promises; absent if it is a kind of a later version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// `subscribe`, `history` with `since`: whether nothing missed is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// `publish`: the `message_id` was seen before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
    /// `history`: the messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Message>>,
    /// `history`: whether there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<bool>,
    /// `presence`, and `subscribe` with `presence`: who is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub members: Option<Vec<Member>>,
    /// `presence`: how many clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<usize>,
    /// `presence`: how many different users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<usize>,
    /// `auth`: who the client is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Arc<str>>,
    /// `auth`: when the token ends, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

impl Reply {
    /// What a client sees of an event whose tag is `ok`; `None` for the other events.
    pub fn of(event: &Event) -> Option<Self> {
        let event = event.clone();
        Some(match event {
            Event::Subscribed { id, topic, epoch, offset, kind, recovered, members } => {
                Self { kind: Some(kind), recovered, members, ..Self::at(id, topic, epoch, offset) }
            }
            Event::Unsubscribed { id, topic } => Self { id, topic: Some(topic), ..Self::default() },
            Event::Published { id, topic, epoch, offset, duplicate } => {
                Self { duplicate, ..Self::at(id, topic, epoch, offset) }
            }
            Event::Members { id, topic, members, clients, users } => Self {
                id,
                topic: Some(topic),
                members: Some(members),
                clients: Some(clients),
                users: Some(users),
                ..Self::default()
            },
            Event::History(HistoryReply { id, topic, epoch, offset, recovered, messages, more }) => Self {
                recovered,
                messages: Some(messages),
                more: Some(more),
                ..Self::at(id, topic, epoch, offset)
            },
            Event::Authenticated { id, user, expires } => Self { id, user, expires, ..Self::default() },
            Event::Reply(reply) => *reply,
            _ => return None,
        })
    }

    fn at(id: Option<u64>, topic: TopicName, epoch: Epoch, offset: Offset) -> Self {
        Self { id, topic: Some(topic), epoch: Some(epoch), offset: Some(offset), ..Self::default() }
    }
}
