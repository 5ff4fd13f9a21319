//! Fan-out: one pass per pull over a feed's dense list, in slices, so that a topic with 100 000 subscribers delays a
//! small one by a slice and no more.
//!
//! What comes while a pass runs, or while it is paced, rides in the next one: the busier a topic, the more messages
//! share a write. Per delivery there is a step in the list, a look at the connection and an index pushed: no clock, no
//! lock, no reference count, no allocation.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fanwire_proto::{ErrorCode, Offset};

use rustc_hash::FxHashMap;

use super::{
    core::{Core, SharedEntries},
    feed::{Apart, Except, Feed, Pass, Sub, SubState, Turn, change_frame, notice_of},
    stamp::Said,
};
use crate::{
    defaults,
    topic::{FeedRef, KeyCount, Kind, Placed, Pulled, Topic},
    wire::{Encoding, Notice},
};

/// A subscriber as a pass meets it.
#[derive(Clone, Copy)]
struct To {
    /// Its socket takes no more for now.
    blocked: bool,
    encoding: Encoding,
    except: Except,
}

impl Core {
    /// Runs slices of passes, each runnable feed in turn, until the turn's share is used up.
    pub(super) fn fan_out(&mut self) {
        let mut budget = defaults::TURN_DELIVERIES;
        while budget > 0
            && let Some(slot) = self.runnable.pop_front()
        {
            budget = budget.saturating_sub(self.run_feed(slot).max(1));
        }
    }

    /// Runs one slice; returns how many subscribers it served.
    fn run_feed(&mut self, slot: u32) -> usize {
        let Some(mut feed) = self.take_feed(slot) else { return 0 };
        if feed.pass.is_none() {
            feed.again = false;
            self.begin_pass(slot, &mut feed);
        }
        let served = match feed.pass.take() {
            Some(pass) => self.run_pass(&mut feed, pass),
            None => {
                feed.turn = Turn::Idle;
                0
            }
        };
        let (turn, again) = (feed.turn, feed.again);
        self.feeds[slot as usize] = feed;
        match turn {
            Turn::Running => self.runnable.push_back(slot),
            Turn::Idle if again => self.schedule(slot),
            Turn::Idle | Turn::Waiting => {}
        }
        served
    }

    /// Runs a slice of a pass, and puts the pass back unless that was the last one.
    fn run_pass(&mut self, feed: &mut Feed, mut pass: Box<Pass>) -> usize {
        let end = feed.subs.len().min(pass.cursor + defaults::SLICE_SUBSCRIBERS);
        let served = end - pass.cursor;
        let started = Instant::now();
        self.run_slice(feed, &mut pass, end);
        if feed.subs.len() > defaults::SLICE_SUBSCRIBERS {
            // A large topic pays for its own writes; small ones share the write at the end of the turn.
            self.flush_dirty();
        }
        let now = Instant::now();
        pass.spent += now - started;
        match pass.cursor < feed.subs.len() {
            true => feed.pass = Some(pass),
            false => self.end_pass(feed, &pass, now),
        }
        served
    }

    /// Moves a feed out while it runs, so that connections can be worked on beside it.
    fn take_feed(&mut self, slot: u32) -> Option<Feed> {
        let feed = self.feeds.get_mut(slot as usize).filter(|feed| feed.turn == Turn::Running)?;
        let placeholder = Feed::new(feed.topic.clone(), feed.interval, feed.not_before);
        Some(std::mem::replace(feed, placeholder))
    }

