//! Commands whose topic has to be read from the disk first: the connection pauses, and goes on where it stopped.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use fanwire_proto::{Command, ErrorCode, Rejection, Request, TopicName};

use super::NativeDoor;
use crate::{
    broker::{Missing, NoTopic, SubscribeError},
    doors::errors::Failure,
    shard::Cx,
    topic::Topic,
};

/// What is done once a topic has been read from the disk.
pub(super) struct Held {
    /// What becomes of that; nothing if the worker fails.
    fetched: Arc<OnceLock<Result<Option<Arc<Topic>>, NoTopic>>>,
    id: Option<u64>,
    command: Command,
    /// What else was in the same frame.
    rest: VecDeque<Result<Request, Rejection>>,
}

/// Whether a command's topic was fetched for it, and which one was found.
pub(super) type Fetched<'a> = Option<Option<&'a Topic>>;

/// A command whose topic has to be read from the disk first.
pub(super) struct Away {
    topic: TopicName,
    missing: Missing,
    id: Option<u64>,
    /// Allowed already.
    command: Command,
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

impl NativeDoor {
    /// Goes on with this when the topic is there.
    pub(super) fn wait_for(
        &mut self,
        cx: &mut Cx<'_>,
        away: Away,
        rest: VecDeque<Result<Request, Rejection>>,
    ) {
        let Away { topic, missing, id, command } = away;
        let fetched = Arc::new(OnceLock::new());
        self.held = Some(Box::new(Held { fetched: fetched.clone(), id, command, rest }));
        let paused = cx.pause();
        self.broker.fetch(&topic, missing, cx.now_ms(), move |outcome| {
            // Nobody else sets it.
            let _ = fetched.set(outcome);
            drop(paused);
        });
    }

    /// Does what was held, and handles what came after it.
    pub(super) fn go_on(&mut self, cx: &mut Cx<'_>) {
        let Some(held) = self.held.take() else { return };
        let Held { fetched, id, command, rest } = *held;
        let done = match fetched.get() {
            Some(Ok(topic)) => self.attempt(cx, id, command, Some(topic.as_deref())),
            Some(Err(error)) => {
                self.fail(cx, id, SubscribeError::from(*error).into());
                Ok(())
            }
            None => {
                self.fail(cx, id, Failure::new(ErrorCode::Internal, "the topic could not be read"));
                Ok(())
            }
        };
        match done {
            Ok(()) => self.handle_all(cx, rest),
            Err(away) => self.wait_for(cx, *away, rest),
        }
    }
}

/// Puts a command off until its topic is there.
pub(super) fn away(topic: TopicName, missing: Missing, id: Option<u64>, command: Command) -> Undone {
    Undone::Away(Box::new(Away { topic, missing, id, command }))
}
