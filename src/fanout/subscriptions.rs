//! Joining and leaving feeds: the dense lists on both sides and their back references.

use std::{sync::Arc, time::Instant};

use fanwire_proto::Member;

use super::{
    connections::Receiver,
    core::Fanout,
    faults::{Fault, planted},
    feed::Feed,
    options::{SubKey, SubscribeOptions},
    readers::SubRef,
    slot::slot32,
    subscriber::{Apart, Except, Extra, Sub, SubState, Watch},
    waiting::Waiting,
};
use crate::topic::{FeedRef, JoinRequest, Joined, Kind, Placed, Refusal, Topic};

/// A moment, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// For pauses.
    pub now: Instant,
    /// For topics, in milliseconds since 1970.
    pub unix_ms: u64,
}

impl Fanout {
    /// Adds a subscription of a connection, whose member this is. `notify` gets each feed that has to pull now, as everywhere.
    /// Nothing is sent yet: then comes [`start`](Self::start).
    pub fn subscribe(
        &mut self,
        (conn, member): (u32, &Member),
        topic: &Arc<Topic>,
        options: &SubscribeOptions,
        at: Moment,
        notify: impl FnMut(FeedRef),
    ) -> Result<Joined, Refusal> {
        // Opened first: from joining on the topic calls it by its slot.
        let slot = self.open_feed(topic, options.max_rate, at.now);
        let request = JoinRequest {
            feed: self.feed_ref(slot),
            member: options.member.as_ref().unwrap_or(member).clone(),
            since: options.since,
            last: options.last,
            watch: options.watch,
            budget: self.bounds.catch_up_bytes,
        };
        let joined = topic.join(request, at.unix_ms, notify);
        match &joined {
            Ok(joined) => self.add_sub(conn, slot, joined, options),
            Err(_) => self.close_feed_if_unused(slot),
        }
        joined
    }

    fn feed_ref(&self, slot: u32) -> FeedRef {
        FeedRef { shard: self.shard, slot }
    }

    fn open_feed(&mut self, topic: &Arc<Topic>, max_rate: Option<f64>, now: Instant) -> u32 {
        let interval = self.rates.interval(topic, max_rate);
        self.rates.feed(topic, interval).unwrap_or_else(|| {
            let slot = slot32(self.feeds.insert(Feed::new(topic.clone(), interval, now)));
            self.rates.add(topic, interval, slot);
            slot
        })
    }

    fn add_sub(&mut self, conn: u32, slot: u32, joined: &Joined, options: &SubscribeOptions) {
        let feed = &mut self.feeds[slot as usize];
        // Nothing was pulled since the topic was joined: pulls are made by this thread.
        let is_new = feed.subs.is_empty();
        if is_new {
            feed.position = joined.offset;
        }
        let state = match feed.topic.kind {
            // More past than fits the reply: it reads on, and passes leave it alone until it has caught up.
            Kind::Log | Kind::Document if joined.upto < joined.offset => SubState::Behind(joined.upto),
            Kind::Log if planted(Fault::JoinsInStep) => SubState::Live,
            Kind::Log | Kind::Document | Kind::Volatile => SubState::From(joined.offset),
            Kind::Latest => latest_start(feed, is_new, joined),
        };
        let watch = options.watch.then(|| Watch { upto: joined.members_upto, missed: Default::default() });
        let (declines_own, has_member) = (options.declines_own, options.member.is_some());
        let extra = (watch.is_some() || declines_own || has_member)
            .then(|| Box::new(Extra { watch, declines_own, has_member }));
        self.readers.link((slot, feed), conn, options.key, |place| Sub { conn, place, state, extra });
    }

