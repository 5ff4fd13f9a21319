//! `POST /v1/topics/{topic}/messages`: the body becomes a message.

use std::fmt;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use fanwire_proto::{Epoch, Offset, Tags, TopicName};
use serde::{Serialize, Serializer};

use super::{
    Api,
    body::{content_type, keep_content_type, payload_of},
    caller::{Caller, TopicPath},
    idempotency::{Answer, once},
    problem::{Code, Problem},
    query::query,
};
use crate::{
    auth::Verb,
    broker::Broker,
    topic::{Draft, Receipt},
};

/// What a publish answers.
#[derive(Serialize)]
pub(super) struct Published {
    id: MessageId,
    topic: TopicName,
    offset: Offset,
    epoch: Epoch,
    duplicate: bool,
    subscribers: usize,
}

/// Names a message among all messages.
struct MessageId(Epoch, Offset);

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0, self.1)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Published {
    fn new(topic: TopicName, receipt: Receipt) -> Self {
        let Receipt { epoch, offset, duplicate, subscribers, .. } = receipt;
        Self { id: MessageId(epoch, offset), topic, offset, epoch, duplicate, subscribers }
    }
}

/// Publishes one message to one topic, if the caller may.
pub(super) fn publish_one(
    broker: &Broker,
    caller: &Caller,
    topic: TopicName,
    draft: Draft,
) -> Result<Published, Problem> {
    caller.may(Verb::Publish, &topic)?;
    let receipt = broker.publish(&topic, draft, caller.now_ms)?;
    Ok(Published::new(topic, receipt))
}

/// How much of an answer the publisher wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ack {
    /// Nothing but whether it was taken.
    None,
    /// Where the message stands, once it has its place in memory.
    Accepted,
}

impl Ack {
    /// Reads `?ack=`.
    pub(super) fn of(uri: &Uri) -> Result<Self, Problem> {
        let [ack] = query(uri, ["ack"])?;
        match ack.as_deref() {
            None | Some("accepted") => Ok(Self::Accepted),
            Some("none") => Ok(Self::None),
            Some("durable") => {
                Err(Problem::new(Code::NotDurable, "`ack=durable` is not to be had: this topic is in memory"))
            }
            Some(_) => Err(Problem::bad_request("`ack` must be `none`, `accepted` or `durable`")),
        }
    }

    /// Reduces an answer to what was asked for.
    pub(super) fn answer<T: Serialize>(self, status: StatusCode, value: &T) -> Result<Answer, Problem> {
        if self == Self::None {
            return Ok(Answer { status: StatusCode::ACCEPTED, body: Default::default() });
        }
        let body = serde_json::to_vec(value).map_err(Problem::internal)?;
        Ok(Answer { status, body: body.into() })
    }
}

pub(super) async fn publish(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    request: Request,
) -> Result<Response, Problem> {
    caller.may(Verb::Publish, &topic)?;
    let ack = Ack::of(request.uri())?;
    let limit = api.door.broker.policy().limits.max_message_bytes;
    once(&api, &caller, request.into_parts(), limit, |parts, body| {
        let content_type = content_type(&parts.headers);
        let mut tags = Tags::new();
        keep_content_type(&mut tags, content_type)?;
        let draft = Draft {
            payload: payload_of(content_type, body)?,
            key: label(&parts.headers, "message-key")?,
            message_id: label(&parts.headers, "message-id")?,
            tags: (!tags.is_empty()).then_some(tags),
            from: None,
        };
        ack.answer(StatusCode::OK, &publish_one(&api.door.broker, &caller, topic, draft)?)
    })
    .await
}

fn label(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=200).contains(&text.len()) => Ok(Some(text.into())),
        _ => Err(Problem::bad_request(format!("`{name}` must have 1 to 200 ASCII characters"))),
    }
}
