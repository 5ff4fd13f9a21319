//! Forgetting: old messages, and topics that nobody uses.

use std::sync::Arc;

use super::Broker;
use crate::{defaults, topic::Topic};

impl Broker {
    /// Lets every topic remove what is too old, and forgets those that are empty and unused.
    pub fn sweep(&self, now_ms: u64) {
        let idle_ms = defaults::IDLE_TOPIC_S * 1_000;
        let closed = |entry: dashmap::mapref::multiple::RefMulti<'_, _, Arc<Topic>>| {
            entry.expire(now_ms, idle_ms).then(|| entry.value().clone())
        };
        for entry in self.topics.iter().filter(|entry| entry.keeping.is_durable()) {
            self.begin_commit_if_wanted(entry.value());
        }
        let closed: Vec<Arc<Topic>> = self.topics.iter().filter_map(closed).collect();
        for topic in closed {
            self.forget(&topic);
        }
        self.expire_revocations(now_ms);
        self.sweep_documents(now_ms);
        self.metrics.topics.set(as_gauge(self.topics.len()));
        let connections = self.shards.iter().map(crate::shard::ShardHandle::connections).sum();
        self.metrics.connections.set(as_gauge(connections));
    }

    /// Removes a closed topic, unless another one has taken its name.
    pub(super) fn forget(&self, topic: &Arc<Topic>) {
        self.topics.remove_if(&topic.name, |_, current| Arc::ptr_eq(current, topic));
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a double; counts stay far below 2^53")]
fn as_gauge(count: usize) -> f64 {
    count as f64
}
