//! The locked part of a topic. Every method is one short critical section.

use std::sync::Arc;

use fanwire_proto::{Ack, ClientId, Epoch, Member, Message, Offset, Position, TopicName};

use super::{
    Asker, Changes, Draft, FeedRef, Glance, Keeping, KeyCount, KindRule, Members, Placed, Pulled, Receipt,
    Refusal, Rule, Summary, Taken, Unkept,
    dedupe::Dedupe,
    document::Document,
    kept::OnDisk,
    measure::take_batch,
    presence::Presence,
    store::Store,
    unkept::{Gathering, Waiting},
    weight::Weight,
};
use crate::defaults;

/// How far one shard is, for the subscribers behind one [`FeedRef`].
#[derive(Debug)]
pub(super) struct FeedState {
    pub(super) at: FeedRef,
    pub(super) subscribers: usize,
    pub(super) watchers: usize,
    pub(super) pulled: Offset,
    pub(super) pulled_changes: u64,
    /// Set from the notification to the pull.
    notified: bool,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) name: TopicName,
    pub(super) rule: Arc<Rule>,
    pub(super) epoch: Epoch,
    /// The last offset that subscribers may see.
    pub(super) last: Offset,
    /// The last offset that was handed out. Above `last` are messages that wait to become durable.
    pub(super) numbered: Offset,
    pub(super) store: Store,
    pub(super) feeds: Vec<FeedState>,
    pub(super) presence: Presence,
    pub(super) dedupe: Dedupe,
    pub(super) gathering: Gathering,
    pub(super) on_disk: OnDisk,
    pub(super) weight: Weight,
    pub(super) touched_ms: u64,
    /// When it last took a message; 0 for never.
    published_ms: u64,
    pub(super) closed: bool,
}

impl State {
    pub(super) fn new(name: TopicName, rule: Arc<Rule>, epoch: Epoch, now_ms: u64) -> Self {
        let dedupe = Dedupe::new(rule.keeping);
        Self {
            name,
            store: Store::new(&rule.kind),
            rule,
            epoch,
            last: Offset::ZERO,
            numbered: Offset::ZERO,
            feeds: Vec::new(),
            presence: Presence::default(),
            dedupe,
            gathering: Gathering::default(),
            on_disk: OnDisk::unknown(),
            weight: Weight::default(),
            touched_ms: now_ms,
            published_ms: 0,
            closed: false,
        }
    }

