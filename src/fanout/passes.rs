//! One pass per pull over a feed's dense list, in slices, so that a topic with 100 000 subscribers delays a small one by a
//! slice and no more.
//!
//! What comes while a pass runs, or while it is paced, rides in the next one: the busier a topic, the more messages
//! share a write. Per delivery there is a step in the list, a look at the connection and an index pushed: no clock, no
//! lock, no reference count, no allocation.

use std::{sync::Arc, time::Duration};

use fanwire_proto::{ErrorCode, Offset};
use rustc_hash::FxHashMap;

use super::{
    bounds::Bounds,
    connections::{Connections, Item, Receiver},
    counts::Counts,
    faults::{Fault, planted},
    feed::Feed,
    options::SubKey,
    pass::{Ones, Pass, SliceBytes},
    readers::Readers,
    subscriber::{Apart, Except, Sub, SubState},
};
use crate::{
    defaults,
    topic::{KeyCount, Kind, Placed, Topic},
    wire::{Encoding, Notice},
};

/// A slice at work: what a pass touches beside its feed.
pub(super) struct Slice<'a, C> {
    pub(super) io: &'a mut C,
    pub(super) bounds: &'a Bounds,
    pub(super) readers: &'a mut Readers,
    pub(super) counts: &'a mut Counts,
    pub(super) ended: &'a mut Vec<(u32, SubKey)>,
    pub(super) bytes: &'a mut SliceBytes,
}

