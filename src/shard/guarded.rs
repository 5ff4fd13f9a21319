//! What stands between a shard and a door, so that a fault of the door stays there.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fanwire_proto::{CloseCode, ErrorCode};

use super::door::{Cx, Door, Inbound};
use crate::{auth::ServerSub, fanout::SubKey, topic::Settlement};

/// A door whose panic costs its own connection and nobody else's.
pub(super) struct Guarded(pub(super) Box<dyn Door>);

impl Guarded {
    /// What the door shares with others is behind locks that do not poison, and changed in one step; what is its own ends
    /// with it.
    fn call<T>(&mut self, cx: &mut Cx<'_>, call: impl FnOnce(&mut dyn Door, &mut Cx<'_>) -> T) -> Option<T> {
        let door = &mut *self.0;
        // Around each call rather than the turn: what comes after a turn's first panic is still done for all others.
        let done = catch_unwind(AssertUnwindSafe(|| call(door, cx))).ok();
        if done.is_none() {
            tracing::error!(client = %cx.member().client, "a connection is closed because of a panic");
            // It may have got stuck in the middle of a frame.
            cx.core.out.replies.clear();
            cx.close(CloseCode::Internal);
        }
        done
    }
}

impl Door for Guarded {
    fn opened(&mut self, cx: &mut Cx<'_>) {
        self.call(cx, |door, cx| door.opened(cx));
    }

    fn received(&mut self, cx: &mut Cx<'_>, frame: Inbound<'_>) {
        self.call(cx, |door, cx| door.received(cx, frame));
    }

    fn resumed(&mut self, cx: &mut Cx<'_>) {
        self.call(cx, |door, cx| door.resumed(cx));
    }

    fn settled(&mut self, cx: &mut Cx<'_>, settlement: &Settlement) {
        self.call(cx, |door, cx| door.settled(cx, settlement));
    }

    fn woke(&mut self, cx: &mut Cx<'_>) {
        self.call(cx, |door, cx| door.woke(cx));
    }

    fn ended(&mut self, cx: &mut Cx<'_>, key: SubKey, code: ErrorCode) {
        self.call(cx, |door, cx| door.ended(cx, key, code));
    }

    fn ordered(&mut self, cx: &mut Cx<'_>, sub: &ServerSub) -> Result<bool, ErrorCode> {
        self.call(cx, |door, cx| door.ordered(cx, sub)).unwrap_or(Err(ErrorCode::Internal))
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        self.call(cx, |door, cx| door.tick(cx));
    }

    fn leaving(&mut self, cx: &mut Cx<'_>) {
        self.call(cx, |door, cx| door.leaving(cx));
    }
}
