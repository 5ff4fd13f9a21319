//! Finding and making topics. Doors and verbs come here on publish and subscribe, never per delivery.
//!
//! A durable topic that is not in memory is restored from the store. Threads that want the same one at the same time
//! wait for each other, so that none of them restores what another one has changed since. Reading may take long, so a
//! shard's doors let it be done ([`Broker::fetch`]) and ask again when it is.

use std::sync::{Arc, atomic::Ordering};

use dashmap::Entry;
use fanwire_proto::{Epoch, TopicName};

use super::Broker;
use crate::{
    defaults,
    durable::{LoadError, Trouble},
    memory::{Charge, Class, Owner},
    topic::{Kind, Refusal, Rule, Topic},
};

/// No topic could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {0} topics already, the most there may be")]
pub struct TooManyTopics(pub usize);

/// Whoever wants to make a topic has made as many as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{who} has made {most} topics already, the most of all topics that it may have (`max_topics_per_owner`, `max_topics`)"
)]
pub struct TooManyOwned {
    /// Whose they are, for people.
    pub who: &'static str,
    /// The limit.
    pub most: usize,
}

/// A durable topic could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The store failed.
    #[error("the topic could not be read from the broker's store; its log says why")]
    Failed,
    /// Kind `document`: a part of it may be missing.
    #[error("the document is damaged on the broker's disk, and a part of it would be missing: {0}")]
    Damaged(&'static str),
    /// The rule says another kind than the topic had when it was kept.
    #[error("this topic was kept as kind `{}`, which its rule says no longer", .0.as_str())]
    OtherKind(Kind),
}

