//! Joining and leaving feeds: the dense lists on both sides and their back references.

use std::{sync::Arc, time::Duration};

use fanwire_proto::Offset;
use rustc_hash::FxHashMap;

use super::{
    conn::SubRef,
    core::{Core, FeedKey, slot32},
    feed::{Apart, Except, Extra, Feed, Sub, SubState, Watch},
    options::{SubKey, SubscribeOptions},
    stamp::{APART_BYTES, Said},
    waiting::Waiting,
};
use crate::{
    defaults,
    topic::{FeedRef, JoinRequest, Joined, Kind, Placed, Refusal, Topic},
};

impl Core {
    pub(super) fn subscribe(
        &mut self,
        slot: u32,
        topic: &Arc<Topic>,
        options: &SubscribeOptions,
    ) -> Result<Joined, Refusal> {
        let interval = match (topic.kind, options.max_rate) {
            (Kind::Latest, Some(max_rate)) => self.affordable_interval(topic, interval_of(max_rate)),
            // Other kinds have a promise that a rate would break.
            _ => topic.tick,
        };
        let feed_slot = self.open_feed(topic, interval);
        let request = JoinRequest {
            feed: self.feed_ref(feed_slot),
            member: options.member.clone().unwrap_or_else(|| self.conns[slot as usize].member.clone()),
            since: options.since,
            last: options.last,
            watch: options.watch,
            budget: defaults::CATCH_UP_BYTES,
        };
        let peers = self.peers.clone();
        let joined = topic.join(request, self.now_ms, |feed| peers[feed.shard.0].notify(feed));
        match joined {
            Ok(joined) => {
                self.add_sub(slot, feed_slot, &joined, options);
                Ok(joined)
            }
            Err(refusal) => {
                self.close_feed_if_unused(feed_slot);
                Err(refusal)
            }
        }
    }

    /// The interval asked for, unless the topic has many different ones here already.
    fn affordable_interval(&self, topic: &Arc<Topic>, interval: Duration) -> Duration {
        if self.feed_of.contains_key(&FeedKey::new(topic, interval)) {
            return interval;
        }
        let others = FeedKey::new(topic, interval).rated().and_then(|topic| self.rates.get(&topic));
        match others {
            Some(&others) if others >= defaults::EXACT_RATES => coarse(interval),
            _ => interval,
        }
    }

    fn feed_ref(&self, slot: u32) -> FeedRef {
        FeedRef { shard: self.handle.id, slot }
    }

    fn open_feed(&mut self, topic: &Arc<Topic>, interval: Duration) -> u32 {
        let key = FeedKey::new(topic, interval);
        if let Some(&slot) = self.feed_of.get(&key) {
            return slot;
        }
        let slot = slot32(self.feeds.insert(Feed::new(topic.clone(), interval, self.now)));
        self.feed_of.insert(key, slot);
        if let Some(topic) = key.rated() {
            *self.rates.entry(topic).or_default() += 1;
        }
        slot
    }

    fn add_sub(&mut self, slot: u32, feed_slot: u32, joined: &Joined, options: &SubscribeOptions) {
        let feed = &mut self.feeds[feed_slot as usize];
        let is_new = feed.subs.is_empty();
        if is_new {
            feed.epoch = joined.epoch;
            feed.position = joined.offset;
        }
        let state = match feed.topic.kind {
            Kind::Log | Kind::Document if joined.upto < joined.offset => SubState::Behind(joined.upto),
            Kind::Log | Kind::Document | Kind::Volatile => SubState::From(joined.offset),
            Kind::Latest => latest_start(feed, is_new, joined),
        };
        let watch = options.watch.then(|| Watch { upto: joined.members_upto, missed: Default::default() });
        let (declines_own, has_member) = (options.declines_own, options.member.is_some());
        let extra = (watch.is_some() || declines_own || has_member)
            .then(|| Box::new(Extra { watch, declines_own, has_member }));
        let conn = &mut self.conns[slot as usize];
        let (place, index) = (slot32(conn.subs.len()), slot32(feed.subs.len()));
        push_tightly(&mut conn.subs, SubRef { key: options.key, feed: feed_slot, index });
        push_tightly(&mut feed.subs, Sub { conn: slot, place, state, extra });
    }

    /// Sends the past that came with the reply, and lets the rest follow as the client reads.
    pub(super) fn start_subscription(&mut self, slot: u32, key: SubKey, joined: &Joined) {
        let Some(at) = self.find_sub(slot, key) else { return };
        let except = self.except(at);
        let encoding = self.conns[slot as usize].encoding;
        let now_count = first_share(&joined.past);
        let now = joined.past[..now_count].iter().filter(|message| !except.covers(message));
        let sent = now.clone().count();
        let past = self.gather(slot, Some(key), encoding, |gather, speaker| {
            for message in now {
                gather.add(Said::Message(&message.message), message.frame(speaker));
            }
        });
        for frames in past {
            if frames.len() < APART_BYTES {
                // Together with the reply that it follows.
                self.replies.extend_from_slice(&frames);
                continue;
            }
            self.stage_replies(slot);
            self.stage_own(slot, frames);
        }
        self.tally.deliveries += sent as u64;
        if self.feeds[at.feed as usize].topic.kind == Kind::Latest && now_count < joined.past.len() {
            self.set_waiting(at, joined.offset, Waiting::of(&joined.past[now_count..]));
        }
        if self.feeds[at.feed as usize].subs[at.index as usize].is_waiting() {
            self.schedule_catch_up(slot);
        }
    }