    fn begin_pass(&mut self, slot: u32, feed: &mut Feed) {
        let at = FeedRef { shard: self.handle.id, slot };
        let Some(pulled) = feed.topic.pull(at, defaults::PASS_BYTES) else { return };
        let Pulled { messages, upto, changes, more } = pulled;
        let changes = changes.unwrap_or_else(|| {
            self.end_watching(feed);
            Default::default()
        });
        let prev = std::mem::replace(&mut feed.position, upto);
        if messages.is_empty() && changes.list.is_empty() {
            return;
        }
        let skipped = match feed.topic.kind {
            Kind::Latest => messages.iter().map(|message| pass_on(&mut feed.seen, message)).collect(),
            Kind::Log | Kind::Document | Kind::Volatile => Vec::new(),
        };
        self.tally.conflated += skipped.iter().sum::<u64>();
        if feed.seen.len() >= feed.seen_bound {
            feed.topic.retain_keys(&mut feed.seen);
            // The next look comes when as many again have been added, so its cost is spread over them.
            feed.seen_bound = 2 * feed.seen.len().max(defaults::MAX_KEYS);
        }
        let pass = Pass::new(messages, skipped, changes, (prev, upto), more, self.now);
        feed.pass = Some(Box::new(pass));
    }

    fn end_pass(&self, feed: &mut Feed, pass: &Pass, now: Instant) {
        feed.turn = Turn::Idle;
        feed.again |= pass.more;
        if self.draining {
            return;
        }
        let pause = match feed.topic.kind {
            Kind::Volatile => Duration::ZERO,
            Kind::Log | Kind::Latest | Kind::Document => pause_after(pass.spent),
        };
        // Presence alone is no update, and the rest of a batch belongs to it.
        let interval = match pass.more || pass.messages.is_empty() {
            true => Duration::ZERO,
            false => feed.interval,
        };
        feed.not_before = (pass.started + interval).max(now + pause);
    }

    fn run_slice(&mut self, feed: &mut Feed, pass: &mut Pass, end: usize) {
        let mut shared = std::mem::take(&mut self.shared);
        let mut delivered = 0;
        for index in pass.cursor..end {
            let sub = &mut feed.subs[index];
            let Some(conn) = self.conns.get(sub.conn as usize) else { continue };
            let (encoding, blocked) = (conn.encoding, conn.is_blocked());
            let except = Except { client: conn.member.client, declines_own: false };
            let takes_all = match &sub.state {
                SubState::Live => !blocked,
                SubState::From(at) => !blocked && *at == pass.prev,
                SubState::Behind(_) | SubState::Apart(_) => false,
            };
            // Only where something may be left out is looked whether it is.
            let is_plain = !pass.leaves_out && sub.extra.is_none();
            let except =
                if is_plain { except } else { Except { declines_own: sub.declines_own(), ..except } };
            if takes_all && !is_plain && pass.messages.iter().any(|message| except.covers(message)) {
                sub.state = SubState::Live;
                self.send_some(sub, pass, Offset::ZERO, To { blocked, encoding, except });
            } else if takes_all {
                sub.state = SubState::Live;
                if !pass.messages.is_empty() {
                    let frame = match entry_of(&shared.batches, encoding) {
                        Some(frame) => frame,
                        None => {
                            let batch = pass.batch(self.speaker(encoding));
                            let frame = batch.map(|batch| self.frames.add(batch));
                            shared.batches.push((encoding, frame));
                            frame
                        }
                    };
                    match frame {
                        Some(frame) => self.stage(sub.conn, frame),
                        None => self.stage_stamped(sub.conn, self.key_of(sub), encoding, pass),
                    }
                    delivered += 1;
                }
            } else {
                self.serve_apart(feed.topic.kind, sub, pass, To { blocked, encoding, except });
            }
            if sub.watch().is_some() && !pass.changes.list.is_empty() {
                self.serve_watcher(&feed.topic, sub, pass, blocked, &mut shared.changes, encoding);
            }
        }
        pass.cursor = end;
        // The turn's table may be emptied before the next slice.
        shared.batches.clear();
        shared.changes.clear();
        self.shared = shared;
        self.tally.deliveries += delivered * pass.messages.len() as u64;
    }

