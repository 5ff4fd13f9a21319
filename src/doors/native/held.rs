//! What cannot be done yet: its topic has to be read from the disk first.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use fanwire_proto::{Command, Rejection, Request, TopicName};

use crate::{
    auth::ServerSub,
    broker::{Missing, NoTopic},
    doors::errors::Failure,
    topic::Topic,
};

/// What is done once a topic has been read from the disk.
pub(super) struct Held {
    /// What becomes of that; nothing if the worker fails.
    pub(super) fetched: Arc<OnceLock<Result<Option<Arc<Topic>>, NoTopic>>>,
    pub(super) task: Task,
    /// What else was in the same frame.
    pub(super) rest: VecDeque<Result<Request, Rejection>>,
}

/// Whether a command's topic was fetched for it, and which one was found.
pub(super) type Fetched<'a> = Option<Option<&'a Topic>>;

/// What is to be done; allowed already.
pub(super) enum Task {
    /// What the client asks for.
    Command { id: Option<u64>, command: Command },
    /// A subscription that the token names.
    Named(ServerSub),
}

/// Something whose topic has to be read from the disk first.
pub(super) struct Away {
    pub(super) topic: TopicName,
    pub(super) missing: Missing,
    pub(super) task: Task,
}

/// Why a command is not done.
pub(super) enum Undone {
    Failed(Failure),
    Away(Box<Away>),
}

impl<E: Into<Failure>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Puts a command off until its topic is there.
pub(super) fn away(topic: TopicName, missing: Missing, id: Option<u64>, command: Command) -> Undone {
    Undone::Away(Box::new(Away { topic, missing, task: Task::Command { id, command } }))
}
