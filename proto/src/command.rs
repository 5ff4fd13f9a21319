//! What clients ask: one [`Request`] per object of a frame.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{ClientId, ErrorCode, Payload, Position, TopicName};

/// Labels of a message, carried along unread.
pub type Tags = BTreeMap<String, String>;

/// Most tags of one message.
pub const TAGS_MAX: usize = 16;

/// Most objects of one frame from a client. Each may earn a reply longer than itself, so the frame's size alone
/// does not bound what the broker writes.
pub const FRAME_OBJECTS_MAX: usize = 4096;

/// Smallest [`Subscribe::max_rate`]: one update in 1000 seconds. Its inverse is a time span anything can hold.
pub const MAX_RATE_MIN: f64 = 0.001;

/// A command with the number its reply will carry.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The client's own number. Without one there is no reply unless the command fails.
    pub id: Option<u64>,
    /// What is asked.
    pub command: Command,
}

/// The closed list of commands.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Start receiving a topic.
    Subscribe(Subscribe),
    /// Stop receiving a topic.
    Unsubscribe {
        /// The topic.
        topic: TopicName,
    },
    /// Send a message to a topic.
    Publish(Publish),
    /// Who is subscribed to a topic.
    Presence {
        /// The topic.
        topic: TopicName,
    },
    /// Read past messages.
    History(History),
    /// Present a token.
    Auth {
        /// The token.
        token: String,
    },
    /// Is anybody there.
    Ping,
}

impl Command {
    /// The names of all commands, in the order of the documentation.
    pub const NAMES: &[&str] =
        &["subscribe", "unsubscribe", "publish", "presence", "history", "auth", "ping"];

    /// The command's `type` on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe { .. } => "unsubscribe",
            Self::Publish(_) => "publish",
            Self::Presence { .. } => "presence",
            Self::History(_) => "history",
            Self::Auth { .. } => "auth",
            Self::Ping => "ping",
        }
    }
}

/// Start receiving a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// The topic.
    pub topic: TopicName,
    /// Resume after this position.
    pub since: Option<Position>,
    /// Without `since`: start with this many past messages.
    pub last: Option<u32>,
    /// Also report members now, and `join` and `leave` from now on.
    pub presence: bool,
    /// Kind `latest`: at most this many updates a second; [`MAX_RATE_MIN`] at least.
    pub max_rate: Option<f64>,
    /// Whether to get what this connection publishes itself.
    pub echo: bool,
}

/// Send a message to a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// The topic.
    pub topic: TopicName,
    /// The content.
    pub payload: Payload,
    /// Kind `latest`: which value this replaces.
    pub key: Option<String>,
    /// A second publish with the same id within the topic's window is not a second message.
    pub message_id: Option<String>,
    /// Labels, at most [`TAGS_MAX`].
    pub tags: Option<Tags>,
    /// When the reply comes; without it a durable topic replies once the message is durable, any other at once.
    pub ack: Option<Ack>,
    /// The client that does not get it.
    pub except: Option<ClientId>,
}

/// What the reply to a publish says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// The message has its place, in memory.
    Accepted,
    /// The message survives a crash and a power cut.
    Durable,
}

impl Ack {
    /// The acknowledgement of this name, if there is one.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "accepted" => Some(Self::Accepted),
            "durable" => Some(Self::Durable),
            _ => None,
        }
    }
}

/// Read past messages.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// The topic.
    pub topic: TopicName,
    /// Only what is newer than this (older, when reading backwards).
    pub since: Option<Position>,
    /// How many at most.
    pub limit: Option<u32>,
    /// Oldest or newest first.
    pub direction: Direction,
}

/// Which end of the history comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Forward,
    /// Newest first.
    Backward,
}

/// A frame, or one object of it, that is not a request; it becomes an `error` reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Rejection {
    /// The request's number where it could be read.
    pub id: Option<u64>,
    /// What kind of mistake.
    pub code: ErrorCode,
    /// What was wrong, and where.
    pub message: String,
}
