//! A document with clients that have a say about themselves: their awareness, and what they share beside the topic.
//!
//! Awareness is passed on by a hidden topic of kind `latest`, keyed by client: so everyone gets the newest state of
//! everyone, a slow reader misses intermediate ones, and a newcomer gets all there are.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use fanwire_proto::{Epoch, Offset, Payload, TopicName};
use parking_lot::Mutex;

use crate::{
    defaults,
    document::{
        awareness::{Change, Entry, Owner, Speaker, Table},
        message,
        vector::Clocks,
    },
    topic::{Asker, Draft, FeedRef, Keeping, KindRule, Rule, Topic, Updates},
};

/// What the clients of a document share.
pub struct Room {
    /// Passes awareness on.
    pub awareness_topic: Arc<Topic>,
    awareness: Mutex<Awareness>,
    known: Mutex<KnownClocks>,
}

struct Awareness {
    table: Table,
    /// When everyone heard something last.
    told_ms: u64,
}

/// What is in the document, up to some update.
struct KnownClocks {
    epoch: Epoch,
    upto: Offset,
    clocks: Clocks,
}

impl Room {
    /// Nobody is in it.
    pub fn new(epoch: Epoch, now_ms: u64) -> Self {
        // Orders name topics, and nobody can name this one.
        let name = TopicName::hidden("awareness");
        let max_age = Some(Duration::from_millis(defaults::AWARENESS_TIMEOUT_MS));
        let kind = KindRule::Latest { max_keys: 2 * defaults::AWARENESS_CLIENTS, max_age };
        let awareness_topic = Topic::new(
            name,
            Arc::new(Rule { kind, presence: false, keeping: Keeping::Memory }),
            epoch,
            now_ms,
        );
        Self {
            awareness_topic: Arc::new(awareness_topic),
            awareness: Mutex::new(Awareness { table: Table::default(), told_ms: now_ms }),
            known: Mutex::new(KnownClocks { epoch, upto: Offset::ZERO, clocks: Clocks::default() }),
        }
    }

    /// Takes what a connection says about clients; returns what it is to be told itself.
    pub fn hear(
        &self,
        entries: &[Entry<'_>],
        owner: Owner,
        speaker: &Speaker,
        first: bool,
        now_ms: u64,
        notify: impl FnMut(FeedRef),
    ) -> Vec<Bytes> {
        let mut awareness = self.awareness.lock();
        let outcome = awareness.table.apply(entries, owner, speaker, first, now_ms);
        self.tell(&mut awareness, outcome.changes, now_ms, notify);
        outcome.reminders
    }

    /// A connection said goodbye.
    pub fn leave(&self, owner: Owner, now_ms: u64, notify: impl FnMut(FeedRef)) {
        let mut awareness = self.awareness.lock();
        let changes = awareness.table.leave(owner, now_ms);
        self.tell(&mut awareness, changes, now_ms, notify);
    }

    /// A connection ended, for whatever reason.
    pub fn orphan(&self, owner: Owner, now_ms: u64) {
        self.awareness.lock().table.orphan(owner, now_ms);
    }

    /// Everybody's state, as messages.
    pub fn everybody(&self) -> Vec<Bytes> {
        self.awareness.lock().table.messages().collect()
    }

    /// Everybody's state: client, connection, JSON.
    pub fn states(&self) -> Vec<(u64, Option<Owner>, Bytes)> {
        let awareness = self.awareness.lock();
        awareness.table.states().map(|(client, owner, json)| (client, owner, json.clone())).collect()
    }

    /// Removes who has not been heard of, and lets everybody hear something now and then.
    pub fn sweep(&self, now_ms: u64, mut notify: impl FnMut(FeedRef)) {
        let mut awareness = self.awareness.lock();
        let changes = awareness.table.expire(now_ms);
        self.tell(&mut awareness, changes, now_ms, &mut notify);
        if now_ms.saturating_sub(awareness.told_ms) >= defaults::ROOM_KEEPALIVE_MS {
            // A key that no client has: it replaces nobody's state.
            self.pass_on(String::new(), Bytes::from_static(message::KEEPALIVE), now_ms, notify);
            awareness.told_ms = now_ms;
        }
        // Values that are too old go; the topic itself goes with the room.
        self.awareness_topic.expire(now_ms, u64::MAX);
    }

    /// Whether nobody is known here, not even as gone.
    pub fn is_empty(&self) -> bool {
        self.awareness.lock().table.is_empty()
    }

    /// Under the lock of the table, so that the order of states is the order in which they are passed on.
    fn tell(
        &self,
        awareness: &mut Awareness,
        changes: Vec<Change>,
        now_ms: u64,
        mut notify: impl FnMut(FeedRef),
    ) {
        for Change { client, message } in changes {
            self.pass_on(client.to_string(), message, now_ms, &mut notify);
            awareness.told_ms = now_ms;
        }
    }

    fn pass_on(&self, key: String, message: Bytes, now_ms: u64, notify: impl FnMut(FeedRef)) {
        let draft = Draft {
            payload: Payload::Bytes(message),
            key: Some(key),
            message_id: None,
            tags: None,
            from: None,
            not_to: None,
            by: crate::memory::Owner::Broker,
        };
        if let Err(error) = self.awareness_topic.publish(draft, None, Asker::nobody, now_ms, notify) {
            // Best effort: whoever is there says it again within fifteen seconds.
            tracing::debug!(%error, "awareness was not passed on");
        }
    }

    /// Bytes of updates that have come since the state vector was last worked out.
    pub fn unseen_bytes(&self, document: &Updates) -> usize {
        let upto = self.known.lock().upto(document.position.epoch);
        document.after(upto).map(<[u8]>::len).sum()
    }

    /// The state vector of a document. Walks what has come since the last time without a lock, since others ask how much that
    /// is meanwhile; two who ask at once both walk.
    pub fn vector(&self, document: &Updates) -> Vec<u8> {
        let epoch = document.position.epoch;
        // A copy, so that whoever has come less far cannot spoil what others know.
        let (upto, mut clocks) = {
            let known = self.known.lock();
            let upto = known.upto(epoch);
            (upto, if upto == Offset::ZERO { Clocks::default() } else { known.clocks.clone() })
        };
        for update in document.after(upto) {
            if let Err(error) = clocks.add_update(update) {
                tracing::error!(%error, "a document has an update that is none");
            }
        }
        let vector = clocks.encode();
        let mut known = self.known.lock();
        // Unless another caller has come further meanwhile.
        if known.upto(epoch) <= document.position.offset {
            *known = KnownClocks { epoch, upto: document.position.offset, clocks };
        }
        vector
    }
}

impl KnownClocks {
    /// How far it has come in this epoch.
    fn upto(&self, epoch: Epoch) -> Offset {
        if self.epoch == epoch { self.upto } else { Offset::ZERO }
    }
}
