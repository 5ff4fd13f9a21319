//! Orders from operators and back ends: ending connections and subscriptions of others.

use std::sync::Arc;

use fanwire_proto::{ClientId, CloseCode, ErrorCode};
use tokio::sync::oneshot;

use super::{
    conn::Conn,
    core::{Core, slot32},
    listing::{ConnectionQuery, Listing},
};
use crate::{
    auth::Credential,
    fanout::SubKey,
    wire::{Ending, Notice},
};

/// Whose connections are meant.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Who {
    /// One connection.
    Client(ClientId),
    /// All connections of a user.
    User(Arc<str>),
    /// All connections made with this token or key.
    Credential(Credential),
}

impl Who {
    fn is(&self, conn: &Conn) -> bool {
        match self {
            Self::Client(client) => conn.member.client == *client,
            Self::User(user) => conn.member.user.as_ref() == Some(user),
            Self::Credential(credential) => conn.credential.as_ref() == Some(credential),
        }
    }
}

/// What a shard is told to do to its connections. Each order reports what it met.
#[derive(Debug)]
pub enum Order {
    /// Close them with [`CloseCode::Disconnected`].
    Disconnect {
        /// Whose.
        who: Who,
        /// Gets the count.
        done: oneshot::Sender<usize>,
    },
    /// End their subscriptions to a topic, as `forbidden`.
    Unsubscribe {
        /// Whose.
        who: Who,
        /// To which topic.
        topic: Arc<str>,
        /// Gets the count.
        done: oneshot::Sender<usize>,
    },
    /// End all subscriptions to a document that was deleted.
    Disband {
        /// The document.
        topic: Arc<str>,
        /// Gets the count.
        done: oneshot::Sender<usize>,
    },
    /// Describe some of them.
    List {
        /// Which.
        query: Arc<ConnectionQuery>,
        /// The slot to begin with.
        from: usize,
        /// Gets them.
        done: oneshot::Sender<Listing>,
    },
}

impl Core {
    pub(super) fn carry_out(&mut self, order: Order) {
        // Whoever asked may not be waiting any more.
        let _heard = match order {
            Order::Disconnect { who, done } => done.send(self.disconnect(&who)).is_ok(),
            Order::Unsubscribe { who, topic, done } => done.send(self.unsubscribe_all(&who, &topic)).is_ok(),
            Order::Disband { topic, done } => done.send(self.disband(&topic)).is_ok(),
            Order::List { query, from, done } => done.send(self.list(&query, from)).is_ok(),
        };
    }

    fn meant(&self, who: &Who) -> Vec<u32> {
        let open = self.out.conns.iter().filter(|(_, conn)| conn.is_open() && who.is(conn));
        open.map(|(slot, _)| slot32(slot)).collect()
    }

    fn disband(&mut self, topic: &str) -> usize {
        let subs = self.fanout.subscribers(topic);
        for &(slot, key) in &subs {
            self.end_subscription(slot, key, ErrorCode::Deleted);
        }
        subs.len()
    }

    /// Ends a subscription with a code, or the connection where it is for nothing else.
    fn end_subscription(&mut self, slot: u32, key: SubKey, code: ErrorCode) {
        let Some(topic) = self.fanout.subscription(slot, key).map(|sub| sub.topic.clone()) else { return };
        match self.out.speaker_of(slot).dialect().ending(code) {
            Ending::Connection(closing) => self.close_with(slot, closing),
            Ending::Subscription => {
                self.out.reply_notice(slot, Some(key), &Notice::Ended { topic: &topic.name, code });
                self.unsubscribe(slot, key);
                self.told.push((slot, key, code));
            }
        }
        self.out.stage_replies(slot);
    }

    fn disconnect(&mut self, who: &Who) -> usize {
        let meant = self.meant(who);
        for &slot in &meant {
            self.close(slot, CloseCode::Disconnected);
            self.out.stage_replies(slot);
        }
        meant.len()
    }

    fn unsubscribe_all(&mut self, who: &Who, topic: &str) -> usize {
        let mut count = 0;
        for slot in self.meant(who) {
            let to_it = self.fanout.subscriptions(slot).filter(|sub| sub.topic.name.as_str() == topic);
            let keys: Vec<SubKey> = to_it.map(|sub| sub.key).collect();
            for &key in &keys {
                self.end_subscription(slot, key, ErrorCode::Forbidden);
            }
            count += keys.len();
        }
        count
    }
}
