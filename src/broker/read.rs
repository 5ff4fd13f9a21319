//! Reading a topic without subscribing: history and members. A topic that does not exist is an empty one; reading
//! makes none.

use fanwire_proto::{Epoch, HistoryReply, Offset, TopicName};

use super::Broker;
use crate::topic::{HistoryQuery, Members};

impl Broker {
    /// Past messages.
    pub fn history(&self, name: &TopicName, query: &HistoryQuery, now_ms: u64) -> HistoryReply {
        match self.find(name) {
            Some(topic) => topic.history(query, now_ms),
            None => HistoryReply {
                id: None,
                topic: name.clone(),
                epoch: Epoch::FOREIGN,
                offset: Offset::ZERO,
                recovered: query.since.map(|_| false),
                messages: Vec::new(),
                more: false,
            },
        }
    }

    /// Who is subscribed; `None` when the topic's rule keeps no presence.
    pub fn members(&self, name: &TopicName) -> Option<Members> {
        match self.find(name) {
            Some(topic) => topic.members(),
            None => {
                let kept = self.policy.load().rules.of(name).presence;
                kept.then(|| Members { members: Vec::new(), clients: 0, users: 0 })
            }
        }
    }
}
