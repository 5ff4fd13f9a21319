//! Reading topics without subscribing: which there are, history and members. A topic that does not exist is an empty one; reading
//! makes none.

use std::collections::BinaryHeap;

use fanwire_proto::{Epoch, HistoryReply, Offset, Position, TopicName};

use super::Broker;
use crate::topic::{HistoryQuery, Members, Summary};

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

    /// Counts and bounds of a topic.
    pub fn summary(&self, name: &TopicName, now_ms: u64) -> Summary {
        match self.find(name) {
            Some(topic) => topic.summary(now_ms),
            None => {
                let rule = self.policy.load().rules.of(name);
                Summary {
                    position: Position { epoch: Epoch::FOREIGN, offset: Offset::ZERO },
                    subscribers: 0,
                    present: rule.presence.then_some((0, 0)),
                    messages: 0,
                    rule,
                }
            }
        }
    }

    /// The first topics in the order of their names, after a name, of those wanted. Looks at every topic there is, so it
    /// is for places where a tenth of a second does no harm.
    pub fn topics(
        &self,
        after: Option<&TopicName>,
        limit: usize,
        wanted: impl Fn(&TopicName) -> bool,
    ) -> Vec<TopicName> {
        let mut first: BinaryHeap<TopicName> = BinaryHeap::new();
        for entry in &self.topics {
            let name = entry.key();
            let in_reach = after.is_none_or(|after| name > after)
                && (first.len() < limit || first.peek().is_some_and(|last| name < last));
            if in_reach && wanted(name) {
                first.push(name.clone());
                if first.len() > limit {
                    first.pop();
                }
            }
        }
        first.into_sorted_vec()
    }
}