    /// Serves a subscriber that does not simply take the whole batch.
    fn serve_apart(&mut self, kind: Kind, sub: &mut Sub, pass: &Pass, to: To) {
        match &mut sub.state {
            SubState::Apart(apart) => {
                // A pass from before the snapshot changes nothing yet.
                let in_step = pass.last >= apart.after && !pass.more;
                let key = self.conns[sub.conn as usize].subs[sub.place as usize].key;
                let now = self.serve_latest(apart, pass, to);
                if !apart.waiting.is_empty() {
                    self.schedule_catch_up(sub.conn);
                } else if in_step {
                    sub.state = SubState::Live;
                }
                let frames = self.gather(sub.conn, Some(key), to.encoding, |gather, speaker| {
                    for (value, skipped) in now {
                        gather.add(Said::Message(&value.message), &value.frame_after(speaker, skipped));
                    }
                });
                self.stage_all(sub.conn, frames);
            }
            SubState::Live => self.fall_behind(kind, sub, pass.prev, pass, to),
            SubState::From(at) if *at > pass.last => {}
            SubState::From(at) if *at == pass.last => sub.state = SubState::Live,
            SubState::From(at) if to.blocked => {
                let has = *at;
                self.fall_behind(kind, sub, has, pass, to);
            }
            SubState::From(at) => {
                let has = *at;
                sub.state = SubState::Live;
                self.send_some(sub, pass, has, to);
            }
            SubState::Behind(_) => {}
        }
    }

    /// Sends the messages of a pass that one subscriber gets.
    fn send_some(&mut self, sub: &Sub, pass: &Pass, after: Offset, to: To) {
        let some = pass.for_one(after, to.except);
        self.tally.deliveries += some.clone().count() as u64;
        let key = self.key_of(sub);
        let frames = self.gather(sub.conn, Some(key), to.encoding, |gather, speaker| {
            for (message, skipped) in some {
                gather.add(Said::Message(&message.message), &message.frame_after(speaker, skipped));
            }
        });
        self.stage_all(sub.conn, frames);
    }

    /// The subscriber's socket is full: what its kind promises for that.
    fn fall_behind(&mut self, kind: Kind, sub: &mut Sub, has: Offset, pass: &Pass, to: To) {
        match kind {
            Kind::Volatile => {
                self.tally.dropped += pass.messages.len() as u64;
                sub.state = SubState::Live;
            }
            Kind::Log | Kind::Document => {
                sub.state = SubState::Behind(has);
                self.schedule_catch_up(sub.conn);
            }
            Kind::Latest => {
                let mut apart = Apart { after: has, ..Apart::default() };
                self.serve_latest(&mut apart, pass, To { blocked: true, ..to });
                sub.state = SubState::Apart(Box::new(apart));
                self.schedule_catch_up(sub.conn);
            }
        }
    }

