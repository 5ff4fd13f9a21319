//! What a topic is: numbering, content, members, and how far each shard has taken them over.
//!
//! Shards *pull*. A publish numbers a message, keeps it, and marks every [`Feed`](FeedRef) (a shard's share of the
//! subscribers) that is not marked yet; the shard then takes everything since its last pull. So an inbox holds a topic
//! at most once, a burst is one pull, and the history is the only queue.
//!
//! What a message looks like to a subscriber is not known here: a message only carries a place for its bytes.
//!
//! Pure but for its lock: no clock, no I/O, no waiting. The lock is held for a few hundred nanoseconds and never
//! across another lock or an `.await`; what must happen outside (a wake-up) is handed out as a [`FeedRef`].

mod commit;
#[cfg(test)]
mod conditions_model;
mod conflated;
mod dedupe;
mod document;
#[cfg(test)]
mod durable_model;
mod kept;
mod placed;
mod presence;
#[cfg(test)]
mod resume_model;
mod rule;
mod state;
mod store;
mod subscribe;
mod unkept;
mod wakes;
mod weight;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fanwire_proto::{
    Ack, ClientId, Epoch, HistoryReply, Member, Message, Offset, Payload, Position, Tags, TopicName,
};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

pub use conflated::Conflated;
pub use fanwire_proto::Kind;
pub use kept::{Block, Head, Restored, Writing};
pub use placed::{KeyCount, Placed};
pub use presence::{Changes, PresenceChange};
pub use rule::{Keeping, KindRule, Merging, Retention, Rule, Rules};
use state::State;
pub use subscribe::{JoinRequest, Joined};
pub use unkept::{Asker, Settled, Unkept};
use wakes::Wakes;

use crate::memory::{Charge, Memory, Owner};

/// Which shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ShardId(pub usize);

/// A shard's share of a topic's subscribers, or of those with the same `max_rate`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FeedRef {
    /// The shard.
    pub shard: ShardId,
    /// Its name for the feed.
    pub slot: u32,
}

/// A message before it has a place.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The content.
    pub payload: Payload,
    /// Kind `latest`: which value it replaces.
    pub key: Option<String>,
    /// Makes the publish idempotent.
    pub message_id: Option<String>,
    /// Labels.
    pub tags: Option<Tags>,
    /// Who publishes, as subscribers get to see it.
    pub from: Option<Member>,
    /// The client that does not get it.
    pub not_to: Option<ClientId>,
    /// Who publishes, for what is kept of it: a topic that it makes, its message id.
    pub by: Owner,
}

/// Where a message went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The topic's epoch.
    pub epoch: Epoch,
    /// The message's place.
    pub offset: Offset,
    /// Whether it had been published before.
    pub duplicate: bool,
    /// How many subscribers the topic has.
    pub subscribers: usize,
    /// Messages that a volatile topic dropped to make room.
    pub dropped: u64,
}

/// A message that a topic has taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Where it went.
    pub receipt: Receipt,
    /// Whether the asker will be told later; otherwise what was asked for is true already.
    pub waits: bool,
    /// Whether the topic has to be queued for a commit.
    pub begin_commit: bool,
}

/// Why a topic took no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The topic was forgotten between looking it up and this; look it up again.
    #[error("the topic was just closed")]
    Closed,
    /// Shards have too much still to take over.
    #[error("subscribers of this topic are served more slowly than it is published to")]
    Overloaded,
    /// Kind `latest` has as many keys as it may.
    #[error("the topic has {0} keys already, the most it may have")]
    TooManyKeys(usize),
    /// Kind `document`: it is as large as it may be.
    #[error("the document has the {0} bytes that it may have")]
    DocumentFull(usize),
    /// A key on a kind without keys.
    #[error("`key` is for topics of kind `latest`")]
    KeyNotWanted,
    /// Kind `document`: all of them together are as large as they may be.
    #[error("all documents together have the {0} bytes that they may have in memory")]
    DocumentsFull(usize),
    /// All topics together are as large as they may be.
    #[error("all topics together have the {0} bytes that they may have of `max_memory_bytes`")]
    TopicsFull(usize),
    /// Those of the publisher are.
    #[error(
        "the topics that this publisher has made have the {0} bytes that they may have of `max_memory_bytes`"
    )]
    OwnerFull(usize),
    /// It is not where the publisher takes it to be.
    #[error("the topic is at {}:{}", .0.epoch, .0.offset)]
    Moved(Position),
    /// A durable acknowledgement from a topic that is not.
    #[error("the rule of this topic does not make it durable, so `ack` cannot be `durable`")]
    NotDurable,
}