    fn set_waiting(&mut self, at: SubRef, after: Offset, waiting: Waiting) {
        let state = &mut self.feeds[at.feed as usize].subs[at.index as usize].state;
        let counts = match state {
            SubState::Apart(apart) => std::mem::take(&mut apart.counts),
            _ => FxHashMap::default(),
        };
        *state = SubState::Apart(Box::new(Apart { after, counts, waiting }));
    }

    pub(super) fn find_sub(&self, slot: u32, key: SubKey) -> Option<SubRef> {
        self.conns.get(slot as usize)?.subs.iter().find(|sub| sub.key == key).copied()
    }

    /// A connection's subscriptions to a topic, which are seldom more than one.
    pub(super) fn subs_to(&self, slot: u32, topic: &str) -> impl Iterator<Item = SubRef> {
        let subs = self.conns.get(slot as usize).map_or(&[][..], |conn| &conn.subs);
        let named = move |sub: &&SubRef| self.feeds[sub.feed as usize].topic.name.as_str() == topic;
        subs.iter().filter(named).copied()
    }

    pub(super) fn sub(&self, at: SubRef) -> &Sub {
        &self.feeds[at.feed as usize].subs[at.index as usize]
    }

    /// Which messages a subscriber does not get.
    pub(super) fn except(&self, at: SubRef) -> Except {
        let sub = self.sub(at);
        Except { client: self.conns[sub.conn as usize].member.client, declines_own: sub.declines_own() }
    }

    pub(super) fn unsubscribe(&mut self, slot: u32, key: SubKey) -> bool {
        let found = self.find_sub(slot, key);
        if let Some(at) = found {
            self.remove_sub(at);
        }
        found.is_some()
    }

    /// Ends all subscriptions of a connection.
    pub(super) fn leave_all(&mut self, slot: u32) {
        while let Some(at) = self.conns.get(slot as usize).and_then(|conn| conn.subs.last().copied()) {
            self.remove_sub(at);
        }
    }

    pub(super) fn remove_sub(&mut self, at: SubRef) {
        let feed = &mut self.feeds[at.feed as usize];
        let (conn_slot, place) = {
            let sub = &feed.subs[at.index as usize];
            (sub.conn, sub.place)
        };
        let watching = feed.subs[at.index as usize].watch().is_some();
        let conns = &mut self.conns;
        feed.remove(at.index as usize, |sub, index| {
            conns[sub.conn as usize].subs[sub.place as usize].index = slot32(index);
        });
        let topic = feed.topic.clone();
        let conn = &mut self.conns[conn_slot as usize];
        conn.subs.swap_remove(place as usize);
        if let Some(moved) = conn.subs.get(place as usize) {
            self.feeds[moved.feed as usize].subs[moved.index as usize].place = place;
        }
        if conn.subs.is_empty() {
            conn.subs.shrink_to_fit();
        }
        let (member, peers) = (conn.member.clone(), self.peers.clone());
        let now_ms = self.now_ms;
        topic.leave(self.feed_ref(at.feed), &member, watching, now_ms, |feed| {
            peers[feed.shard.0].notify(feed)
        });
        self.close_feed_if_unused(at.feed);
    }

    fn close_feed_if_unused(&mut self, slot: u32) {
        if self.feeds[slot as usize].subs.is_empty() {
            let feed = self.feeds.remove(slot as usize);
            let key = FeedKey::new(&feed.topic, feed.interval);
            self.feed_of.remove(&key);
            if let Some(topic) = key.rated()
                && let Some(others) = self.rates.get_mut(&topic)
            {
                *others -= 1;
                if *others == 0 {
                    self.rates.remove(&topic);
                }
            }
        }
    }
}

/// A subscriber to the newest values has its snapshot; the feed may still pass on some that are in it.
fn latest_start(feed: &mut Feed, is_new: bool, joined: &Joined) -> SubState {
    if is_new {
        feed.seen = joined.counts.iter().cloned().collect();
        return SubState::From(joined.offset);
    }
    match joined.counts.is_empty() {
        true => SubState::From(joined.offset),
        false => SubState::Apart(Box::new(Apart {
            after: joined.offset,
            counts: joined.counts.iter().cloned().collect(),
            waiting: Waiting::default(),
        })),
    }
}

/// Rates from one in eleven days to a million a second; beyond that nothing is left to limit.
fn interval_of(max_rate: f64) -> Duration {
    Duration::try_from_secs_f64(1.0 / max_rate.clamp(1e-6, 1e6)).unwrap_or(Duration::ZERO)
}

/// The next power of two of milliseconds.
fn coarse(interval: Duration) -> Duration {
    let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX / 2).saturating_add(1);
    Duration::from_millis(millis.checked_next_power_of_two().unwrap_or(millis))
}

/// How many of the messages go out with the reply.
fn first_share(past: &[Arc<Placed>]) -> usize {
    let mut used = 0;
    let fits = |message: &&Arc<Placed>| {
        used += message.weight();
        used <= defaults::CATCH_UP_BYTES
    };
    past.iter().take_while(fits).count().max(past.len().min(1))
}

/// Adds to a list that often stays at one: a connection's only topic, or a topic's only subscriber.
fn push_tightly<T>(list: &mut Vec<T>, item: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(item);
}
