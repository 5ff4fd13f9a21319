//! What goes on in the background: publishing what could not be published, writing what was rejected, and forgetting what
//! is old.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Webhooks, seen};
use crate::{
    clock::unix_ms,
    defaults,
    provider::Keep,
    store::{Batch, StoreError},
};

/// How often.
const TICK: Duration = Duration::from_millis(500);

/// For what is left of sources that are not configured any more.
const KEEP: Keep = Keep {
    count: defaults::WEBHOOK_KEEP_COUNT,
    age: Duration::from_secs(defaults::WEBHOOK_KEEP_AGE_S),
    bytes: defaults::WEBHOOK_KEEP_BYTES,
};

/// Goes on as long as somebody uses the webhooks.
pub(super) fn start(webhooks: &Arc<Webhooks>) {
    tokio::spawn(run(Arc::downgrade(webhooks)));
}

async fn run(webhooks: Weak<Webhooks>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // Held weakly while it sleeps: the task must not be what keeps the webhooks, and with them the broker, alive.
        let Some(webhooks) = webhooks.upgrade() else { return };
        if webhooks.broker.is_draining() {
            return;
        }
        if let Err(error) = webhooks.tick().await {
            tracing::warn!(%error, "webhooks: nothing is published late or forgotten at the moment");
        }
    }
}

impl Webhooks {
    async fn tick(self: &Arc<Self>) -> Result<(), StoreError> {
        let runtime = tokio::runtime::Handle::current();
        let this = self.clone();
        // The store blocks.
        let looked = tokio::task::spawn_blocking(move || {
            // Publishing spawns, which takes a runtime.
            let _inside = runtime.enter();
            this.publish_late()?;
            this.old(unix_ms())
        });
        let batches = looked.await.map_err(|error| StoreError::Io(error.to_string().into()))??;
        for batch in batches {
            self.broker.committer().keep(batch).await?;
        }
        Ok(())
    }

    /// The removal of some of what is old.
    fn old(&self, now_ms: u64) -> Result<Vec<Batch>, StoreError> {
        let mut batches = Vec::new();
        for name in self.retention.sources() {
            let keep = self.source(&name).map_or(KEEP, |source| source.keep);
            batches.extend(self.retention.prune(&name, &keep, now_ms));
            let age_ms = u64::try_from(keep.age.as_millis()).unwrap_or(u64::MAX);
            if let Some(batch) = self.retention.write_remembered(&name, now_ms.saturating_sub(age_ms)) {
                // Nobody waits for it.
                self.broker.committer().write_later(batch);
            }
        }
        let store = self.broker.committer().store();
        for (source, batch, removed) in self.seen.prune(&**store, seen::MOST, now_ms)? {
            self.seen.remove(&source, removed);
            batches.push(batch);
        }
        Ok(batches)
    }
}
