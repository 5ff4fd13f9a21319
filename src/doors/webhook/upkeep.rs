//! What goes on in the background: publishing what could not be published, writing what was rejected, and forgetting what
//! is old.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{
    Webhooks,
    retention::Retention,
    seen::{self, Seen},
};
use crate::{
    clock::unix_ms,
    defaults,
    provider::Keep,
    store::{Batch, Committer, StoreError},
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
            this.take_old(unix_ms());
            let store = this.broker.committer().store();
            this.seen.prune(&**store, seen::MOST, unix_ms())
        });
        let ended = looked.await.map_err(|error| StoreError::Io(error.to_string().into()))??;
        forget(self.broker.committer(), &self.retention, &self.seen, ended).await
    }

    /// Takes some of what is old out of memory.
    fn take_old(&self, now_ms: u64) {
        let mut removals = self.retention.removals.lock();
        // While the store forgets nothing, no more than this is remembered for it.
        let goes_on = removals.is_empty();
        for name in self.retention.sources() {
            let keep = self.source(&name).map_or(KEEP, |source| source.keep);
            if goes_on {
                removals.extend(self.retention.prune(&name, &keep, now_ms));
            }
            let age_ms = u64::try_from(keep.age.as_millis()).unwrap_or(u64::MAX);
            if let Some(batch) = self.retention.write_remembered(&name, now_ms.saturating_sub(age_ms)) {
                // Nobody waits for it.
                self.broker.committer().write_later(batch);
            }
        }
    }
}

/// Makes the store forget what was taken out of memory, and names of deliveries that have ended. What fails keeps nothing
/// else from being tried.
async fn forget(
    committer: &Committer,
    retention: &Retention,
    seen: &Seen,
    ended: Vec<(String, Batch, usize)>,
) -> Result<(), StoreError> {
    let mut outcome = Ok(());
    let removals = std::mem::take(&mut *retention.removals.lock());
    for batch in removals {
        if let Err(error) = committer.keep(batch.clone()).await {
            // Nothing in memory names it any more, so it is tried again until the store has forgotten it.
            retention.removals.lock().push(batch);
            outcome = Err(error);
        }
    }
    for (source, batch, count) in ended {
        match committer.keep(batch).await {
            Ok(()) => seen.remove(&source, count),
            // They are found again, unless they were made known once more meanwhile.
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doors::webhook::record::{DeliveryId, Entry},
        provider::Keep,
        store::{Fault, Faulty, Memory, Pace, Space, Store},
    };

    #[tokio::test]
    async fn what_the_store_did_not_forget_is_tried_again_and_keeps_nothing_else_back() {
        let store = Arc::new(Faulty::new(Arc::new(Memory::default())));
        let (retention, seen) = (Retention::default(), Seen::default());
        let ids = ["a", "b"].map(|source| DeliveryId::new(source, 1_000, 1));
        let mut kept = Batch::default();
        for id in &ids {
            kept.put(Space::Deliveries, Entry::Head.key(id), "{}");
            retention.add(id, 2);
        }
        seen::remember(&mut kept, "a", &[7; 32], 2_000);
        seen.add("a", 1);
        let pace = Pace { delay: Duration::ZERO, messages: 1 };
        let (committer, thread) = Committer::start(store.clone(), pace, kept).unwrap();
        let left = || {
            let has = |id| store.get(Space::Deliveries, &Entry::Head.key(id)).unwrap().is_some();
            ids.iter().filter(|id| has(id)).count()
        };
        let none = Keep { count: 0, age: Duration::ZERO, bytes: 0 };
        let removals = ids.iter().filter_map(|id| retention.prune(&id.source, &none, 5_000));
        *retention.removals.lock() = removals.collect();
        let ended = seen.prune(&*store, seen::MOST, 5_000).unwrap();

        store.fault(1, Fault::Before(StoreError::Io("no".into())));
        assert!(forget(&committer, &retention, &seen, ended).await.is_err());
        assert_eq!((left(), retention.removals.lock().len()), (1, 1));
        assert!(!seen::is_known(&*store, &[7; 32], 0).unwrap(), "tried all the same");
        assert!(forget(&committer, &retention, &seen, Vec::new()).await.is_ok());
        assert_eq!((left(), retention.removals.lock().len()), (0, 0));
        committer.close();
        thread.join().unwrap();
    }
}
