//! Documents: who is in one, what a client lacks of it, and merging its updates.

use std::sync::{Arc, atomic::AtomicUsize};

use dashmap::Entry;
use fanwire_proto::{Offset, Payload, TopicName};
use rustc_hash::FxHashMap;

use super::{Broker, PublishError, sweep::as_gauge};
use crate::{
    collab::{self, Room},
    document::coverage::Coverage,
    memory::{Class, Owner},
    topic::{Asker, Draft, FeedRef, Kind, Refusal, Topic},
};

impl Broker {
    /// What the clients of a document share, made if need be. It lasts as long as somebody has it.
    pub fn room(&self, document: &TopicName, now_ms: u64) -> Arc<Room> {
        // The entry's lock spans looking and making, and `sweep_documents` counts references under the same lock: nobody
        // is handed a room that is just being forgotten.
        match self.rooms.entry(document.clone()) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(place) => {
                place.insert(Arc::new(Room::new(self.new_epoch(), now_ms))).value().clone()
            }
        }
    }

    /// The room of a document, if there is one.
    pub fn find_room(&self, document: &TopicName) -> Option<Arc<Room>> {
        self.rooms.get(document).map(|entry| entry.value().clone())
    }

    /// Wakes a feed's shard.
    pub fn notify(&self, feed: FeedRef) {
        self.shards[feed.shard.0].notify(feed);
    }

    /// Refuses while all documents together are as large as they may be.
    pub(super) fn check_documents(&self) -> Result<(), Refusal> {
        let share = self.memory.share(Class::Documents);
        if share.used() < share.limit() { Ok(()) } else { Err(Refusal::DocumentsFull(share.limit())) }
    }

    /// Refuses one more document in memory: to everybody while there is no room, and from three quarters on to those who have the
    /// most.
    pub(super) fn check_newcomer(&self, owner: &Owner) -> Result<(), Refusal> {
        self.check_documents()?;
        self.note_pressure();
        let share = self.memory.share(Class::Documents);
        match self.account(owner).0.documents.used() > share.level() {
            true => Err(Refusal::DocumentsTight(share.limit())),
            false => Ok(()),
        }
    }

    /// Does something that takes long, for somebody who waits; not more than a few at a time for each.
    pub fn join_later(&self, document: &TopicName, work: impl FnOnce() + Send + 'static) {
        self.workers.joins.submit(document, work);
    }

    /// Bytes of answers that were made for one editor each and are not read yet.
    pub fn unread_answers(&self) -> Arc<AtomicUsize> {
        self.unread_answers.clone()
    }

    /// Publishes what a client has of a document, unless all of it is there. Clients send all deletions whenever they
    /// connect, and that is mostly nothing new.
    pub fn offer(&self, topic: &Topic, draft: Draft, now_ms: u64) -> Result<(), PublishError> {
        let Payload::Bytes(update) = &draft.payload else {
            return Err(PublishError::NotAnUpdate("these are no bytes"));
        };
        let offered = Coverage::of([update.as_ref()])?;
        let there = topic.updates();
        // Another client may bring the same between this look and the publish. That is harmless: an update applied twice
        // changes nothing.
        if Coverage::of(there.after(Offset::ZERO))?.covers(&offered) {
            return Ok(());
        }
        self.publish(&topic.name, draft, None, Asker::nobody, now_ms).map(drop)
    }

    /// Has a document merged if enough has come since the last time.
    pub(super) fn merge_if_due(&self, topic: &Arc<Topic>, now_ms: u64) {
        if topic.kind == Kind::Document && topic.claim_merge(now_ms) {
            let (topic, durable, space) = (topic.clone(), self.durable.clone(), self.workspace());
            self.workers.merge.submit(move || {
                collab::merge(&topic, &space);
                if topic.wants_commit() {
                    durable.begin_commit(&topic);
                }
            });
        }
    }

    pub(super) fn sweep_documents(&self, now_ms: u64) {
        for entry in &self.rooms {
            entry.sweep(now_ms, |feed| self.notify(feed));
        }
        // Only the table itself has it, and while this looks nobody can take another reference: `retain` holds the lock
        // of the map's shard, which `room` needs.
        self.rooms.retain(|_, room| Arc::strong_count(room) > 1 || !room.is_empty());
        let documents = self.topics.iter().filter(|entry| entry.kind == Kind::Document);
        let due: Vec<Arc<Topic>> = documents.map(|entry| entry.value().clone()).collect();
        let set_aside = due.iter().filter(|topic| topic.is_set_aside()).count();
        self.metrics.documents_set_aside.set(as_gauge(set_aside));
        for topic in due {
            self.merge_if_due(&topic, now_ms);
        }
    }

    /// While documents take three quarters of what they may, finds how much each owner may have whose documents are to grow:
    /// those who have the most take nothing more, so the last quarter is the others'.
    pub(super) fn level_documents(&self) {
        let share = self.memory.share(Class::Documents);
        let (mut of_nobody, mut of_owner) = (Vec::new(), FxHashMap::<Owner, usize>::default());
        // With room for all there is no need to look at each topic: `find_level` lifts the level then.
        if share.is_tight() {
            for topic in self.topics.iter().filter(|topic| topic.kind == Kind::Document) {
                match topic.weight().1 {
                    Some(owner) => *of_owner.entry(owner).or_default() += topic.document_bytes(),
                    None => of_nobody.push(topic.document_bytes()),
                }
            }
        }
        // A document that nobody is charged with counts as an owner by itself, as there is no telling whose it is.
        of_nobody.extend(of_owner.into_values());
        share.find_level(&of_nobody);
    }
}
