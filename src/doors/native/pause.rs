//! Pausing for a topic that has to be read from the disk: the connection goes on where it stopped.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use fanwire_proto::{ErrorCode, Rejection, Request};

use super::{
    NativeDoor,
    held::{Away, Held, Task},
};
use crate::{broker::SubscribeError, doors::errors::Failure, shard::Cx};

impl NativeDoor {
    /// Goes on with this when the topic is there.
    pub(super) fn wait_for(
        &mut self,
        cx: &mut Cx<'_>,
        away: Away,
        rest: VecDeque<Result<Request, Rejection>>,
    ) {
        let Away { topic, missing, task } = away;
        let fetched = Arc::new(OnceLock::new());
        // Before the worker is asked, which may be done before this returns; its answer is only looked at on this thread.
        self.held = Some(Box::new(Held { fetched: fetched.clone(), task, rest }));
        let paused = cx.pause();
        self.broker.fetch(&topic, missing, cx.now_ms(), move |outcome| {
            // Nobody else sets it.
            let _ = fetched.set(outcome);
            // Wakes the connection, so the outcome has to be there. A worker that panics drops it as well, and then there
            // is none.
            drop(paused);
        });
    }

    /// Does what was held, and handles what came after it.
    pub(super) fn go_on(&mut self, cx: &mut Cx<'_>) {
        let Some(held) = self.held.take() else { return };
        let Held { fetched, task, rest } = *held;
        let found = match fetched.get() {
            Some(Ok(topic)) => Ok(topic.as_deref()),
            Some(Err(error)) => Err(SubscribeError::from(*error).into()),
            None => Err(Failure::new(ErrorCode::Internal, "the topic could not be read")),
        };
        let done = match (task, found) {
            (Task::Command { id, command }, Ok(topic)) => self.attempt(cx, id, command, Some(topic)),
            (Task::Command { id, .. }, Err(failure)) => {
                self.fail(cx, id, failure);
                Ok(())
            }
            (Task::Named(sub), Ok(_)) => {
                self.make_named(cx, &sub);
                Ok(())
            }
            (Task::Named(sub), Err(failure)) => {
                self.give_up_named(cx, &sub, &failure);
                Ok(())
            }
        };
        match done {
            Ok(()) => self.handle_all(cx, rest),
            Err(away) => self.wait_for(cx, *away, rest),
        }
    }
}