/// Why there is no topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoTopic {
    /// There are too many.
    #[error(transparent)]
    TooMany(#[from] TooManyTopics),
    /// There are too many of one owner.
    #[error(transparent)]
    TooManyOwned(#[from] TooManyOwned),
    /// It could not be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It would be one more than there is memory for.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store takes nothing at the moment.
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

/// What to do about a topic that there is not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Missing {
    /// Make it: somebody subscribes or publishes, and is charged with it.
    Make(Owner),
    /// Leave it at that: somebody reads.
    Leave,
}

impl Broker {
    /// The topic, if it is in memory.
    pub fn find(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.topics.get(name).map(|entry| entry.value().clone())
    }

    /// Whether a topic may have to be read from the disk first.
    pub fn is_away(&self, name: &TopicName) -> bool {
        let rules = &self.policy.load().rules;
        rules.any_is_durable() && !self.topics.contains_key(name) && rules.of(name).keeping.is_durable()
    }

    /// Finds a topic, or makes it, in memory or on the disk. May wait for the disk.
    pub fn bring(
        &self,
        name: &TopicName,
        missing: Missing,
        now_ms: u64,
    ) -> Result<Option<Arc<Topic>>, NoTopic> {
        match missing {
            Missing::Make(owner) => self.find_or_make(name, &owner, now_ms).map(Some),
            Missing::Leave => Ok(self.find_or_restore(name, now_ms)?),
        }
    }

    /// Lets a worker [bring](Self::bring) a topic and call `done`. For shards, which must not wait.
    pub fn fetch(
        self: &Arc<Self>,
        name: &TopicName,
        missing: Missing,
        now_ms: u64,
        done: impl FnOnce(Result<Option<Arc<Topic>>, NoTopic>) + Send + 'static,
    ) {
        let (broker, wanted) = (self.clone(), name.clone());
        self.workers.loads.submit(name, move || done(broker.bring(&wanted, missing, now_ms)));
    }

    /// The topic, if there is one, in memory or on the disk.
    pub(super) fn find_or_restore(
        &self,
        name: &TopicName,
        now_ms: u64,
    ) -> Result<Option<Arc<Topic>>, Unreadable> {
        if let Some(topic) = self.find(name) {
            return Ok(Some(topic));
        }
        let rule = self.policy.load().rules.of(name);
        if !rule.keeping.is_durable() {
            return Ok(None);
        }
        // Looked at again under the lock: whoever had it may just have restored the topic, and a second copy would number
        // messages beside the first.
        let _alone = self.restoring.lock(name);
        if let Some(topic) = self.find(name) {
            return Ok(Some(topic));
        }
        let Some(topic) = self.load(name, &rule, now_ms)? else { return Ok(None) };
        // Still under the lock, which whoever removes the topic's head from the disk takes too (`forget_stored`).
        let topic = self.insert(name, None, |_| topic);
        self.begin_commit_if_wanted(&topic);
        Ok(Some(topic))
    }

    /// The topic, made if need be.
    pub(super) fn find_or_make(
        &self,
        name: &TopicName,
        owner: &Owner,
        now_ms: u64,
    ) -> Result<Arc<Topic>, NoTopic> {
        if let Some(topic) = self.find(name) {
            return Ok(topic);
        }
        let policy = self.policy.load();
        let max_topics = policy.limits.max_topics;
        // May be passed by as many topics as there are threads; it is there against floods.
        if self.topics.len() >= max_topics {
            return Err(TooManyTopics(max_topics).into());
        }
        let rule = policy.rules.of(name);
        if rule.kind.kind() == Kind::Document {
            self.check_newcomer(owner)?;
        }
        // In memory there is nothing to read, so two threads may make the same topic: the map keeps the first, and the
        // loser's charge is given back as it is dropped.
        if !rule.keeping.is_durable() {
            let charge = Some(self.charge(owner)?);
            let make = |rule| Topic::new(name.clone(), rule, self.new_epoch(), now_ms);
            return Ok(self.insert(name, charge, make));
        }
        // A durable one must be read by one thread alone, or both would go on from the same offset.
        let _alone = self.restoring.lock(name);
        if let Some(topic) = self.find(name) {
            return Ok(topic);
        }
        // Also for what was there before, by whoever has it brought into memory.
        let charge = Some(self.charge(owner)?);
        if let Some(topic) = self.load(name, &rule, now_ms)? {
            let topic = self.insert(name, charge, |_| topic);
            self.begin_commit_if_wanted(&topic);
            return Ok(topic);
        }
        Ok(self.insert(name, charge, |_| Topic::new(name.clone(), rule, self.new_epoch(), now_ms)))
    }

    /// Charges somebody with one more topic.
    fn charge(&self, owner: &Owner) -> Result<Charge, NoTopic> {
        let (account, most) = self.account(owner);
        let share = self.memory.share(Class::Topics);
        // Checked here without taking the bytes, which `weigh_on` counts once the topic exists. The sweep is told, as
        // room may be made.
        if !share.has_room(defaults::TOPIC_OVERHEAD_BYTES) {
            self.pressed.notify_one();
            return Err(Refusal::TopicsFull(share.limit()).into());
        }
        if !account.bytes.has_room(defaults::TOPIC_OVERHEAD_BYTES) {
            self.pressed.notify_one();
            return Err(Refusal::OwnerFull(account.bytes.limit()).into());
        }
        account.charge(most).ok_or_else(|| TooManyOwned { who: owner.as_str(), most }.into())
    }

    /// The topic as the store has it, for looking at.
    pub(super) fn load(
        &self,
        name: &TopicName,
        rule: &Arc<Rule>,
        now_ms: u64,
    ) -> Result<Option<Topic>, Unreadable> {
        if !rule.keeping.is_durable() {
            return Ok(None);
        }
        let loaded = self.durable.load(name, rule, || self.new_epoch());
        let restored = loaded.map_err(|error| {
            tracing::error!(topic = %name, %error, "a topic cannot be read");
            match error {
                LoadError::OtherKind { stored, .. } => Unreadable::OtherKind(stored),
                LoadError::Damaged(what) => Unreadable::Damaged(what),
                LoadError::Store(_) => Unreadable::Failed,
            }
        })?;
        Ok(restored.map(|restored| Topic::restore(name.clone(), rule.clone(), restored, now_ms)))
    }

    fn insert(
        &self,
        name: &TopicName,
        charge: Option<Charge>,
        make: impl FnOnce(Arc<Rule>) -> Topic,
    ) -> Arc<Topic> {
        match self.topics.entry(name.clone()) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(place) => {
                // Looked up here, so that a reload either sees the topic or is seen by it.
                let rule = self.policy.load().rules.of(name);
                place.insert(Arc::new(make(rule).weigh_on(&self.memory, charge))).value().clone()
            }
        }
    }

    /// Lets a topic write down what has changed beside its messages.
    pub(super) fn begin_commit_if_wanted(&self, topic: &Arc<Topic>) {
        if topic.wants_commit() {
            self.durable.begin_commit(topic);
        }
    }

    /// Never twice the same, and never [`Epoch::FOREIGN`].
    pub(super) fn new_epoch(&self) -> Epoch {
        loop {
            // Relaxed: only that no two get the same number matters, and nothing else is published with it.
            let epoch = Epoch(self.next_epoch.fetch_add(1, Ordering::Relaxed));
            if epoch != Epoch::FOREIGN {
                return epoch;
            }
        }
    }

    /// How many topics are in memory.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }
}
