//! Pausing for a topic that has to be read from the disk: the connection goes on where it stopped.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

use fanwire_proto::{ErrorCode, Rejection, Request};

use super::{
    NativeDoor,
    held::{Away, Held},
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