    pub(super) fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.last }
    }

    /// Under one lock with the publish that it is a condition of. What waits for the disk counts: it has its place.
    pub(super) fn check_base(&self, base: Position) -> Result<(), Refusal> {
        // Of a topic that there was not, nobody knows the epoch.
        let is_same = base.epoch == self.epoch || base.epoch == Epoch::FOREIGN;
        // After a crash more offsets may have been handed out than there are messages.
        let newest = if self.gathering.is_empty() { self.last } else { self.numbered };
        match is_same && base.offset == newest {
            true => Ok(()),
            false => Err(Refusal::Moved(Position { epoch: self.epoch, offset: newest })),
        }
    }

    pub(super) fn subscribers(&self) -> usize {
        self.feeds.iter().map(|feed| feed.subscribers).sum()
    }

    pub(super) fn publish(
        &mut self,
        draft: Draft,
        ack: Option<Ack>,
        asker: impl FnOnce() -> Asker,
        now_ms: u64,
        notify: impl FnMut(FeedRef),
    ) -> Result<Taken, Refusal> {
        // Also by what is refused: somebody uses it.
        self.touched_ms = now_ms;
        let durable = self.rule.keeping.is_durable();
        if ack == Some(Ack::Durable) && !durable {
            return Err(Refusal::NotDurable);
        }
        let waits = durable && ack != Some(Ack::Accepted);
        let message_id = draft.message_id.as_ref().map(|id| draft.by.scoped(id));
        // Before there has to be room: what comes again takes none, and its publisher has perhaps missed the answer.
        if let Some(id) = &message_id
            && let Some(offset) = self.dedupe.find(id, now_ms)
        {
            // The first one may be on its way to the disk still; then both wait for the same commit.
            let waits = waits && offset > self.on_disk.kept;
            return Ok(self.taken(offset, true, waits.then(asker), 0));
        }
        // In this order: making room takes older messages away, which must not be for one that is refused.
        self.check_room(&draft)?;
        self.make_room(&draft)?;
        // From here on nothing is refused, so no number is given out in vain.
        let offset = Offset(self.numbered.0 + 1);
        self.numbered = offset;
        self.published_ms = now_ms;
        // Before it is durable: whoever repeats it meanwhile waits for the same message.
        if let Some(id) = &message_id {
            self.dedupe.remember(id, offset, now_ms);
        }
        let not_to = draft.not_to;
        let message = self.message(draft, offset, now_ms);
        let dropped = match self.rule.keeping {
            Keeping::Memory => self.show(message, not_to),
            Keeping::DurableSeenEarly => {
                self.gathering.push(Unkept { message: message.clone(), message_id, not_to });
                self.show(message, not_to)
            }
            Keeping::Durable => {
                self.gathering.push(Unkept { message, message_id, not_to });
                0
            }
        };
        // Otherwise it waits for the disk, and the commit shows it and wakes the shards.
        if self.last == offset {
            self.prune(now_ms);
            self.notify_feeds(notify);
        }
        self.weigh();
        // Once for all that gathers until the commit begins.
        let begin_commit = durable && self.gathering.queue();
        Ok(Taken { begin_commit, ..self.taken(offset, false, waits.then(asker), dropped) })
    }

    /// The receipt is made now, unless somebody waits for the commit to make it.
    fn taken(&mut self, offset: Offset, duplicate: bool, waits: Option<Asker>, dropped: u64) -> Taken {
        let at = Position { epoch: self.epoch, offset };
        let receipt = match waits {
            None => Some(self.receipt(at, duplicate, dropped)),
            Some(asker) => {
                self.gathering.wait(Waiting { asker, at, duplicate });
                None
            }
        };
        Taken { at, duplicate, receipt, begin_commit: false }
    }

    pub(super) fn receipt(&self, at: Position, duplicate: bool, dropped: u64) -> Receipt {
        let Position { epoch, offset } = at;
        Receipt { epoch, offset, duplicate, subscribers: self.subscribers(), dropped }
    }

    fn message(&self, draft: Draft, offset: Offset, now_ms: u64) -> Message {
        Message {
            topic: self.name.clone(),
            offset,
            time: now_ms,
            payload: draft.payload,
            key: draft.key.map(Into::into),
            tags: draft.tags.map(Box::new),
            from: draft.from,
            skipped: 0,
        }
    }

    /// Puts a message where subscribers find it; returns how many older ones had to go for it.
    pub(super) fn show(&mut self, message: Message, not_to: Option<ClientId>) -> u64 {
        let offset = message.offset;
        // What was on its way to the disk when the topic was erased comes behind that, and takes nothing back.
        self.last = self.last.max(offset);
        let nobody_listens = self.feeds.is_empty();
        let placed = |message, count| Arc::new(Placed::new(message, count).except(not_to));
        match &mut self.store {
            Store::Log(log) => log.push(placed(message, KeyCount::default())),
            Store::Latest(latest) => {
                let key: Arc<str> = message.key.as_deref().unwrap_or_default().into();
                let count = latest.next_count(&key, offset);
                latest.put(&key, offset, placed(message, count));
            }
            Store::Document(document) => document.push(placed(message, KeyCount::default())),
            // It would stay: what is kept goes when it has been pulled, and nobody pulls.
            Store::Volatile(_) if nobody_listens => {}
            Store::Volatile(ring) => return ring.push(placed(message, KeyCount::default())),
        }
        0
    }

    /// Everything up to here has been taken over by every feed.
    pub(super) fn pulled_by_all(&self) -> Offset {
        self.feeds.iter().map(|feed| feed.pulled).min().unwrap_or(self.last)
    }

    pub(super) fn notify_feeds(&mut self, mut notify: impl FnMut(FeedRef)) {
        for feed in self.feeds.iter_mut().filter(|feed| !feed.notified) {
            feed.notified = true;
            notify(feed.at);
        }
    }

    pub(super) fn watched(&self) -> bool {
        self.feeds.iter().any(|feed| feed.watchers > 0)
    }

    pub(super) fn open_feed(&mut self, at: FeedRef) -> usize {
        if let Some(index) = self.feeds.iter().position(|feed| feed.at == at) {
            return index;
        }
        // Most topics have subscribers on one shard.
        self.feeds.reserve_exact(1);
        self.feeds.push(FeedState {
            at,
            subscribers: 0,
            watchers: 0,
            // What was there before comes with joining, or not at all.
            pulled: self.last,
            pulled_changes: self.presence.recorded(),
            notified: false,
        });
        self.feeds.len() - 1
    }

    pub(super) fn leave(
        &mut self,
        at: FeedRef,
        member: &Member,
        watching: bool,
        now_ms: u64,
        notify: impl FnMut(FeedRef),
    ) {
        self.touched_ms = now_ms;
        if let Some(index) = self.feeds.iter().position(|feed| feed.at == at) {
            let feed = &mut self.feeds[index];
            feed.subscribers -= 1;
            feed.watchers -= usize::from(watching);
            if feed.subscribers == 0 {
                self.feeds.swap_remove(index);
                self.release();
            }
        }
        if self.rule.presence {
            // Without whoever leaves: nobody is told of its own going.
            let watched = self.watched();
            self.presence.leave(&self.name, member.client, watched);
            if watched {
                self.notify_feeds(notify);
            }
        }
        self.weigh();
    }

    /// A subscriber is somebody else from now on.
    pub(super) fn identify(&mut self, member: &Member, notify: impl FnMut(FeedRef)) {
        let watched = self.watched();
        if self.presence.identify(&self.name, member, watched) && watched {
            self.notify_feeds(notify);
        }
    }

    pub(super) fn pull(&mut self, at: FeedRef, budget: usize) -> Option<Pulled> {
        let recorded = self.presence.recorded();
        let feed = self.feeds.iter_mut().find(|feed| feed.at == at)?;
        // Under the lock of the look: what is published after it marks the feed again.
        feed.notified = false;
        let messages = match &self.store {
            Store::Log(log) => log.batch_after(feed.pulled, budget),
            Store::Document(document) => document.log.batch_after(feed.pulled, budget),
            Store::Volatile(ring) => ring.batch_after(feed.pulled, budget),
            Store::Latest(latest) => {
                take_batch(latest.values.after(feed.pulled).map(|(_, value)| value), budget)
            }
        };
        let more = messages.last().is_some_and(|last| last.message.offset < self.last);
        // Without more, the newest offset, whose message may be gone by now: replaced, expired or dropped.
        feed.pulled = if more { messages[messages.len() - 1].message.offset } else { self.last };
        let upto = feed.pulled;
        let changes = match feed.watchers {
            0 => Some(Changes::default()),
            _ => self.presence.after(feed.pulled_changes, defaults::PASS_CHANGES),
        };
        feed.pulled_changes = match &changes {
            Some(changes) if feed.watchers > 0 => changes.before + changes.list.len() as u64,
            // Nobody watches, or some were lost: then its watchers end, and hear no more of them.
            _ => recorded,
        };
        let more = more || feed.pulled_changes < recorded;
        // Marked while there is more: the shard comes back by itself, and would be woken for nothing.
        feed.notified = more;
        self.release();
        Some(Pulled { messages, upto, changes, more })
    }

    /// Lets go of what only a shard's position held.
    fn release(&mut self) {
        let pinned_after = self.pulled_by_all();
        if let Store::Volatile(ring) = &mut self.store {
            ring.prune(pinned_after);
        }
        let seen = self.feeds.iter().filter(|feed| feed.watchers > 0).map(|feed| feed.pulled_changes).min();
        self.presence.prune(seen.unwrap_or(self.presence.recorded()));
        self.weigh();
    }

    pub(super) fn has_key(&self, key: &str) -> bool {
        matches!(&self.store, Store::Latest(latest) if latest.values.get(key).is_some())
    }

    pub(super) fn members(&self) -> Option<Members> {
        self.rule.presence.then(|| Members {
            members: self.presence.members(),
            clients: self.presence.clients(),
            users: self.presence.users(),
        })
    }

    pub(super) fn glance(&self) -> Glance {
        Glance {
            position: self.position(),
            subscribers: self.subscribers(),
            published_ms: (self.published_ms > 0).then_some(self.published_ms),
        }
    }

    pub(super) fn summary(&mut self, now_ms: u64) -> Summary {
        self.prune(now_ms);
        Summary {
            position: self.position(),
            subscribers: self.subscribers(),
            present: self.rule.presence.then(|| (self.presence.clients(), self.presence.users())),
            messages: match &self.store {
                Store::Log(log) | Store::Document(Document { log, .. }) => log.messages.len(),
                Store::Latest(latest) => latest.values.len(),
                Store::Volatile(_) => 0,
            },
            rule: self.rule.clone(),
        }
    }

    pub(super) fn adopt(&mut self, rule: &Arc<Rule>) -> bool {
        let same_kind = match (&self.rule.kind, &rule.kind) {
            (KindRule::Log(_), KindRule::Log(_))
            | (KindRule::Latest { .. }, KindRule::Latest { .. })
            | (KindRule::Document(_), KindRule::Document(_)) => {
                (self.rule.presence, self.rule.keeping) == (rule.presence, rule.keeping)
            }
            // `Topic` has a volatile topic's tick outside the lock, where it stays as it is.
            _ => self.rule == *rule,
        };
        if same_kind {
            self.rule = rule.clone();
        }
        same_kind
    }
}
