//! What all verbs work on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use dashmap::DashMap;
use fanwire_proto::{ClientId, Pattern, TopicName};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Policy, restoring::Restoring, revocations::Revocations};
use crate::{
    auth::Attempts,
    collab::{Conversions, NewVersions, Room},
    durable::{Durable, Run, Trouble},
    memory::{Accounts, Memory},
    metrics::Metrics,
    order::Order,
    shard::ShardHandle,
    store::Committer,
    tap::{Tap, Taps},
    topic::Topic,
    worker::Workers,
};

/// State shared by all doors.
pub struct Broker {
    pub(super) topics: DashMap<TopicName, Arc<Topic>>,
    pub(super) memory: Memory,
    pub(super) accounts: Accounts,
    /// Somebody may have to give something up.
    pub(super) pressed: Notify,
    pub(super) restoring: Restoring,
    /// The last topic on the disk that was looked at.
    pub(super) visited: Mutex<Option<TopicName>>,
    pub(super) durable: Arc<Durable>,
    pub(super) order: Order,
    /// Documents with clients that have a say about themselves.
    pub(super) rooms: DashMap<TopicName, Arc<Room>>,
    /// For what takes longer than a shard may.
    pub(super) workers: Workers,
    pub(super) conversions: Conversions,
    /// Numbers of versions that are on their way to the disk.
    pub(super) new_versions: NewVersions,
    /// Bytes of answers to single editors that were not read yet.
    pub(super) unread_answers: Arc<AtomicUsize>,
    pub(super) shards: Arc<[ShardHandle]>,
    pub(super) policy: ArcSwap<Policy>,
    pub(super) revoked: Revocations,
    pub(super) attempts: Attempts,
    pub(super) draining: AtomicBool,
    /// Publishes between their look at `draining` and their end.
    pub(super) publishing: AtomicU64,
    /// Random at the start, so that no epoch or client of an earlier process comes back.
    pub(super) next_epoch: AtomicU64,
    pub(super) next_client: AtomicU64,
    pub(super) taps: Arc<Taps>,
    /// Counts.
    pub metrics: Metrics,
}

impl Broker {
    /// A broker without topics in memory over these shards and this store.
    pub fn new(
        shards: Arc<[ShardHandle]>,
        policy: Policy,
        committer: Committer,
        run: Run,
        metrics: Metrics,
        workers: Workers,
    ) -> Result<Self, getrandom::Error> {
        let taps: Arc<Taps> = Arc::default();
        let durable = Arc::new(Durable::new(committer, shards.clone(), run, taps.clone()));
        let order = Order::new(shards.clone(), taps.clone(), durable.clone(), metrics.clone());
        Ok(Self {
            topics: DashMap::new(),
            memory: Memory::new(&policy.limits.memory),
            accounts: Accounts::default(),
            pressed: Notify::new(),
            restoring: Restoring::default(),
            visited: Mutex::default(),
            durable,
            order,
            rooms: DashMap::new(),
            workers,
            conversions: Conversions::default(),
            new_versions: NewVersions::default(),
            unread_answers: Arc::default(),
            shards,
            policy: ArcSwap::from_pointee(policy),
            revoked: Revocations::default(),
            attempts: Attempts::default(),
            draining: AtomicBool::new(false),
            publishing: AtomicU64::new(0),
            next_epoch: AtomicU64::new(getrandom::u64()?),
            next_client: AtomicU64::new(getrandom::u64()?),
            taps,
            metrics,
        })
    }

    /// The rules of the moment.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// What is behind topics.
    #[cfg(test)]
    pub(crate) fn order(&mut self) -> &mut Order {
        &mut self.order
    }

    /// Replaces the rules. Topics of the same kind adopt their new bounds at once; returns the names of those whose
    /// kind would change, which keep what they are until they are forgotten.
    pub fn reload(&self, policy: Policy) -> Vec<TopicName> {
        let policy = Arc::new(policy);
        self.memory.resize(&policy.limits.memory);
        // Before the topics are looked through: one in memory that is made meanwhile takes its rule from the new policy
        // (`insert`), one that was made before is found in the map.
        self.policy.store(policy.clone());
        let stuck = |entry: dashmap::mapref::multiple::RefMulti<'_, TopicName, Arc<Topic>>| {
            (!entry.adopt(&policy.rules.of(entry.key()))).then(|| entry.key().clone())
        };
        self.topics.iter().filter_map(stuck).collect()
    }

    /// What the broker may keep in memory, and how much of it is in use.
    pub const fn memory(&self) -> &Memory {
        &self.memory
    }

    /// A name for a new connection.
    pub fn new_client(&self) -> ClientId {
        // An odd factor visits every value once, so names do not show how many there were before.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        ClientId(self.next_client.fetch_add(1, Ordering::Relaxed).wrapping_mul(SPREAD))
    }

    /// The shard with the fewest connections, of those that work.
    pub fn least_loaded_shard(&self) -> Option<&ShardHandle> {
        self.working_shards().min_by_key(|shard| shard.connections())
    }

    /// The shards that do not stand still.
    pub(super) fn working_shards(&self) -> impl Iterator<Item = &ShardHandle> {
        self.shards.iter().filter(|shard| !shard.pulse().is_stalled())
    }

    /// Opens a tap on all topics that a pattern matches.
    pub fn tap(&self, pattern: Pattern) -> Tap {
        self.taps.open(pattern)
    }

    /// Why nothing durable is taken at the moment, if that is so. In memory everything goes on.
    pub fn trouble(&self) -> Option<Trouble> {
        self.durable.trouble()
    }

    /// The only way to write to the store.
    pub fn committer(&self) -> &Committer {
        self.durable.committer()
    }

    /// All shards.
    pub fn shards(&self) -> &[ShardHandle] {
        &self.shards
    }

    /// Refuses publishes and subscriptions from now on, and waits until those under way are done.
    pub fn start_draining(&self) {
        // The other half of what `try_publish` does; see there for the ordering.
        self.draining.store(true, Ordering::SeqCst);
        // A publish is over in microseconds, unless it reads its topic from the disk, and this happens once in a broker's
        // life: not worth a condition variable that every publish would have to touch.
        while self.publishing.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
    }

    /// Whether the broker is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }
}
