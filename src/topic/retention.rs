//! How much a topic may keep: room for what comes, what has to go, and when nothing is left.

use super::{
    Draft, KindRule, Refusal,
    measure::{millis, weight_of},
    state::State,
    store::Store,
};
use crate::{
    defaults,
    memory::{Charge, Class, Memory},
};

impl State {
    pub(super) fn weigh_on(&mut self, memory: &Memory, charge: Option<Charge>) {
        if let Store::Document(document) = &mut self.store {
            document.weigh_on(memory, charge.as_ref().map(|charge| charge.account().clone()));
        }
        self.weight.move_to(memory.share(Class::Topics), charge);
    }

    pub(super) fn check_room(&self, draft: &Draft) -> Result<(), Refusal> {
        self.gathering.check_room()?;
        match (&self.store, &self.rule.kind) {
            (Store::Latest(latest), KindRule::Latest { max_keys, .. }) => {
                latest.check_room(draft.key.as_deref().unwrap_or_default(), *max_keys)
            }
            _ if draft.key.is_some() => Err(Refusal::KeyNotWanted),
            (Store::Log(log), KindRule::Log(bounds)) => log.check_room(bounds, self.pulled_by_all()),
            (Store::Document(document), KindRule::Document(bounds)) => document.check_room(bounds, draft),
            _ => Ok(()),
        }
    }

    /// While memory is short, a log in memory takes a message in place of its oldest ones; anything else refuses it.
    pub(super) fn make_room(&mut self, draft: &Draft) -> Result<(), Refusal> {
        let more = weight_of(1, draft.payload.len()) + draft.message_id.as_ref().map_or(0, String::len);
        let gives_up = !self.rule.keeping.is_durable();
        let pinned_after = self.pulled_by_all();
        loop {
            let Err(refusal) = self.weight.check_room(more, &draft.by) else { return Ok(()) };
            let gave_up = match &mut self.store {
                // Documents have a share of their own.
                Store::Document(_) => return Ok(()),
                Store::Log(log) => gives_up && log.pop_oldest(pinned_after),
                Store::Latest(_) | Store::Volatile(_) => false,
            };
            if !gave_up {
                return Err(refusal);
            }
            // Counted at once, or the next look would find no more room than this one.
            self.weigh();
        }
    }

    /// Says how much the topic takes.
    pub(super) fn weigh(&mut self) {
        let waiting = weight_of(self.gathering.len(), self.gathering.bytes());
        let members = self.presence.clients() * defaults::MEMBER_BYTES;
        let content = self.store.weight() + self.dedupe.bytes() + waiting + members;
        self.weight.set(defaults::TOPIC_OVERHEAD_BYTES + content);
    }

    /// Whether memory for it is short, or its owner's part of that: then nothing that is not used stays for a while.
    fn is_pressed(&self) -> bool {
        match &self.store {
            Store::Document(document) if document.is_tight() => true,
            _ => self.rule.keeping.is_durable() && self.weight.is_tight(),
        }
    }

    pub(super) fn expire(&mut self, now_ms: u64, idle_ms: u64) -> bool {
        self.prune(now_ms);
        self.dedupe.expire(now_ms);
        self.weigh();
        let unused = self.feeds.is_empty() && self.presence.clients() == 0;
        let idle = self.is_pressed() || now_ms.saturating_sub(self.touched_ms) >= idle_ms;
        let nothing_to_lose = match self.rule.keeping.is_durable() {
            // Ids of messages that are gone are known in memory only.
            true => self.gathering.is_idle() && !self.has_changes() && self.dedupe.is_empty(),
            false => self.store.is_empty() && self.dedupe.is_empty(),
        };
        if unused && idle && nothing_to_lose {
            // Under the lock: whoever has the topic in hand already finds it closed, and looks it up again.
            self.closed = true;
        }
        self.closed
    }

    pub(super) fn prune(&mut self, now_ms: u64) {
        let pinned_after = self.pulled_by_all();
        match (&mut self.store, &self.rule.kind) {
            (Store::Log(log), KindRule::Log(bounds)) => {
                // What is on the disk is there by its rule, and nothing else removes it.
                let level = if self.rule.keeping.is_durable() { usize::MAX } else { self.weight.level() };
                log.prune(bounds, level, pinned_after, now_ms);
            }
            (Store::Latest(latest), KindRule::Latest { max_age: Some(age), .. }) => {
                let gone = latest.expire(now_ms.saturating_sub(millis(*age)), pinned_after);
                if self.rule.keeping.is_durable() {
                    self.on_disk.old_keys.extend(gone);
                }
            }
            _ => {}
        }
    }
}
