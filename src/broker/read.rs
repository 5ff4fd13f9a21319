//! Reading topics without subscribing: which there are, history and members. A topic that does not exist is an empty one; reading
//! makes none.

use std::collections::BTreeSet;

use fanwire_proto::{Epoch, HistoryReply, Offset, Position, TopicName};

use super::{Broker, Unreadable};
use crate::topic::{HistoryQuery, Members, Summary, Topic};

impl Broker {
    /// Past messages. May wait for the disk.
    pub fn history(
        &self,
        name: &TopicName,
        query: &HistoryQuery,
        now_ms: u64,
    ) -> Result<HistoryReply, Unreadable> {
        let topic = self.find_or_restore(name, now_ms)?;
        Ok(Self::history_of(topic.as_deref(), name, query, now_ms))
    }

    /// Past messages of a topic, if there is one of this name.
    pub fn history_of(
        topic: Option<&Topic>,
        name: &TopicName,
        query: &HistoryQuery,
        now_ms: u64,
    ) -> HistoryReply {
        match topic {
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

    /// How far a topic has come, if there is one of this name; one from the disk stays, to be read on.
    pub fn position(&self, name: &TopicName, now_ms: u64) -> Result<Option<Position>, Unreadable> {
        Ok(self.find_or_restore(name, now_ms)?.map(|topic| topic.position()))
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
    pub fn summary(&self, name: &TopicName, now_ms: u64) -> Result<Summary, Unreadable> {
        if let Some(topic) = self.find(name) {
            return Ok(topic.summary(now_ms));
        }
        let rule = self.policy.load().rules.of(name);
        // Not kept in memory: a list of topics would bring all of them there.
        Ok(match self.load(name, &rule, now_ms)? {
            Some(topic) => topic.summary(now_ms),
            None => Summary {
                position: Position { epoch: Epoch::FOREIGN, offset: Offset::ZERO },
                subscribers: 0,
                present: rule.presence.then_some((0, 0)),
                messages: 0,
                rule,
            },
        })
    }

    /// The first topics in the order of their names, after a name, of those wanted; durable ones that are not in memory
    /// among them. Looks at every topic there is, so it is for places where a tenth of a second does no harm.
    pub fn topics(
        &self,
        after: Option<&TopicName>,
        limit: usize,
        wanted: impl Fn(&TopicName) -> bool,
    ) -> Result<Vec<TopicName>, Unreadable> {
        let mut first: BTreeSet<TopicName> = BTreeSet::new();
        let mut add = |name: &TopicName| {
            // Only the first `limit` are kept, as the map has no order and may hold a million: what is behind the last of
            // them is not even cloned.
            let in_reach = after.is_none_or(|after| name > after)
                && (first.len() < limit || first.last().is_some_and(|last| name < last));
            if in_reach && wanted(name) {
                first.insert(name.clone());
                if first.len() > limit {
                    first.pop_last();
                }
            }
            in_reach
        };
        self.topics.iter().for_each(|entry| {
            add(entry.key());
        });
        let policy = self.policy.load();
        let is_durable = |name: &TopicName| policy.rules.of(name).keeping.is_durable();
        // Stored names come in order, so the first that is out of reach ends the scan. One whose rule is no longer
        // durable is passed over, and must not end it.
        let stored = self.durable.topics(after, |name| !is_durable(name) || add(name));
        stored.map_err(|error| {
            tracing::error!(%error, "topics cannot be listed");
            Unreadable::Failed
        })?;
        Ok(first.into_iter().collect())
    }
}
