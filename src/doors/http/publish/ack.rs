//! What a publisher wants acknowledged, and waiting until it can be.
//!
//! A request publishes everything it has, in order, and then waits for all of it together; so a batch to durable topics
//! costs one `fsync`, not one per message.

use axum::{
    body::Bytes,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::TopicName;
use serde::Serialize;
use utoipa::ToSchema;

use super::outcome::{ANSWER_BYTES, Outcome, Published, Results};
use crate::{
    auth::Verb,
    broker::Broker,
    doors::http::{away::with_topic, caller::Caller, problem::Problem, query::query},
    order::Placing,
    topic::Draft,
};

/// Names of acknowledgements.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "for the document")]
pub(super) enum AckName {
    None,
    Accepted,
    Durable,
}

/// How much of an answer the publisher wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ack {
    /// Nothing but whether it was taken.
    None,
    /// Where the message stands, once it is as safe as its topic's rule says.
    ByRule,
    /// Where the message stands, once it has its place in memory.
    Accepted,
    /// Where the message stands, once it survives a crash and a power cut.
    Durable,
}

impl Ack {
    /// Reads `?ack=`.
    pub(super) fn of(uri: &Uri) -> Result<Self, Problem> {
        let [ack] = query(uri, ["ack"])?;
        match ack.as_deref() {
            None => Ok(Self::ByRule),
            Some("accepted") => Ok(Self::Accepted),
            Some("none") => Ok(Self::None),
            Some("durable") => Ok(Self::Durable),
            Some(_) => Err(Problem::bad_request("`ack` must be `none`, `accepted` or `durable`")),
        }
    }

    /// As the broker takes it.
    const fn wish(self) -> Option<fanwire_proto::Ack> {
        match self {
            Self::ByRule => None,
            // `none` leaves out the answer, not the placing: the broker still has to say whether it took the message.
            Self::None | Self::Accepted => Some(fanwire_proto::Ack::Accepted),
            Self::Durable => Some(fanwire_proto::Ack::Durable),
        }
    }

    /// Reduces an answer, of about this size, to what was asked for.
    fn answer<T: Serialize>(self, status: StatusCode, value: &T, size: usize) -> Result<Answer, Problem> {
        if self == Self::None {
            return Ok(Answer { status: StatusCode::ACCEPTED, body: Default::default() });
        }
        let mut body = Vec::with_capacity(size);
        serde_json::to_writer(&mut body, value).map_err(Problem::internal)?;
        Ok(Answer { status, body: body.into() })
    }
}

/// An answer that can be given again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// JSON, or nothing.
    pub(super) body: Bytes,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self.body.is_empty() {
            true => self.status.into_response(),
            false => (self.status, [(header::CONTENT_TYPE, "application/json")], self.body).into_response(),
        }
    }
}

/// Publishes on behalf of a request.
pub(super) struct Publisher<'a> {
    broker: &'a Broker,
    caller: &'a Caller,
    ack: Ack,
    /// Names the request among all others, if it can come again.
    request: Option<String>,
    /// Messages so far.
    count: usize,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(broker: &'a Broker, caller: &'a Caller, ack: Ack, request: Option<String>) -> Self {
        Self { broker, caller, ack, request, count: 0 }
    }

    pub(super) fn broker(&self) -> &'a Broker {
        self.broker
    }

    pub(super) fn caller(&self) -> &'a Caller {
        self.caller
    }

    /// Publishes one message to one topic, if the caller may.
    pub(super) fn publish(&mut self, topic: TopicName, mut draft: Draft) -> Result<Waiting, Problem> {
        self.caller.may(Verb::Publish, &topic)?;
        // A request that comes again after a crash finds its messages by these.
        if let (None, Some(request)) = (&draft.message_id, &self.request) {
            draft.message_id = Some(format!("{request}-{}", self.count));
        }
        self.count += 1;
        draft.by = self.caller.owner();
        let publish = || self.broker.publish_and_wait(&topic, draft, self.ack.wish(), self.caller.now_ms);
        let placing = with_topic(self.broker, &topic, publish)?;
        Ok(Waiting { topic, placing })
    }
}

/// A message that was taken.
pub(super) struct Waiting {
    topic: TopicName,
    placing: Placing,
}

impl Waiting {
    /// Waits until it is what the publisher wants.
    pub(super) async fn settled(self) -> Result<Published, Problem> {
        let receipt = self.placing.outcome().await?;
        Ok(Published::new(self.topic, receipt))
    }
}

/// What became of one message among others, so far.
pub(super) enum Pending {
    One(Result<Waiting, Problem>),
    /// One for each of its topics.
    Topics(Vec<Result<Waiting, Problem>>),
}

impl From<Result<Waiting, Problem>> for Pending {
    fn from(one: Result<Waiting, Problem>) -> Self {
        Self::One(one)
    }
}

impl Pending {
    /// Waits until it is what the publisher wants.
    pub(super) async fn settled(self) -> Outcome {
        match self {
            Self::One(one) => settled(one).await,
            Self::Topics(topics) => {
                let mut results = Vec::with_capacity(topics.len());
                // One after the other costs no time: all of them are under way already, and only their outcomes are
                // awaited here.
                for one in topics {
                    results.push(settled(one).await);
                }
                Outcome::Topics { results }
            }
        }
    }
}

async fn settled(one: Result<Waiting, Problem>) -> Outcome {
    match one {
        Ok(waiting) => waiting.settled().await.into(),
        Err(problem) => Outcome::Problem(problem),
    }
}

/// What a request has published.
pub(super) enum Sent {
    One(Waiting),
    Many(Vec<Pending>),
}

impl Sent {
    /// Waits for all of it, and answers: with 207 if anything was refused.
    pub(super) async fn answer(self, ack: Ack) -> Result<Answer, Problem> {
        let pending = match self {
            Self::One(one) => return ack.answer(StatusCode::OK, &one.settled().await?, ANSWER_BYTES),
            Self::Many(pending) => pending,
        };
        let size = pending.len() * ANSWER_BYTES;
        let mut results = Vec::with_capacity(pending.len());
        for one in pending {
            results.push(one.settled().await);
        }
        match results.iter().all(Outcome::is_success) {
            true => ack.answer(StatusCode::OK, &Results { results }, size),
            // Whoever wants no acknowledgement still wants to know of failures.
            false => Ack::Accepted.answer(StatusCode::MULTI_STATUS, &Results { results }, size),
        }
    }
}