impl<C: Connections> Slice<'_, C> {
    /// Serves the subscribers from the pass's cursor up to an index.
    pub(super) fn run(&mut self, feed: &mut Feed, pass: &mut Pass, end: usize) {
        let mut delivered = 0;
        let (has_messages, has_changes) = (!pass.messages.is_empty(), !pass.changes.list.is_empty());
        for sub in &mut feed.subs[pass.cursor..end] {
            let Some(to) = self.io.receiver(sub.conn) else { continue };
            let in_step = match &sub.state {
                SubState::Live => true,
                SubState::From(at) => *at == pass.prev,
                SubState::Behind(_) | SubState::Apart(_) => false,
            };
            // Only where something may be left out is looked whether it is.
            let is_plain = !pass.leaves_out && sub.extra.is_none() || planted(Fault::LeavesNobodyOut);
            if in_step && !to.blocked && is_plain {
                if let SubState::From(_) = sub.state {
                    sub.state = SubState::Live;
                }
                if has_messages {
                    self.send_all(sub, pass, to.encoding);
                    delivered += 1;
                }
            } else {
                delivered += self.serve_with_care(feed.topic.kind, sub, pass, to, in_step);
            }
            if has_changes && sub.watch().is_some() {
                self.serve_watcher(&feed.topic, sub, pass, to);
            }
        }
        pass.cursor = end;
        // What is shared may end before the next slice.
        self.bytes.clear();
        // By batches: per delivery one number is added.
        self.counts.deliveries += delivered * pass.messages.len() as u64;
    }

    /// Serves a subscriber that may not get everything, or not now; returns how many batches it got whole.
    fn serve_with_care(
        &mut self,
        kind: Kind,
        sub: &mut Sub,
        pass: &mut Pass,
        to: Receiver,
        in_step: bool,
    ) -> u64 {
        let except = Except { client: to.client, declines_own: sub.declines_own() };
        if !in_step || to.blocked {
            self.serve_apart(kind, sub, pass, to, except);
            return 0;
        }
        sub.state = SubState::Live;
        if pass.messages.iter().any(|message| except.covers(message)) {
            self.send_some(sub, pass, Offset::ZERO, except);
            return 0;
        }
        if !pass.messages.is_empty() {
            self.send_all(sub, pass, to.encoding);
            return 1;
        }
        0
    }

    /// Sends the whole batch.
    #[inline]
    fn send_all(&mut self, sub: &Sub, pass: &mut Pass, encoding: Encoding) {
        match self.bytes.messages(encoding) {
            Some(Ones::Shared(entry)) => self.io.send_shared(sub.conn, entry),
            known => self.send_apart(sub, pass, encoding, known),
        }
    }

    /// Sends it where there are no bytes that all share, or not yet. Kept apart, so that what is done per delivery is small.
    #[inline(never)]
    fn send_apart(&mut self, sub: &Sub, pass: &mut Pass, encoding: Encoding, known: Option<Ones>) {
        let ones = known.unwrap_or_else(|| {
            let shared = pass.share_messages(self.io, encoding);
            self.bytes.keep_messages(encoding, shared)
        });
        match ones {
            Ones::Shared(entry) => self.io.send_shared(sub.conn, entry),
            Ones::Nothing => {}
            Ones::Own => self.io.send_own(sub.conn, self.readers.key_of(sub), pass.items()),
        }
    }

    /// Serves a subscriber that does not simply take the whole batch.
    fn serve_apart(&mut self, kind: Kind, sub: &mut Sub, pass: &Pass, to: Receiver, except: Except) {
        match &mut sub.state {
            SubState::Apart(apart) => {
                // A pass from before the snapshot changes nothing yet.
                // Nor does one with more behind it: a value of the snapshot may be replaced by one still to come, and what
                // was left out before that is counted from the snapshot.
                let in_step = pass.last >= apart.after && !pass.more;
                let now = self.serve_latest(apart, pass, to.blocked, except);
                if !apart.waiting.is_empty() {
                    self.readers.schedule_catch_up(sub.conn, to.blocked);
                } else if in_step {
                    sub.state = SubState::Live;
                }
                if !now.is_empty() {
                    let items = now.into_iter().map(|(value, skipped)| Item::Message(value, skipped));
                    self.io.send_own(sub.conn, self.readers.key_of(sub), items);
                }
            }
            SubState::Live => self.fall_behind(kind, sub, pass.prev, pass, to, except),
            // Joined after this was pulled: it has more than this, exactly this, or (below) less.
            SubState::From(at) if *at > pass.last => {}
            SubState::From(at) if *at == pass.last => sub.state = SubState::Live,
            SubState::From(at) if to.blocked => {
                let has = *at;
                self.fall_behind(kind, sub, has, pass, to, except);
            }
            SubState::From(at) => {
                let has = *at;
                sub.state = SubState::Live;
                self.send_some(sub, pass, has, except);
            }
            // It reads this in the history, in its own time.
            SubState::Behind(_) => {}
        }
    }

    /// Sends the messages of a pass that one subscriber gets.
    fn send_some(&mut self, sub: &Sub, pass: &Pass, after: Offset, except: Except) {
        let some = pass.for_one(after, except);
        self.counts.deliveries += some.clone().count() as u64;
        let items = some.map(|(message, skipped)| Item::Message(message, skipped));
        self.io.send_own(sub.conn, self.readers.key_of(sub), items);
    }

    /// The subscriber's socket is full: what its kind promises for that.
    fn fall_behind(
        &mut self,
        kind: Kind,
        sub: &mut Sub,
        has: Offset,
        pass: &Pass,
        to: Receiver,
        except: Except,
    ) {
        match kind {
            // Missed for good: it is in step with whatever comes next.
            Kind::Volatile => {
                self.counts.dropped += pass.messages.len() as u64;
                sub.state = SubState::Live;
            }
            Kind::Log | Kind::Document => {
                // From what it has, which may be more than the pass began with: it may have joined in between.
                sub.state = SubState::Behind(if planted(Fault::BehindLosesBatch) { pass.last } else { has });
                self.readers.schedule_catch_up(sub.conn, to.blocked);
            }
            Kind::Latest => {
                let mut apart = Apart { after: has, ..Apart::default() };
                // Nothing is returned to be sent: for somebody who is blocked all of it waits.
                self.serve_latest(&mut apart, pass, true, except);
                sub.state = SubState::Apart(Box::new(apart));
                self.readers.schedule_catch_up(sub.conn, to.blocked);
            }
        }
    }

    /// Values for a subscriber with a history of its own: returned to be sent now, or added to what waits.
    fn serve_latest<'p>(
        &mut self,
        apart: &mut Apart,
        pass: &'p Pass,
        blocked: bool,
        except: Except,
    ) -> Vec<(&'p Placed, u64)> {
        let mut now = Vec::new();
        for (index, value) in pass.messages.iter().enumerate() {
            if value.message.offset <= apart.after {
                continue;
            }
            let key = value.message.key.as_deref().unwrap_or_default();
            if except.covers(value) {
                // It takes the place of an older one that waits, and goes with it: nothing was skipped for this client.
                if !apart.waiting.is_empty() {
                    self.counts.conflated += apart.waiting.add(value, 0);
                }
                apart.counts.insert(key.into(), value.count);
                continue;
            }
            let skipped = match apart.counts.remove(key) {
                Some(seen) => value.count.skipped_since(Some(seen)),
                // Not in its snapshot, or sent since: counted as for everybody.
                None => pass.skipped.get(index).copied().unwrap_or(0),
            };
            // Behind whatever waits, or a key's newer value would arrive before its older one.
            if blocked || !apart.waiting.is_empty() {
                let skipped = if planted(Fault::ForgetsSkipped) { 0 } else { skipped };
                self.counts.conflated += apart.waiting.add(value, skipped);
            } else {
                now.push((&**value, skipped));
                self.counts.deliveries += 1;
            }
        }
        apart.after = apart.after.max(pass.last);
        now
    }

    fn serve_watcher(&mut self, topic: &Arc<Topic>, sub: &mut Sub, pass: &mut Pass, to: Receiver) {
        let Some(watch) = sub.watch_mut() else { return };
        // Who came while these changes gathered has the first of them in its list of members.
        let known = usize::try_from(watch.upto.saturating_sub(pass.changes.before)).unwrap_or(usize::MAX);
        watch.upto = watch.upto.max(pass.changes.before + pass.changes.list.len() as u64);
        if to.blocked || !watch.missed.is_empty() {
            if !planted(Fault::WatcherMissesChanges) {
                watch.missed.extend(pass.changes.list.iter().skip(known).cloned());
            }
            if watch.missed.len() > self.bounds.watcher_backlog
                && !watch.collapse(self.bounds.watcher_backlog)
            {
                return self.end_watcher(topic, sub);
            }
            return self.readers.schedule_catch_up(sub.conn, to.blocked);
        }
        let shared = match self.bytes.changes(to.encoding) {
            Some(shared) => shared,
            None => {
                let shared = pass.share_changes(self.io, to.encoding);
                self.bytes.keep_changes(to.encoding, shared)
            }
        };
        match shared {
            // A protocol may have no word for it.
            Ones::Nothing if known == 0 => {}
            Ones::Shared(entry) if known == 0 => self.io.send_shared(sub.conn, entry),
            _ => {
                let unknown = pass.changes.list.iter().skip(known);
                let items = unknown.map(|change| Item::Change(change));
                self.io.send_own(sub.conn, self.readers.key_of(sub), items);
            }
        }
    }

    /// Presence changes were lost: better no list than a wrong one.
    pub(super) fn end_watching(&mut self, feed: &mut Feed) {
        for sub in feed.subs.iter_mut().filter(|sub| sub.watch().is_some()) {
            self.end_watcher(&feed.topic, sub);
        }
    }

    /// Ends a subscription. It is removed after the turn, and gets nothing more until then.
    fn end_watcher(&mut self, topic: &Arc<Topic>, sub: &mut Sub) {
        // No pass reaches that. A state of its own would be looked for with every delivery.
        sub.state = SubState::From(Offset(u64::MAX));
        if let Some(watch) = sub.watch_mut() {
            watch.upto = u64::MAX;
            watch.missed.clear();
        }
        let key = self.readers.key_of(sub);
        let end = Notice::Ended { topic: &topic.name, code: ErrorCode::Overloaded };
        self.io.send_own(sub.conn, key, std::iter::once(Item::Notice(end)));
        self.ended.push((sub.conn, key));
    }
}

/// Notes that a value is passed on; returns how many of its key were left out since the last one that was.
pub(super) fn pass_on(seen: &mut FxHashMap<Arc<str>, KeyCount>, value: &Placed) -> u64 {
    let key = value.message.key.as_deref().unwrap_or_default();
    let before = match seen.get_mut(key) {
        Some(last) => Some(std::mem::replace(last, value.count)),
        None => seen.insert(key.into(), value.count),
    };
    value.count.skipped_since(before)
}

/// Pacing: after a pass a feed rests for a share of the time the pass took, so that under load more messages share a
/// write, and the shard stays responsive.
pub(super) fn pause_after(spent: Duration) -> Duration {
    if spent < Duration::from_micros(defaults::PACE_FROM_US) {
        return Duration::ZERO;
    }
    (spent / defaults::PACE_SHARE).min(Duration::from_millis(defaults::PACE_MAX_MS))
}