    /// Values for a subscriber with a history of its own: returned to be sent now, or added to what waits.
    fn serve_latest<'p>(&mut self, apart: &mut Apart, pass: &'p Pass, to: To) -> Vec<(&'p Placed, u64)> {
        let mut now = Vec::new();
        for (index, value) in pass.messages.iter().enumerate() {
            if value.message.offset <= apart.after {
                continue;
            }
            let key = value.message.key.as_deref().unwrap_or_default();
            if to.except.covers(value) {
                // It takes the place of an older one that waits, and goes with it: nothing was skipped for this client.
                if !apart.waiting.is_empty() {
                    self.tally.conflated += apart.waiting.add(value, 0);
                }
                apart.counts.insert(key.into(), value.count);
                continue;
            }
            let skipped = match apart.counts.remove(key) {
                Some(seen) => value.count.skipped_since(Some(seen)),
                None => pass.skipped.get(index).copied().unwrap_or(0),
            };
            if to.blocked || !apart.waiting.is_empty() {
                self.tally.conflated += apart.waiting.add(value, skipped);
            } else {
                now.push((&**value, skipped));
                self.tally.deliveries += 1;
            }
        }
        apart.after = apart.after.max(pass.last);
        now
    }

    fn serve_watcher(
        &mut self,
        topic: &Arc<Topic>,
        sub: &mut Sub,
        pass: &mut Pass,
        blocked: bool,
        shared: &mut SharedEntries,
        encoding: Encoding,
    ) {
        let Some(watch) = sub.watch_mut() else { return };
        let known = usize::try_from(watch.upto.saturating_sub(pass.changes.before)).unwrap_or(usize::MAX);
        watch.upto = watch.upto.max(pass.changes.before + pass.changes.list.len() as u64);
        if blocked || !watch.missed.is_empty() {
            watch.missed.extend(pass.changes.list.iter().skip(known).cloned());
            if watch.missed.len() > defaults::WATCHER_BACKLOG && !watch.collapse() {
                return self.end_watcher(topic, sub);
            }
            return self.schedule_catch_up(sub.conn);
        }
        let frame = match entry_of(shared, encoding) {
            Some(frame) => frame,
            None => {
                let batch = pass.change_batch(self.speaker(encoding));
                let frame = batch.map(|batch| self.frames.add(batch));
                shared.push((encoding, frame));
                frame
            }
        };
        match frame {
            // A protocol may have no word for it.
            Some(frame) if known == 0 && self.frames.get(frame).is_empty() => {}
            Some(frame) if known == 0 => self.stage(sub.conn, frame),
            _ => {
                let key = self.key_of(sub);
                let frames = self.gather(sub.conn, Some(key), encoding, |gather, speaker| {
                    for change in pass.changes.list.iter().skip(known) {
                        gather.add(Said::Notice(&notice_of(change)), change_frame(speaker, change));
                    }
                });
                self.stage_all(sub.conn, frames);
            }
        }
    }

    /// Presence changes were lost: better no list than a wrong one.
    fn end_watching(&mut self, feed: &mut Feed) {
        for sub in feed.subs.iter_mut().filter(|sub| sub.watch().is_some()) {
            self.end_watcher(&feed.topic, sub);
        }
    }

    /// Ends a subscription. It is removed after the turn, and gets nothing more until then.
    fn end_watcher(&mut self, topic: &Arc<Topic>, sub: &mut Sub) {
        sub.state = SubState::From(Offset(u64::MAX));
        if let Some(watch) = sub.watch_mut() {
            watch.upto = u64::MAX;
            watch.missed.clear();
        }
        let key = self.key_of(sub);
        let end = Notice::Ended { topic: &topic.name, code: ErrorCode::Overloaded };
        let frames = self.notice(sub.conn, Some(key), &end);
        self.stage_all(sub.conn, frames);
        self.ended.push((sub.conn, key));
    }

    /// Removes the subscriptions that a pass had to end.
    pub(super) fn remove_ended(&mut self) {
        for (slot, key) in std::mem::take(&mut self.ended) {
            self.unsubscribe(slot, key);
            self.told.push((slot, key, ErrorCode::Overloaded));
        }
    }
}

/// The entry of the turn's table that all with this encoding share, if one was looked for yet; none where each has its own.
fn entry_of(shared: &SharedEntries, encoding: Encoding) -> Option<Option<u32>> {
    shared.iter().find(|(of, _)| *of == encoding).map(|(_, frame)| *frame)
}

/// Notes that a value is passed on; returns how many of its key were left out since the last one that was.
fn pass_on(seen: &mut FxHashMap<Arc<str>, KeyCount>, value: &Placed) -> u64 {
    let key = value.message.key.as_deref().unwrap_or_default();
    let before = match seen.get_mut(key) {
        Some(last) => Some(std::mem::replace(last, value.count)),
        None => seen.insert(key.into(), value.count),
    };
    value.count.skipped_since(before)
}

/// Pacing: after a pass a feed rests for a share of the time the pass took, so that under load more messages share a
/// write, and the shard stays responsive.
fn pause_after(spent: Duration) -> Duration {
    if spent < Duration::from_micros(defaults::PACE_FROM_US) {
        return Duration::ZERO;
    }
    (spent / defaults::PACE_SHARE).min(Duration::from_millis(defaults::PACE_MAX_MS))
}
