//! Publishing: look the topic up, let it number and keep the message, wake the shards that have to pull.

use std::sync::atomic::Ordering;

use fanwire_proto::TopicName;

use super::{Broker, TooManyTopics};
use crate::topic::{Draft, Kind, NotPublished, Receipt, Refusal};

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
    TooManyTopics(#[from] TooManyTopics),
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

impl Broker {
    /// Publishes a message. When this returns `Ok`, the message has its place, and every subscriber of the moment
    /// will get it or be told of a gap.
    pub fn publish(&self, topic: &TopicName, draft: Draft, now_ms: u64) -> Result<Receipt, PublishError> {
        let tapped = self.taps.copy(topic, &draft, now_ms);
        let outcome = self.try_publish(topic, draft, now_ms);
        match &outcome {
            Ok(receipt) => {
                self.metrics.published.increment(1);
                if let Some(tapped) = tapped {
                    tapped.pass_on(topic, receipt, now_ms);
                }
                if receipt.dropped > 0 {
                    self.metrics.dropped.increment(receipt.dropped);
                }
            }
            Err(_) => self.metrics.refused.increment(1),
        }
        outcome
    }

    /// Whether a message would be taken at this moment; nothing is changed. For those who publish several messages or
    /// none.
    pub fn check(&self, topic: &TopicName, draft: &Draft) -> Result<(), PublishError> {
        self.check_draft(draft)?;
        if let Some(found) = self.find(topic) {
            return Ok(found.check(draft)?);
        }
        let policy = self.policy.load();
        if draft.key.is_some() && policy.rules.of(topic).kind.kind() != Kind::Latest {
            return Err(Refusal::KeyNotWanted.into());
        }
        match self.topics.len() >= policy.limits.max_topics {
            true => Err(TooManyTopics(policy.limits.max_topics).into()),
            false => Ok(()),
        }
    }

    fn check_draft(&self, draft: &Draft) -> Result<(), PublishError> {
        if self.is_draining() {
            return Err(PublishError::Draining);
        }
        let (bytes, limit) = (draft.payload.len(), self.policy.load().limits.max_message_bytes);
        match bytes > limit {
            true => Err(PublishError::TooLarge { bytes, limit }),
            false => Ok(()),
        }
    }

    fn try_publish(&self, topic: &TopicName, mut draft: Draft, now_ms: u64) -> Result<Receipt, PublishError> {
        self.publishing.fetch_add(1, Ordering::SeqCst);
        let _under_way = UnderWay(self);
        self.check_draft(&draft)?;
        loop {
            let found = self.find_or_make(topic, now_ms)?;
            match found.publish(draft, now_ms, |feed| self.shards[feed.shard.0].notify(feed)) {
                Ok(receipt) => return Ok(receipt),
                Err(NotPublished::Refused(refusal)) => return Err(refusal.into()),
                Err(NotPublished::Closed(given_back)) => {
                    self.forget(&found);
                    draft = *given_back;
                }
            }
        }
    }
}
