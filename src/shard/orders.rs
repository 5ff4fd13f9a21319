//! Orders from operators and back ends, which a shard [carries out](super::carry_out).

use std::sync::Arc;

use fanwire_proto::{ClientId, ErrorCode};
use tokio::sync::oneshot;

use super::{
    conn::Conn,
    listing::{ConnectionQuery, Listing},
};
use crate::auth::{Credential, ServerSub};

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
    pub(super) fn is(&self, conn: &Conn) -> bool {
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
    /// Close them with [`CloseCode::Disconnected`](fanwire_proto::CloseCode::Disconnected).
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
    /// Subscribe them to a topic, a bounded number at a time.
    Subscribe {
        /// Whose.
        who: Who,
        /// To what, and how.
        sub: Arc<ServerSub>,
        /// The slot to begin with.
        from: usize,
        /// Gets what became of it.
        done: oneshot::Sender<ServerSubs>,
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

/// What became of a subscription that connections are to have.
#[derive(Debug, Default)]
pub struct ServerSubs {
    /// How many have it from now on, and had it not before.
    pub made: usize,
    /// Why others do not, once for each.
    pub refused: Vec<ErrorCode>,
    /// The slot to go on with, unless this was the end.
    pub next: Option<usize>,
}
