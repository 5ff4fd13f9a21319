//! A topic as everybody else has it: its state behind a lock, held for one short section at a time.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fanwire_proto::{Ack, Epoch, HistoryReply, Kind, Member, Message, Offset, Position, TopicName};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{
    Asker, CatchUp, Draft, FeedRef, Glance, HistoryQuery, JoinRequest, Joined, Keeping, KindRule, Members,
    NotPublished, Placed, Pulled, Refusal, Restored, Rule, Settled, Summary, Taken, Updates, Writing,
    state::State, store::Store, wakes::Wakes,
};
use crate::memory::{Charge, Memory, Owner};

/// A named channel with its content.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// What it promises.
    pub kind: Kind,
    /// Kind `volatile`: messages are gathered for this long; otherwise zero.
    pub tick: Duration,
    /// Whether its content outlives the process.
    pub keeping: Keeping,
    /// Short sections only, see the documentation of [`topic`](super).
    state: Mutex<State>,
}

impl Topic {
    /// A topic without content. `epoch` must never have been used for this name before.
    pub fn new(name: TopicName, rule: Arc<Rule>, epoch: Epoch, now_ms: u64) -> Self {
        Self::of(State::new(name, rule, epoch, now_ms))
    }

    /// A durable topic as it was found.
    pub fn restore(name: TopicName, rule: Arc<Rule>, restored: Restored, now_ms: u64) -> Self {
        Self::of(State::restore(name, rule, restored, now_ms))
    }

    /// Has it weigh on the memory, and on whoever made it, for as long as it lives.
    pub fn weigh_on(mut self, memory: &Memory, charge: Option<Charge>) -> Self {
        // Nobody else has it yet, so there is no lock to take.
        self.state.get_mut().weigh_on(memory, charge);
        self
    }

    /// How many bytes it takes, and who is charged with them.
    pub fn weight(&self) -> (usize, Option<Owner>) {
        let state = self.state.lock();
        (state.weight.bytes(), state.weight.owner().cloned())
    }

    /// Kind `document`: how many bytes its content takes.
    pub fn document_bytes(&self) -> usize {
        match &self.state.lock().store {
            Store::Document(document) => document.bytes(),
            _ => 0,
        }
    }

    /// Gives up what it may not keep while memory is short.
    pub fn give_up(&self, now_ms: u64) {
        let mut state = self.state.lock();
        state.prune(now_ms);
        state.weigh();
    }

    fn of(state: State) -> Self {
        let tick = match state.rule.kind {
            KindRule::Volatile { tick } => tick.unwrap_or_default(),
            KindRule::Log(_) | KindRule::Latest { .. } | KindRule::Document(_) => Duration::ZERO,
        };
        let (kind, keeping) = (state.rule.kind.kind(), state.rule.keeping);
        // What never changes is beside the lock: it is asked with every pass and every publish.
        Self { name: state.name.clone(), kind, tick, keeping, state: Mutex::new(state) }
    }

    /// Does something under the lock, and wakes whoever has to pull then once it is released.
    fn then_wake<T>(
        &self,
        notify: impl FnMut(FeedRef),
        work: impl FnOnce(&mut State, &mut Wakes<FeedRef>) -> T,
    ) -> T {
        let mut wakes = Wakes::default();
        // The guard ends with this statement: a shard that is woken wants the same lock first of all.
        let outcome = work(&mut self.state.lock(), &mut wakes);
        wakes.fire(notify);
        outcome
    }

    /// Numbers a message and keeps it, or has it wait for the disk; `notify` gets each feed that has to pull now.
    /// `asker` is asked for only if the receipt comes later.
    pub fn publish(
        &self,
        draft: Draft,
        ack: Option<Ack>,
        asker: impl FnOnce() -> Asker,
        now_ms: u64,
        notify: impl FnMut(FeedRef),
    ) -> Result<Taken, NotPublished> {
        let mut wakes = Wakes::default();
        let mut state = self.state.lock();
        if state.closed {
            return Err(NotPublished::Closed(Box::new(draft)));
        }
        let taken = state.publish(draft, ack, asker, now_ms, |feed| wakes.push(feed));
        drop(state);
        wakes.fire(notify);
        Ok(taken?)
    }

    /// The same, on condition that the topic's last message is the one at `base`, whether it is durable yet or not.
    pub fn publish_on(
        &self,
        base: Position,
        draft: Draft,
        ack: Option<Ack>,
        asker: impl FnOnce() -> Asker,
        now_ms: u64,
        notify: impl FnMut(FeedRef),
    ) -> Result<Taken, NotPublished> {
        self.then_wake(notify, |state, wakes| {
            if state.closed {
                return Err(NotPublished::Closed(Box::new(draft)));
            }
            state.check_base(base)?;
            Ok(state.publish(draft, ack, asker, now_ms, |feed| wakes.push(feed))?)
        })
    }

    /// What a commit that begins now has to write. Only one at a time, and each ends with
    /// [`committed`](Self::committed) or [`not_committed`](Self::not_committed).
    pub fn begin_commit(&self) -> Writing {
        self.state.lock().begin_commit()
    }

    /// What was written is durable. Returns who is to be told so. Whether another commit has to begin, the topic
    /// [says](Self::wants_commit).
    pub fn committed(&self, writing: Writing, now_ms: u64, notify: impl FnMut(FeedRef)) -> Vec<Settled> {
        self.then_wake(notify, |state, wakes| state.committed(writing, now_ms, |feed| wakes.push(feed)))
    }

    /// What was to be written is not durable. The same as for [`committed`](Self::committed).
    pub fn not_committed(&self, writing: Writing) -> Vec<Settled> {
        self.state.lock().not_committed(writing)
    }

