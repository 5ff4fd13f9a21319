//! Subscribing: look the topic up and let the connection's shard join it.

use std::sync::Arc;

use fanwire_proto::TopicName;

use super::{Broker, NoTopic};
use crate::{
    memory::Owner,
    shard::{Cx, SubscribeOptions},
    topic::{Joined, Refusal, Topic},
};

/// Why there is no subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The broker is about to end.
    #[error("the broker is draining")]
    Draining,
    /// The connection has a subscription of this key already.
    #[error("this connection is subscribed to the topic already")]
    Already,
    /// The connection has as many as it may.
    #[error("this connection has {0} subscriptions, the most it may have")]
    TooMany(usize),
    /// The topic's rule keeps no presence.
    #[error("this topic keeps no presence")]
    PresenceOff,
    /// No topic could be made.
    #[error(transparent)]
    NoTopic(#[from] NoTopic),
    /// The topic refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Broker {
    /// Subscribes the connection; whoever it belongs to is charged with the topic if there was none. The caller sends its reply, then calls [`Cx::start`].
    pub fn subscribe(
        &self,
        cx: &mut Cx<'_>,
        owner: &Owner,
        name: &TopicName,
        options: &SubscribeOptions,
    ) -> Result<(Arc<Topic>, Joined), SubscribeError> {
        if self.is_draining() {
            return Err(SubscribeError::Draining);
        }
        if cx.has(options.key) {
            return Err(SubscribeError::Already);
        }
        let limit = self.policy.load().limits.max_subscriptions;
        if cx.subscriptions() >= limit {
            return Err(SubscribeError::TooMany(limit));
        }
        loop {
            let topic = self.find_or_make(name, owner, cx.now_ms())?;
            if options.watch && !topic.keeps_presence() {
                return Err(SubscribeError::PresenceOff);
            }
            match cx.subscribe(&topic, options) {
                // Closed by the sweep since it was found. Taken out of the map here as well, or this would find it again
                // and again.
                Err(Refusal::Closed) => self.forget(&topic),
                joined => return Ok((topic, joined?)),
            }
        }
    }
}