/// Why a publish did not happen.
#[derive(Debug, thiserror::Error)]
pub enum NotPublished {
    /// The topic was forgotten between looking it up and this; look it up again and publish what is given back.
    #[error("the topic was just closed")]
    Closed(Box<Draft>),
    /// The topic refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What a shard takes over in one go.
#[derive(Debug)]
pub struct Pulled {
    /// Messages in offset order.
    pub messages: Vec<Arc<Placed>>,
    /// The shard now has everything up to here.
    pub upto: Offset,
    /// Joins and leaves; `None` when some were lost.
    pub changes: Option<Changes>,
    /// Whether another pull would find more.
    pub more: bool,
}

/// The content of a document.
#[derive(Debug)]
pub struct Updates {
    /// In offset order.
    pub updates: Vec<Arc<Placed>>,
    /// Where they end.
    pub position: Position,
}

/// What a subscriber that fell behind gets next.
#[derive(Debug)]
pub struct CatchUp {
    /// The hole before the messages: from the position asked about to the first offset there is.
    pub gap: Option<Offset>,
    /// Messages in offset order.
    pub messages: Vec<Arc<Placed>>,
    /// Where the subscriber stands after them.
    pub upto: Offset,
    /// The topic's epoch.
    pub epoch: Epoch,
}

/// Counts for `presence` replies.
#[derive(Debug)]
pub struct Members {
    /// One entry per client.
    pub members: Vec<Member>,
    /// How many clients.
    pub clients: usize,
    /// How many different users.
    pub users: usize,
}

/// A topic at a glance.
#[derive(Debug)]
pub struct Summary {
    /// Its last position.
    pub position: Position,
    /// How many subscribers it has.
    pub subscribers: usize,
    /// How many clients and how many different users those are, unless the rule keeps no presence.
    pub present: Option<(usize, usize)>,
    /// How many messages or values it holds for readers.
    pub messages: usize,
    /// What it promises and keeps.
    pub rule: Arc<Rule>,
}

/// What a topic tells at so little cost that ten thousand can be asked every second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Glance {
    /// The topic's last position.
    pub position: Position,
    /// How many subscribers it has.
    pub subscribers: usize,
    /// When it last took a message, in milliseconds since 1970.
    pub published_ms: Option<u64>,
}

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
    /// Short sections only, see the module's documentation.
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
        self.state.get_mut().weigh_on(memory, charge);
        self
    }

    /// How many bytes it takes, and who is charged with them.
    pub fn weight(&self) -> (usize, Option<Owner>) {
        let state = self.state.lock();
        (state.weight.bytes(), state.weight.owner().cloned())
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
        Self { name: state.name.clone(), kind, tick, keeping, state: Mutex::new(state) }
    }

    /// Does something under the lock, and wakes whoever has to pull then once it is released.
    fn then_wake<T>(
        &self,
        notify: impl FnMut(FeedRef),
        work: impl FnOnce(&mut State, &mut Wakes<FeedRef>) -> T,
    ) -> T {
        let mut wakes = Wakes::default();
        let outcome = work(&mut self.state.lock(), &mut wakes);
        wakes.fire(notify);
        outcome
    }

    /// Numbers a message and keeps it, or has it wait for the disk; `notify` gets each feed that has to pull now.
    /// `asker` is asked for only if the topic has something to tell later.
    pub fn publish(
        &self,
        draft: Draft,
        ack: Option<Ack>,
        asker: impl FnOnce() -> Option<Asker>,
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
        asker: impl FnOnce() -> Option<Asker>,
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

    /// What was written is durable. Returns who waited for it, and whether the topic has to be queued for another commit.
    pub fn committed(
        &self,
        writing: Writing,
        now_ms: u64,
        notify: impl FnMut(FeedRef),
    ) -> (Vec<Settled>, bool) {
        self.then_wake(notify, |state, wakes| state.committed(writing, now_ms, |feed| wakes.push(feed)))
    }

    /// What was to be written is not durable. The same as for [`committed`](Self::committed).
    pub fn not_committed(&self, writing: Writing) -> (Vec<Settled>, bool) {
        self.state.lock().not_committed(writing)
    }

    /// Whether the topic has to be queued for a commit because of what it has removed.
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
    pub fn not_merged(&self, patience: usize, failed: bool) {
        self.state.lock().not_merged(patience, failed);
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

    /// Removes what is too old. Returns true once the topic is empty, unused for `idle_ms`, and closed: from then on
    /// it refuses everything and may be forgotten.
    pub fn expire(&self, now_ms: u64, idle_ms: u64) -> bool {
        self.state.lock().expire(now_ms, idle_ms)
    }
}

/// What to read of a history.
#[derive(Clone, Copy, Debug)]
pub struct HistoryQuery {
    /// After (backwards: before) this position.
    pub since: Option<Position>,
    /// Most messages.
    pub limit: usize,
    /// Newest first.
    pub reverse: bool,
}

/// Copies for replies; deliveries borrow instead.
fn owned(messages: &[Arc<Placed>]) -> Vec<Message> {
    messages.iter().map(|entry| entry.message.clone()).collect()
}