    /// Begins a subscription after its reply: returns what of the past goes out with it; the rest follows as the client
    /// reads.
    pub fn start<'j>(
        &mut self,
        conn: u32,
        to: Receiver,
        key: SubKey,
        joined: &'j Joined,
    ) -> impl Iterator<Item = &'j Placed> + use<'j> {
        let at = self.readers.find(conn, key);
        // Of a log this is all, since joining had the same budget. A snapshot is whole, and goes out share by share.
        let now = at.map_or(0, |_| first_share(&joined.past, self.bounds.catch_up_bytes));
        let (now, later) = joined.past.split_at(now);
        let mut except = Except { client: to.client, declines_own: false };
        if let Some(at) = at {
            let is_latest = self.feeds[at.feed as usize].topic.kind == Kind::Latest;
            let sub = self.sub_mut(at);
            except.declines_own = sub.declines_own();
            // The rest of a snapshot waits like other values do, so that newer ones of their keys take their places.
            if is_latest && !later.is_empty() {
                let counts = match &mut sub.state {
                    SubState::Apart(apart) => std::mem::take(&mut apart.counts),
                    _ => Default::default(),
                };
                let (after, waiting) = (joined.offset, Waiting::of(later));
                sub.state = SubState::Apart(Box::new(Apart { after, counts, waiting }));
            }
            if sub.is_waiting() {
                self.readers.schedule_catch_up(conn, to.blocked);
            }
        }
        let now = now.iter().map(|message| &**message).filter(move |message| !except.covers(message));
        self.counts.deliveries += now.clone().count() as u64;
        now
    }

    /// Sets whether a subscription's member is its own; returns its topic if there is one.
    pub fn set_member(&mut self, conn: u32, key: SubKey, is_own: bool) -> Option<Arc<Topic>> {
        let at = self.readers.find(conn, key)?;
        let sub = self.sub_mut(at);
        // Nothing is allocated to say no.
        if is_own || sub.extra.is_some() {
            sub.extra.get_or_insert_default().has_member = is_own;
        }
        Some(self.feeds[at.feed as usize].topic.clone())
    }

    /// Removes a subscription of a connection, whose client this is; false when there was none.
    pub fn unsubscribe(
        &mut self,
        (conn, member): (u32, &Member),
        key: SubKey,
        unix_ms: u64,
        notify: impl FnMut(FeedRef),
    ) -> bool {
        let found = self.readers.find(conn, key);
        if let Some(at) = found {
            self.remove(at, member, unix_ms, notify);
        }
        found.is_some()
    }

    /// Removes all subscriptions of a connection.
    pub fn leave_all(
        &mut self,
        (conn, member): (u32, &Member),
        unix_ms: u64,
        mut notify: impl FnMut(FeedRef),
    ) {
        // From the end, where taking one out moves no other.
        while let Some(&at) = self.readers.subs(conn).last() {
            self.remove(at, member, unix_ms, &mut notify);
        }
        self.readers.forget(conn);
    }

    fn remove(&mut self, at: SubRef, member: &Member, unix_ms: u64, notify: impl FnMut(FeedRef)) {
        let feed = &mut self.feeds[at.feed as usize];
        let (gone, moved) = self.readers.unlink(at, feed);
        let (topic, watching) = (feed.topic.clone(), gone.watch().is_some());
        if let Some((moved, place)) = moved
            && !planted(Fault::ForgetsPlaces)
        {
            self.sub_mut(moved).place = place;
        }
        // Before the slot is free: the topic knows the feed by it.
        topic.leave(self.feed_ref(at.feed), member, watching, unix_ms, notify);
        self.close_feed_if_unused(at.feed);
    }

    fn close_feed_if_unused(&mut self, slot: u32) {
        if self.feeds[slot as usize].subs.is_empty() {
            let feed = self.feeds.remove(slot as usize);
            self.rates.remove(&feed.topic, feed.interval);
            self.turns.closed(&feed, &self.feeds);
        }
    }
}

/// A subscriber to the newest values has its snapshot; the feed may still pass on some that are in it.
fn latest_start(feed: &mut Feed, is_new: bool, joined: &Joined) -> SubState {
    if is_new {
        feed.seen = joined.counts.iter().cloned().collect();
        return SubState::From(joined.offset);
    }
    // Without any, the feed has passed on all that is in the snapshot, and both go on from the same place.
    match joined.counts.is_empty() {
        true => SubState::From(joined.offset),
        false => SubState::Apart(Box::new(Apart {
            after: joined.offset,
            counts: joined.counts.iter().cloned().collect(),
            waiting: Waiting::default(),
        })),
    }
}

/// How many of the messages go out with the reply.
fn first_share(past: &[Arc<Placed>], budget: usize) -> usize {
    let mut used = 0;
    let fits = |message: &&Arc<Placed>| {
        used += message.weight();
        used <= budget
    };
    past.iter().take_while(fits).count().max(past.len().min(1))
}
