//! Topics, a shard's fan-out and its audience, and random steps.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use fanwire_proto::{ClientId, Epoch, Kind, Member, Offset, Payload, Position};

use super::{
    audience::{Audience, Conn, Heard},
    client::{Published, Subscriber, at},
};
use crate::{
    fanout::{Bounds, Connections, Fanout, Item, Moment, SubKey, SubscribeOptions},
    memory::Owner,
    topic::{Asker, Draft, FeedRef, Joined, Keeping, KindRule, Retention, Rule, ShardId, Topic},
};

const SLOTS: u32 = 7;
const KEYS: usize = 3;
const PLENTY: usize = usize::MAX;

/// Messages that the topics keep.
const KEPT: [usize; 4] = [6, 1_000, 1_000, 1_000];

/// Numbers that look random (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

pub(super) struct World {
    random: Random,
    topics: Vec<Arc<Topic>>,
    published: Vec<Vec<Published>>,
    fanout: Fanout,
    audience: Audience,
    /// Feeds that topics have marked and the shard has not heard of yet.
    inbox: VecDeque<FeedRef>,
    /// By slot and topic; the topic's number is the subscription's key.
    subscribers: BTreeMap<(u32, usize), Subscriber>,
    clients: u64,
}

fn topics() -> Vec<Arc<Topic>> {
    let log = |count| KindRule::Log(Retention { count, age: Duration::from_secs(1 << 20), bytes: 1 << 20 });
    let latest = KindRule::Latest { max_keys: 100, max_age: None };
    let kinds = [log(KEPT[0]), log(KEPT[1]), latest, KindRule::Volatile { tick: None }];
    let topic = |(index, kind): (usize, KindRule)| {
        let rule = Rule { kind, presence: true, keeping: Keeping::Memory };
        Arc::new(Topic::new(index.to_string().parse().unwrap(), Arc::new(rule), Epoch(7), 0))
    };
    kinds.into_iter().enumerate().map(topic).collect()
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let bounds = Bounds {
            turn_deliveries: 2,
            turn_catch_ups: 2,
            slice_subscribers: 1,
            pass_bytes: 200,
            pass_changes: 2,
            catch_up_bytes: 200,
            watcher_backlog: 8,
        };
        let topics = topics();
        let mut world = Self {
            random: Random(seed),
            published: topics.iter().map(|_| Vec::new()).collect(),
            topics,
            fanout: Fanout::new(ShardId(0), bounds),
            audience: Audience::new(SLOTS as usize),
            inbox: VecDeque::new(),
            subscribers: BTreeMap::new(),
            clients: 0,
        };
        // Most are there from the beginning: what goes wrong needs several at once.
        (0..SLOTS).for_each(|slot| world.come(slot));
        world
    }

    /// Does something, and looks at what came of it.
    pub(super) fn step(&mut self) -> Result<(), String> {
        let slot = u32::try_from(self.random.below(SLOTS.into())).unwrap();
        match self.random.below(20) {
            0..=4 => self.publish(),
            5..=7 => self.pull(),
            8..=10 => self.run(),
            11 => self.fanout.catch_up(&mut self.audience),
            12 => self.audience.flush_all(),
            13 => self.fill(slot),
            14 | 15 => self.drain(slot),
            16 | 17 => self.join_or_leave(slot)?,
            18 if self.random.one_in(2) => self.come_or_go(slot),
            _ => self.pass_time(),
        }
        self.listen()
    }

    fn publish(&mut self) {
        let topic = self.random.index(self.topics.len());
        for _ in 0..=self.random.below(4) {
            let key = self.random.index(KEYS);
            let anybody = |random: &mut Random, clients| ClientId(1 + random.below(clients + 1));
            let from = anybody(&mut self.random, self.clients);
            let not_to = self.random.one_in(6).then(|| anybody(&mut self.random, self.clients));
            let is_latest = self.topics[topic].kind == Kind::Latest;
            let draft = Draft {
                payload: Payload::json("1").unwrap(),
                key: is_latest.then(|| key.to_string()),
                message_id: None,
                tags: None,
                from: Some(member(from)),
                not_to,
                by: Owner::default(),
            };
            let inbox = &mut self.inbox;
            self.topics[topic].publish(draft, None, Asker::nobody, 0, |feed| inbox.push_back(feed)).unwrap();
            let published = &mut self.published[topic];
            let number = 1 + published.iter().filter(|other| other.key == key).count() as u64;
            published.push(Published { key, number, from, not_to });
        }
    }

    fn run(&mut self) {
        let now = self.audience.now.get();
        self.fanout.run(&mut self.audience, now);
    }

    fn pull(&mut self) {
        if let Some(feed) = self.inbox.pop_front() {
            self.fanout.notified(feed.slot, self.audience.now.get());
        }
    }

    /// From now on the socket takes little or nothing.
    fn fill(&mut self, slot: u32) {
        let room = self.random.index(3);
        if let Some(conn) = &mut self.audience.conns[slot as usize] {
            conn.room = room;
            conn.blocked |= room == 0;
        }
    }

    fn drain(&mut self, slot: u32) {
        let room = if self.random.one_in(2) { PLENTY } else { 1 + self.random.index(4) };
        if let Some(conn) = &mut self.audience.conns[slot as usize] {
            (conn.room, conn.blocked) = (room, false);
            self.fanout.drained(slot);
        }
    }

    fn join_or_leave(&mut self, slot: u32) -> Result<(), String> {
        let topic = self.random.index(self.topics.len());
        let Some(client) = self.audience.conns[slot as usize].as_ref().map(|conn| conn.client) else {
            return Ok(());
        };
        if self.subscribers.remove(&(slot, topic)).is_some() {
            let (key, inbox) = (key_of(topic), &mut self.inbox);
            let was = self.fanout.unsubscribe((slot, &member(client)), key, 0, |feed| inbox.push_back(feed));
            return was.then_some(()).ok_or_else(|| format!("{client} has no subscription to {topic}"));
        }
        self.join(slot, client, topic);
        Ok(())
    }

    fn join(&mut self, slot: u32, client: ClientId, topic: usize) {
        let last = self.published[topic].len() as u64;
        let since = self
            .random
            .one_in(2)
            .then(|| Position { epoch: Epoch(7), offset: Offset(self.random.below(last + 1)) });
        let options = SubscribeOptions {
            key: key_of(topic),
            since,
            last: self.random.one_in(3).then(|| u32::try_from(self.random.below(10)).unwrap()),
            watch: self.random.one_in(2),
            max_rate: self.random.one_in(3).then_some(50.0),
            declines_own: self.random.one_in(4),
            member: None,
        };
        let at = Moment { now: self.audience.now.get(), unix_ms: 0 };
        let (who, inbox) = (member(client), &mut self.inbox);
        let joined = self
            .fanout
            .subscribe((slot, &who), &self.topics[topic], &options, at, |feed| inbox.push_back(feed));
        let joined = joined.unwrap();
        self.subscribers.insert((slot, topic), self.begin(client, topic, &options, &joined));
        let to = self.audience.receiver(slot).unwrap();
        let past: Vec<_> = self.fanout.start(slot, to, options.key, &joined).collect();
        self.audience.send_own(slot, options.key, past.into_iter().map(|message| Item::Message(message, 0)));
    }

    /// What somebody knows at the beginning of a subscription.
    fn begin(
        &self,
        client: ClientId,
        topic: usize,
        options: &SubscribeOptions,
        joined: &Joined,
    ) -> Subscriber {
        let (kind, published) = (self.topics[topic].kind, &self.published[topic]);
        let first = joined.past.first().map(|message| message.message.offset.0 - 1);
        let position = match (kind, options.since, joined.recovered) {
            (Kind::Log, Some(since), Some(true)) => since.offset,
            (Kind::Log, _, _) => first.map_or(joined.offset, Offset),
            (Kind::Latest, _, _) => Offset::ZERO,
            _ => joined.offset,
        };
        let mut has = BTreeMap::new();
        has.extend(published.iter().map(|message| (message.key, message.number)));
        for message in &joined.past {
            let published = at(published, message.message.offset).unwrap();
            has.insert(published.key, published.number - 1);
        }
        let members = joined.members.as_ref();
        Subscriber {
            client,
            kind,
            declines_own: options.declines_own,
            position,
            has,
            was_blocked: false,
            members: members.map(|members| members.iter().map(|member| member.client).collect()),
            ended: false,
        }
    }

    fn come_or_go(&mut self, slot: u32) {
        match self.audience.conns[slot as usize].take() {
            Some(conn) => {
                let inbox = &mut self.inbox;
                self.fanout.leave_all((slot, &member(conn.client)), 0, |feed| inbox.push_back(feed));
                self.subscribers.retain(|(of, _), _| *of != slot);
            }
            None => self.come(slot),
        }
    }

    /// Somebody connects, and subscribes to some of the topics.
    fn come(&mut self, slot: u32) {
        self.clients += 1;
        let client = ClientId(self.clients);
        let conn = Conn { client, blocked: false, room: PLENTY, heard: Vec::new() };
        self.audience.conns[slot as usize] = Some(conn);
        for topic in 0..self.topics.len() {
            if !self.random.one_in(3) {
                self.join(slot, client, topic);
            }
        }
    }

    fn pass_time(&mut self) {
        let passed = Duration::from_millis(self.random.below(30));
        self.audience.now.set(self.audience.now.get() + passed);
        self.fanout.wake(self.audience.now.get());
    }

    /// Tells the model what everybody has heard.
    fn listen(&mut self) -> Result<(), String> {
        for (slot, conn) in (0..).zip(&mut self.audience.conns) {
            let Some(conn) = conn else { continue };
            for heard in conn.heard.drain(..) {
                let topic = topic_of(&heard);
                let Some(subscriber) = self.subscribers.get_mut(&(slot, topic)) else {
                    return Err(format!("{} hears {heard:?} without a subscription", conn.client));
                };
                let published = &self.published[topic];
                let heard = subscriber.hear(&heard, published, KEPT[topic]);
                heard.map_err(|what| format!("{} on {topic}: {what}", conn.client))?;
            }
            if conn.blocked {
                let own = self.subscribers.range_mut((slot, 0)..(slot + 1, 0));
                own.for_each(|(_, subscriber)| subscriber.was_blocked = true);
            }
        }
        for (slot, key) in self.fanout.take_ended() {
            let Some(subscriber) = self.subscribers.remove(&(slot, key.0 as usize)) else { continue };
            if !subscriber.ended {
                return Err(format!("{} was not told of an end", subscriber.client));
            }
            let inbox = &mut self.inbox;
            self.fanout.unsubscribe((slot, &member(subscriber.client)), key, 0, |feed| inbox.push_back(feed));
        }
        Ok(())
    }

    /// All sockets are empty from now on, and everything that is under way arrives.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        for slot in 0..SLOTS {
            if let Some(conn) = &mut self.audience.conns[slot as usize] {
                (conn.room, conn.blocked) = (PLENTY, false);
                self.fanout.drained(slot);
            }
        }
        for _ in 0..10_000 {
            self.pull();
            self.fanout.catch_up(&mut self.audience);
            self.run();
            self.audience.flush_all();
            self.listen()?;
            if self.inbox.is_empty() && !self.fanout.has_work() {
                let Some(next) = self.fanout.next_wake() else { return self.check() };
                self.audience.now.set(self.audience.now.get().max(next));
                self.fanout.wake(self.audience.now.get());
            }
        }
        Err("it never settles".into())
    }

    fn check(&self) -> Result<(), String> {
        for (&(_, topic), subscriber) in &self.subscribers {
            let members = self.topics[topic].members().unwrap().members;
            let members: BTreeSet<ClientId> = members.iter().map(|member| member.client).collect();
            let settled = subscriber.settled(&self.published[topic], &members);
            settled.map_err(|what| format!("{} on {topic} in the end: {what}", subscriber.client))?;
        }
        match self.fanout.is_idle() {
            true => Ok(()),
            false => Err("a feed waits for nothing".into()),
        }
    }
}

fn member(client: ClientId) -> Member {
    Member { client, user: None, info: None }
}

fn key_of(topic: usize) -> SubKey {
    SubKey(u32::try_from(topic).unwrap())
}

fn topic_of(heard: &Heard) -> usize {
    match heard {
        Heard::Message { topic, .. }
        | Heard::Joined { topic, .. }
        | Heard::Left { topic, .. }
        | Heard::Gap { topic, .. }
        | Heard::Ended { topic } => topic.parse().unwrap(),
    }
}
