//! Finding and making topics. Doors and verbs come here on publish and subscribe, never per delivery.

use std::sync::{Arc, atomic::Ordering};

use dashmap::Entry;
use fanwire_proto::{Epoch, TopicName};

use super::Broker;
use crate::topic::Topic;

/// No topic could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {0} topics already, the most there may be")]
pub struct TooManyTopics(pub usize);

impl Broker {
    /// The topic, if it exists.
    pub fn find(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.topics.get(name).map(|entry| entry.value().clone())
    }

    /// The topic, made if need be.
    pub(super) fn find_or_make(&self, name: &TopicName, now_ms: u64) -> Result<Arc<Topic>, TooManyTopics> {
        if let Some(topic) = self.find(name) {
            return Ok(topic);
        }
        let max_topics = self.policy.load().limits.max_topics;
        // May be passed by as many topics as there are threads; it is there against floods.
        if self.topics.len() >= max_topics {
            return Err(TooManyTopics(max_topics));
        }
        match self.topics.entry(name.clone()) {
            Entry::Occupied(entry) => Ok(entry.get().clone()),
            Entry::Vacant(place) => {
                // Looked up here, so that a reload either sees the topic or is seen by it.
                let rule = self.policy.load().rules.of(name);
                let topic = Topic::new(name.clone(), rule, self.new_epoch(), now_ms);
                Ok(place.insert(Arc::new(topic)).value().clone())
            }
        }
    }

    /// Never twice the same, and never [`Epoch::FOREIGN`].
    fn new_epoch(&self) -> Epoch {
        loop {
            let epoch = Epoch(self.next_epoch.fetch_add(1, Ordering::Relaxed));
            if epoch != Epoch::FOREIGN {
                return epoch;
            }
        }
    }

    /// How many topics there are.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }
}
