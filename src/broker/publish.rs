//! Publishing: look the topic up, let it number and keep the message, wake the shards that have to pull.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use fanwire_proto::{Ack, Payload, Position, TopicName};
use tokio::sync::oneshot;

use super::{Broker, NoTopic, TooManyTopics};
use crate::{
    document::{self, Malformed},
    memory::Owner,
    topic::{Asker, Draft, FeedRef, Keeping, Kind, NotPublished, Receipt, Refusal},
};

/// A message that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Where it went.
    pub receipt: Receipt,
    /// Whether the asker will hear later that it is durable.
    pub waits: bool,
}

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
    /// Bytes that it may have, if that is not the usual limit.
    limit: Option<usize>,
    /// Where the topic must stand.
    base: Option<Position>,
}

impl Broker {
    /// Publishes a message. When this returns `Ok`, the message has its place, and every subscriber of the moment will
    /// get it or be told of a gap; on a durable topic not before it is durable, unless the rule says so.
    ///
    /// Without `ack` a durable topic acknowledges what is durable, any other what is accepted. `asker` is asked for if
    /// there is something to wait for.
    pub fn publish(
        &self,
        topic: &TopicName,
        draft: Draft,
        ack: Option<Ack>,
        asker: impl FnOnce() -> Option<Asker>,
        now_ms: u64,
    ) -> Result<Published, PublishError> {
        self.publish_on(Terms::default(), topic, draft, ack, asker, now_ms)
    }

    /// The same, on other terms than everybody's.
    fn publish_on(
        &self,
        terms: Terms,
        topic: &TopicName,
        draft: Draft,
        ack: Option<Ack>,
        asker: impl FnOnce() -> Option<Asker>,
        now_ms: u64,
    ) -> Result<Published, PublishError> {
        let outcome = self.try_publish(topic, draft, terms, ack, asker, now_ms);
        match &outcome {
            Ok(Published { receipt, .. }) => {
                // What came again was not taken again.
                if !receipt.duplicate {
                    self.metrics.published.increment(1);
                }
                if receipt.dropped > 0 {
                    self.metrics.dropped.increment(receipt.dropped);
                }
            }
            Err(_) => self.metrics.refused.increment(1),
        }
        outcome
    }

    /// Publishes a message, and says by the receiver, if there is one, whether it became durable.
    pub fn publish_and_wait(
        &self,
        topic: &TopicName,
        draft: Draft,
        ack: Option<Ack>,
        now_ms: u64,
    ) -> Result<(Receipt, Option<oneshot::Receiver<bool>>), PublishError> {
        let mut kept = None;
        let asker = || {
            let (tell, wait) = oneshot::channel();
            kept = Some(wait);
            Some(Asker::Call(Box::new(move |durable| {
                // Whoever asked may not be waiting any more.
                let _ = tell.send(durable);
            })))
        };
        let Published { receipt, waits } = self.publish(topic, draft, ack, asker, now_ms)?;
        Ok((receipt, kept.filter(|_| waits)))
    }

    /// Publishes an update that the broker made itself for somebody, which may be larger than a client's, if the topic still
    /// stands at `base`; says by the receiver, if there is one, whether it became durable.
    pub(super) fn publish_edit(
        &self,
        topic: &TopicName,
        update: Bytes,
        base: Option<Position>,
        by: &Owner,
        now_ms: u64,
    ) -> Result<(Receipt, Option<oneshot::Receiver<bool>>), PublishError> {
        let draft = Draft {
            payload: Payload::Bytes(update),
            key: None,
            message_id: None,
            tags: None,
            from: None,
            not_to: None,
            by: by.clone(),
        };
        let (tell, wait) = oneshot::channel();
        let asker = || {
            Some(Asker::Call(Box::new(move |durable| {
                // Whoever asked may not be waiting any more.
                let _ = tell.send(durable);
            })))
        };
        let terms = Terms { limit: Some(usize::MAX), base };
        let Published { receipt, waits } = self.publish_on(terms, topic, draft, None, asker, now_ms)?;
        Ok((receipt, waits.then_some(wait)))
    }

    /// Whether a message would be taken at this moment; nothing is changed. For those who publish several messages or
    /// none.
    pub fn check(&self, topic: &TopicName, draft: &Draft) -> Result<(), PublishError> {
        self.check_draft(self.kind_of(topic), draft, None)?;
        let policy = self.policy.load();
        let rule = policy.rules.of(topic);
        if rule.keeping.is_durable() {
            self.durable.check().map_err(NoTopic::from)?;
        }
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
        Terms { limit, base }: Terms,
        ack: Option<Ack>,
        asker: impl FnOnce() -> Option<Asker>,
        now_ms: u64,
    ) -> Result<Published, PublishError> {
        self.publishing.fetch_add(1, Ordering::SeqCst);
        let _under_way = UnderWay(self);
        let mut near = self.find(topic);
        let ruled = || self.policy.load().rules.of(topic).kind.kind();
        self.check_draft(near.as_ref().map_or_else(ruled, |topic| topic.kind), &draft, limit)?;
        let mut asker = Some(asker);
        loop {
            let found = near.take().map_or_else(|| self.find_or_make(topic, &draft.by, now_ms), Ok)?;
            let durable = found.keeping != Keeping::Memory;
            if durable {
                self.durable.check().map_err(NoTopic::from)?;
            }
            if found.kind == Kind::Document {
                self.check_documents()?;
            }
            let ask = || asker.take().and_then(|asker| asker());
            let seen_at_once = found.keeping != Keeping::Durable;
            let tapped = if seen_at_once { self.taps.copy(topic, &draft, now_ms) } else { None };
            let notify = |feed: FeedRef| self.shards[feed.shard.0].notify(feed);
            let published = match base {
                None => found.publish(draft, ack, ask, now_ms, notify),
                Some(base) => found.publish_on(base, draft, ack, ask, now_ms, notify),
            };
            match published {
                Ok(taken) => {
                    if let Some(tapped) = tapped {
                        tapped.pass_on(topic, &taken.receipt, now_ms);
                    }
                    match taken.begin_commit {
                        true => self.durable.begin_commit(&found),
                        false if durable => self.durable.committer().more(),
                        false => {}
                    }
                    self.merge_if_due(&found, now_ms);
                    self.note_pressure();
                    return Ok(Published { receipt: taken.receipt, waits: taken.waits });
                }
                Err(NotPublished::Refused(refusal)) => {
                    if matches!(refusal, Refusal::TopicsFull(_) | Refusal::OwnerFull(_)) {
                        self.pressed.notify_one();
                    }
                    return Err(refusal.into());
                }
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
