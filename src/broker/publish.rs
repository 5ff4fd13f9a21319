//! Publishing: accept what comes, find its topic, and submit it to the topic's place ([`order`](crate::order)).

use std::sync::atomic::Ordering;

use bytes::Bytes;
use fanwire_proto::{Ack, Payload, Position, TopicName};

use super::{Broker, NoTopic, TooManyTopics};
use crate::{
    document::{self, Malformed},
    memory::Owner,
    order::{Placing, Submission, Submitted},
    topic::{Asker, Draft, Kind, NotPublished, Refusal},
};

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The broker is about to end; try another one.
    #[error("the broker is draining")]
    Draining,
    /// The payload is over the limit.
    #[error("the payload has {bytes} bytes; {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// No topic could be made.
    #[error(transparent)]
    NoTopic(#[from] NoTopic),
    /// The topic is a document, and this is no update of one.
    #[error("topics of kind `document` take updates of Yjs as bytes: {0}")]
    NotAnUpdate(&'static str),
    /// The bytes are no update of a document.
    #[error("this is not an update of Yjs: {0}")]
    BadUpdate(#[from] Malformed),
    /// The topic refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Counts a publish as under way for as long as it lives.
struct UnderWay<'a>(&'a Broker);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.publishing.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a publish may and must.
#[derive(Clone, Copy, Default)]
struct Terms {
    /// What its receipt is to promise, if that is not left to the rule.
    ack: Option<Ack>,
    /// Bytes that it may have, if that is not the usual limit.
    limit: Option<usize>,
    /// Where the topic must stand.
    base: Option<Position>,
}

impl Broker {
    /// Publishes a message. When this returns [`Submitted::Placed`], the message is where its topic, or `ack`, promises that
    /// it is; on [`Submitted::Pending`] `asker` is told when it is, or that nobody knows. Every subscriber of the moment
    /// then gets it or is told of a gap; on a durable topic not before it is durable, unless the rule says so.
    ///
    /// `asker` is asked for, once, if there is something to wait for.
    pub fn publish(
        &self,
        topic: &TopicName,
        draft: Draft,
        ack: Option<Ack>,
        mut asker: impl FnMut() -> Asker,
        now_ms: u64,
    ) -> Result<Submitted, PublishError> {
        self.publish_on(Terms { ack, ..Terms::default() }, topic, draft, &mut asker, now_ms)
    }

    /// The same, on other terms than everybody's.
    fn publish_on(
        &self,
        terms: Terms,
        topic: &TopicName,
        draft: Draft,
        asker: &mut dyn FnMut() -> Asker,
        now_ms: u64,
    ) -> Result<Submitted, PublishError> {
        let outcome = self.try_publish(topic, draft, terms, asker, now_ms);
        if outcome.is_err() {
            self.metrics.refused.increment(1);
        }
        outcome
    }

    /// Publishes a message for somebody who can wait for its receipt.
    pub fn publish_and_wait(
        &self,
        topic: &TopicName,
        draft: Draft,
        ack: Option<Ack>,
        now_ms: u64,
    ) -> Result<Placing, PublishError> {
        Placing::of(|asker| self.publish(topic, draft, ack, asker, now_ms))
    }

    /// Publishes an update that the broker made itself for somebody, which may be larger than a client's, if the topic still
    /// stands at `base`.
    pub(super) fn publish_edit(
        &self,
        topic: &TopicName,
        update: Bytes,
        base: Option<Position>,
        by: &Owner,
        now_ms: u64,
    ) -> Result<Placing, PublishError> {
        let draft = Draft {
            payload: Payload::Bytes(update),
            key: None,
            message_id: None,
            tags: None,
            from: None,
            not_to: None,
            by: by.clone(),
        };
        let terms = Terms { ack: None, limit: Some(usize::MAX), base };
        Placing::of(|asker| self.publish_on(terms, topic, draft, asker, now_ms))
    }

    /// Whether a message would be taken at this moment; nothing is changed. For those who publish several messages or
    /// none.
    pub fn check(&self, topic: &TopicName, draft: &Draft) -> Result<(), PublishError> {
        self.check_draft(self.kind_of(topic), draft, None)?;
        let policy = self.policy.load();
        let rule = policy.rules.of(topic);
        self.order.place_of(rule.keeping).check().map_err(NoTopic::from)?;
        if rule.kind.kind() == Kind::Document {
            self.check_documents()?;
        }
        if let Some(found) = self.find(topic) {
            return Ok(found.check(draft)?);
        }
        if draft.key.is_some() && rule.kind.kind() != Kind::Latest {
            return Err(Refusal::KeyNotWanted.into());
        }
        match self.topics.len() >= policy.limits.max_topics {
            true => Err(NoTopic::from(TooManyTopics(policy.limits.max_topics)).into()),
            false => Ok(()),
        }
    }

    fn check_draft(&self, kind: Kind, draft: &Draft, limit: Option<usize>) -> Result<(), PublishError> {
        if self.is_draining() {
            return Err(PublishError::Draining);
        }
        let is_document = kind == Kind::Document;
        let limit = limit.unwrap_or_else(|| self.payload_limit_of(kind));
        let bytes = draft.payload.len();
        match bytes > limit {
            true => Err(PublishError::TooLarge { bytes, limit }),
            false if is_document => check_update(&draft.payload),
            false => Ok(()),
        }
    }

    /// Bytes that a payload for this topic may have.
    pub fn payload_limit(&self, topic: &TopicName) -> usize {
        self.payload_limit_of(self.kind_of(topic))
    }

    fn payload_limit_of(&self, kind: Kind) -> usize {
        let limits = &self.policy.load().limits;
        match kind {
            Kind::Document => limits.max_update_bytes,
            Kind::Log | Kind::Latest | Kind::Volatile => limits.max_message_bytes,
        }
    }

    /// The kind that a topic has, or would have.
    pub fn kind_of(&self, topic: &TopicName) -> Kind {
        match self.find(topic) {
            Some(found) => found.kind,
            None => self.policy.load().rules.of(topic).kind.kind(),
        }
    }

    fn try_publish(
        &self,
        topic: &TopicName,
        mut draft: Draft,
        Terms { ack, limit, base }: Terms,
        asker: &mut dyn FnMut() -> Asker,
        now_ms: u64,
    ) -> Result<Submitted, PublishError> {
        // Counted before `check_draft` looks at `draining`, while `start_draining` sets `draining` before it looks at the
        // count. With SeqCst at least one of them sees the other: a publish is refused, or draining waits for it.
        self.publishing.fetch_add(1, Ordering::SeqCst);
        let _under_way = UnderWay(self);
        // Found once, for its kind and for the first round: most publishes go to a topic that exists, and look it up only
        // here.
        let mut near = self.find(topic);
        let ruled = || self.policy.load().rules.of(topic).kind.kind();
        self.check_draft(near.as_ref().map_or_else(ruled, |topic| topic.kind), &draft, limit)?;
        loop {
            let found = near.take().map_or_else(|| self.find_or_make(topic, &draft.by, now_ms), Ok)?;
            let place = self.order.place_of(found.keeping);
            place.check().map_err(NoTopic::from)?;
            if found.kind == Kind::Document {
                self.check_documents()?;
            }
            match place.submit(&found, Submission { draft, ack, base, asker: &mut *asker, now_ms }) {
                Ok(submitted) => {
                    // Out of the topic's lock by now: both look at more than this topic, or hand it to a worker.
                    self.merge_if_due(&found, now_ms);
                    self.note_pressure();
                    return Ok(submitted);
                }
                Err(NotPublished::Refused(refusal)) => {
                    if matches!(refusal, Refusal::TopicsFull(_) | Refusal::OwnerFull(_)) {
                        self.pressed.notify_one();
                    }
                    return Err(refusal.into());
                }
                // The sweep has closed it between our look and its lock, and gives the draft back. With the closed one
                // out of the map, the next round makes another or finds the one somebody else made.
                Err(NotPublished::Closed(given_back)) => {
                    self.forget(&found);
                    draft = *given_back;
                }
            }
        }
    }
}

/// Nothing enters a document that some decoder would stumble over.
fn check_update(payload: &Payload) -> Result<(), PublishError> {
    match payload {
        Payload::Bytes(update) => Ok(document::check(update)?),
        Payload::Json(_) => Err(PublishError::NotAnUpdate("this is JSON or text")),
    }
}