    /// Whether the topic has to be queued for a commit now, for messages that wait or for what it has removed. Whoever is
    /// told so has to see to it: nobody else is until that commit begins.
    pub fn wants_commit(&self) -> bool {
        self.state.lock().wants_commit()
    }

    /// Whether [`publish`](Self::publish) would take the message at this moment.
    pub fn check(&self, draft: &Draft) -> Result<(), Refusal> {
        self.state.lock().check_room(draft)
    }

    /// Adds a subscriber. Its feed is opened if it is the first one there.
    pub fn join(
        &self,
        request: JoinRequest,
        now_ms: u64,
        notify: impl FnMut(FeedRef),
    ) -> Result<Joined, Refusal> {
        self.then_wake(notify, |state, wakes| state.join(request, now_ms, |feed| wakes.push(feed)))
    }

    /// Removes a subscriber; its feed is closed with the last one.
    pub fn leave(
        &self,
        feed: FeedRef,
        member: &Member,
        watching: bool,
        now_ms: u64,
        notify: impl FnMut(FeedRef),
    ) {
        let leave = |state: &mut State, wakes: &mut Wakes<FeedRef>| {
            state.leave(feed, member, watching, now_ms, |feed| wakes.push(feed));
        };
        self.then_wake(notify, leave);
    }

    /// A subscriber is somebody else from now on: its members change, and those who watch them are told.
    pub fn identify(&self, member: &Member, notify: impl FnMut(FeedRef)) {
        self.then_wake(notify, |state, wakes| state.identify(member, |feed| wakes.push(feed)));
    }

    /// Kind `latest`: removes what is no key of the topic.
    pub fn retain_keys<V>(&self, map: &mut FxHashMap<Arc<str>, V>) {
        // Once for as many keys as were added since the last time: one lock for each would take longer.
        let state = self.state.lock();
        map.retain(|key, _| state.has_key(key));
    }

    /// Hands a feed what came since its last pull, at most about `budget` bytes of frames; `None` if the topic does
    /// not know the feed.
    pub fn pull(&self, feed: FeedRef, budget: usize) -> Option<Pulled> {
        self.state.lock().pull(feed, budget)
    }

    /// Kind `log`: what comes after a position, at most about `budget` payload bytes.
    pub fn catch_up(&self, after: Offset, budget: usize) -> CatchUp {
        self.state.lock().catch_up(after, budget)
    }

    /// Kind `document`: its updates in order; the first may stand for many.
    pub fn updates(&self) -> Updates {
        self.state.lock().updates()
    }

    /// Kind `document`: whether its updates are to be merged now. After `true` the caller has to see to
    /// [`merged`](Self::merged) or [`not_merged`](Self::not_merged).
    pub fn claim_merge(&self, now_ms: u64) -> bool {
        self.state.lock().claim_merge(now_ms)
    }

    /// Kind `document`: what is to be merged.
    pub fn mergeable(&self) -> Updates {
        self.state.lock().mergeable()
    }

    /// Kind `document`: replaces the updates up to an offset by one that stands for all of them but those `apart`.
    pub fn merged(&self, upto: Position, state: Bytes, apart: &[Offset]) {
        self.state.lock().merged(upto, state, apart);
    }

    /// Kind `document`: forgets its content and goes on in another epoch, which must never have been used for it.
    pub fn erase(&self, epoch: Epoch) {
        self.state.lock().erase(epoch);
    }

    /// Kind `document`: its updates were not merged, and are not before there are so many. One that failed is set aside: its
    /// updates are kept and passed on as they came.
    pub fn not_merged(&self, epoch: Epoch, patience: usize, failed: bool) {
        self.state.lock().not_merged(epoch, patience, failed);
    }

    /// Kind `document`: whether it is kept as it came because it could not be merged.
    pub fn is_set_aside(&self) -> bool {
        self.state.lock().is_set_aside()
    }

    /// Reads the history.
    pub fn history(&self, query: &HistoryQuery, now_ms: u64) -> HistoryReply {
        let (mut reply, messages) = self.state.lock().history(query, now_ms);
        reply.messages = owned(&messages);
        reply
    }

    /// Who is subscribed, unless the rule keeps no presence.
    pub fn members(&self) -> Option<Members> {
        let mut found = self.state.lock().members()?;
        found.members.sort_unstable_by_key(|member| member.client);
        Some(found)
    }

    /// Whether the rule keeps presence.
    pub fn keeps_presence(&self) -> bool {
        self.state.lock().rule.presence
    }

    /// Counts and bounds.
    pub fn summary(&self, now_ms: u64) -> Summary {
        self.state.lock().summary(now_ms)
    }

    /// Where the topic is and how many listen.
    pub fn glance(&self) -> Glance {
        self.state.lock().glance()
    }

    /// The topic's last position.
    pub fn position(&self) -> Position {
        self.state.lock().position()
    }

    /// How many subscribers there are.
    pub fn subscribers(&self) -> usize {
        self.state.lock().subscribers()
    }

    /// Replaces the bounds by those of another rule of the same kind; false for another kind.
    pub fn adopt(&self, rule: &Arc<Rule>) -> bool {
        self.state.lock().adopt(rule)
    }

    /// Removes what is too old. Returns true once the topic is empty or on the disk, unused for `idle_ms` (at all, while memory for
    /// it is short), and closed: from then on it refuses everything and may be forgotten.
    pub fn expire(&self, now_ms: u64, idle_ms: u64) -> bool {
        self.state.lock().expire(now_ms, idle_ms)
    }
}

/// Copies for replies; deliveries borrow instead.
fn owned(messages: &[Arc<Placed>]) -> Vec<Message> {
    messages.iter().map(|entry| entry.message.clone()).collect()
}
