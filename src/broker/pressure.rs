//! What happens while memory for topics is short: whoever keeps the most gives up the oldest of it, or gets no more.

use std::{sync::Arc, time::Duration};

use rustc_hash::FxHashMap;

use super::Broker;
use crate::{
    defaults,
    memory::{Account, Class, Owner},
    topic::Keeping,
};

impl Broker {
    /// The account of whoever makes a topic, and how many it may make.
    pub(super) fn account(&self, owner: &Owner) -> (Arc<Account>, usize) {
        let limits = &self.policy.load().limits;
        let bytes = self.memory.share(Class::Topics).limit();
        let documents = self.memory.share(Class::Documents).limit();
        let (user, of_user) =
            (bytes / defaults::MEMORY_USER_SHARE, documents / defaults::DOCUMENTS_USER_SHARE);
        let (topics, bytes, documents) = match owner {
            // Held by the bound of all.
            Owner::Broker => (limits.max_topics, bytes, usize::MAX),
            // Its topics are everybody's.
            Owner::Key(_) => (limits.max_topics.div_ceil(2), user * 2, documents / 2),
            Owner::User(_) => (limits.max_topics_per_owner, user, of_user),
            // There may be many users behind it.
            Owner::Source(_) | Owner::Address(_) => (limits.max_topics_per_owner, user * 2, of_user * 2),
        };
        (self.accounts.of(owner, bytes, documents), topics)
    }

    /// Has [`make_room`](Self::make_room) called soon if memory for topics or documents has become short.
    pub(super) fn note_pressure(&self) {
        let is_new = |class| {
            let share = self.memory.share(class);
            // A level that was found already is looked at anew by the sweep; only the first moment is worth a wake-up per
            // publish.
            share.is_tight() && share.level() == usize::MAX
        };
        if is_new(Class::Topics) || is_new(Class::Documents) {
            self.pressed.notify_one();
        }
    }

    /// Waits until memory is short, at least for a moment: looking for what can be given up takes time itself.
    pub async fn pressed(&self) {
        // `Notify` keeps one permit, so what is noted while somebody sleeps below is seen by the next call, and a burst
        // of notes is one.
        self.pressed.notified().await;
        tokio::time::sleep(Duration::from_millis(defaults::MAKE_ROOM_MS)).await;
    }

    /// While topics, or those of one owner, take more than three quarters of what they may, has those in memory that take
    /// the most give up their oldest messages; while documents do, finds how much each owner may have of them.
    pub fn make_room(&self, now_ms: u64) {
        self.level_documents();
        let share = self.memory.share(Class::Topics);
        let was_short = share.level() != usize::MAX;
        // Lifts all levels: whoever had to give something up may keep everything again.
        if !share.is_tight() && !self.accounts.any_is_tight() {
            share.find_level(&[]);
            self.accounts.find_levels(&FxHashMap::default());
            return;
        }
        let (mut all, mut of_owner) = (Vec::new(), FxHashMap::<Owner, Vec<usize>>::default());
        for entry in &self.topics {
            let (bytes, owner) = entry.weight();
            all.push(bytes);
            if let Some(owner) = owner {
                of_owner.entry(owner).or_default().push(bytes);
            }
        }
        share.find_level(&all);
        let any = self.accounts.find_levels(&of_owner);
        if share.level() == usize::MAX && !any {
            return;
        }
        if share.level() != usize::MAX && !was_short {
            tracing::warn!(
                used = share.used(),
                limit = share.limit(),
                each = share.level(),
                "memory for topics is short: the longest histories in memory lose their oldest messages"
            );
        }
        // Durable histories are not cut for this: they are on the disk by their rule, and once unused leave memory as a
        // whole.
        for entry in self.topics.iter().filter(|entry| entry.keeping == Keeping::Memory) {
            entry.give_up(now_ms);
        }
    }
}
