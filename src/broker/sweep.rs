//! Forgetting: old messages, and topics that nobody uses.

use std::sync::{Arc, atomic::Ordering};

use fanwire_proto::TopicName;

use super::Broker;
use crate::{defaults, durable::Due, memory::Class, store::StoreError, topic::Topic};

impl Broker {
    /// Lets every topic remove what is too old, and forgets those that are empty and unused.
    pub fn sweep(&self, now_ms: u64) {
        // First, so that the levels which decide what topics give up below are those of this moment.
        self.make_room(now_ms);
        self.accounts.sweep();
        self.attempts.sweep(now_ms);
        let closed = |entry: dashmap::mapref::multiple::RefMulti<'_, _, Arc<Topic>>| {
            entry.expire(now_ms, defaults::IDLE_TOPIC_S * 1_000).then(|| entry.value().clone())
        };
        for entry in self.topics.iter().filter(|entry| entry.keeping.is_durable()) {
            self.begin_commit_if_wanted(entry.value());
        }
        // Collected before any is removed: the iterator holds a lock of the map that `remove_if` needs for writing.
        let closed: Vec<Arc<Topic>> = self.topics.iter().filter_map(closed).collect();
        for topic in closed {
            self.forget(&topic);
        }
        if let Err(error) = self.visit_stored(now_ms) {
            tracing::warn!(%error, "topics on the disk could not be looked at");
        }
        self.expire_revocations(now_ms);
        self.sweep_documents(now_ms);
        self.report_store();
        self.report_memory();
        self.metrics.topics.set(as_gauge(self.topics.len()));
        let connections = self.shards.iter().map(crate::shard::ShardHandle::connections).sum();
        self.metrics.connections.set(as_gauge(connections));
    }

    fn report_memory(&self) {
        let (memory, metrics) = (&self.memory, &self.metrics);
        let waiting = self.shards.iter().map(crate::shard::ShardHandle::waiting_bytes).sum();
        // Shards count what waits in their own memory; the share only reports the sum, and nothing is taken out of it.
        memory.share(Class::Outboxes).set(waiting);
        let gauges = [
            (Class::Topics, &metrics.topic_bytes),
            (Class::Documents, &metrics.document_bytes),
            (Class::Merging, &metrics.merging_bytes),
            (Class::Bodies, &metrics.body_bytes),
            (Class::Outboxes, &metrics.outbox_bytes),
            (Class::Idempotency, &metrics.idempotency_bytes),
        ];
        for (class, gauge) in gauges {
            gauge.set(as_gauge(memory.share(class).used()));
        }
        metrics.memory_limit.set(as_gauge(self.policy.load().limits.memory.max()));
    }

    fn report_store(&self) {
        let (committer, metrics) = (self.durable.committer(), &self.metrics);
        let counts = committer.counts();
        metrics.commits.absolute(counts.commits.load(Ordering::Relaxed));
        metrics.commit_failures.absolute(counts.failures.load(Ordering::Relaxed));
        metrics.kept.absolute(counts.messages.load(Ordering::Relaxed));
        metrics.commit_micros.absolute(counts.micros.load(Ordering::Relaxed));
        metrics.store_failing.set(if self.durable.trouble().is_some() { 1.0 } else { 0.0 });
        if let Some(bytes) = committer.store().room() {
            metrics.store_room.set(as_gauge(usize::try_from(bytes).unwrap_or(usize::MAX)));
        }
        if let Ok(bytes) = committer.store().size() {
            metrics.store_bytes.set(as_gauge(usize::try_from(bytes).unwrap_or(usize::MAX)));
        }
    }

    /// Looks at the next few topics that are only on the disk.
    fn visit_stored(&self, now_ms: u64) -> Result<(), StoreError> {
        let after = self.visited.lock().take();
        let mut names: Vec<TopicName> = Vec::new();
        self.durable.topics(after.as_ref(), |name| {
            names.push(name.clone());
            names.len() < defaults::VISITS_PER_SWEEP
        })?;
        // Fewer than asked for: that was the end, and the next time begins anew.
        *self.visited.lock() = names.last().filter(|_| names.len() == defaults::VISITS_PER_SWEEP).cloned();
        // `visited` has moved on by now: what fails below is tried again when the sweep comes round, and those behind it
        // are looked at before that.
        let policy = self.policy.load();
        let mut forgotten = 0;
        for name in names.iter().filter(|name| self.find(name).is_none()) {
            match self.durable.due(name, &policy.rules.of(name), now_ms)? {
                Due::Nothing => {}
                Due::Restore => drop(self.find_or_restore(name, now_ms)),
                // Each costs a write; the rest is due again when the sweep comes round to it.
                Due::Forget if forgotten == defaults::FORGOTTEN_PER_SWEEP => {}
                Due::Forget => {
                    forgotten += 1;
                    self.forget_stored(name)?;
                }
            }
        }
        Ok(())
    }

    /// Removes a topic's head, unless somebody has restored the topic meanwhile.
    fn forget_stored(&self, name: &TopicName) -> Result<(), StoreError> {
        let _alone = self.restoring.lock(name);
        match self.find(name) {
            Some(_) => Ok(()),
            None => self.durable.forget(name),
        }
    }

    /// Removes a closed topic, unless another one has taken its name.
    pub(super) fn forget(&self, topic: &Arc<Topic>) {
        // By identity: another thread may have removed the closed one and made its successor since.
        self.topics.remove_if(&topic.name, |_, current| Arc::ptr_eq(current, topic));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a double; counts stay far below 2^53")]
pub(super) fn as_gauge(count: usize) -> f64 {
    count as f64
}
