//! Durable topics without sockets: forgotten in memory, restored from the store, and around damage.

use std::{
    ops::Bound,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use fanwire_proto::{Ack, HistoryReply, Offset, Payload, Position, TopicName};

use super::*;
use crate::{
    auth::Authenticator,
    defaults,
    durable::{Run, prefix_of},
    memory::Owner,
    metrics::Metrics,
    order::Placing,
    shard::ShardHandle,
    store::{Batch, Committer, Memory, Pace, Scan, Space, Store},
    topic::{Asker, Draft, HistoryQuery, Keeping, KindRule, NotPlaced, Retention, Rule, Rules},
    worker::Workers,
};

const AGE_S: u64 = 100;

/// Commits take the time of day, so these tests do, too.
fn unix_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

struct World {
    store: Arc<Memory>,
    broker: Broker,
}

fn open(store: &Arc<Memory>, keeping: Keeping) -> World {
    let retention = Retention { age: Duration::from_secs(AGE_S), ..Retention::default() };
    let rule = Rule { kind: KindRule::Log(retention), presence: true, keeping };
    let rules = Rules { by_pattern: Vec::new(), default: Arc::new(rule) };
    let policy = Policy { rules, limits: Limits::small(), authenticator: Authenticator::default() };
    let (run, begun) = Run::begin(&**store).unwrap();
    let pace = Pace { delay: Duration::ZERO, messages: 1 };
    let (committer, _) = Committer::start(store.clone(), pace, begun).unwrap();
    let shards: Arc<[ShardHandle]> = Vec::new().into();
    let broker =
        Broker::new(shards, policy, committer, run, Metrics::new().0, Workers::start().unwrap()).unwrap();
    World { store: store.clone(), broker }
}

impl World {
    fn submit(&self, name: &TopicName, data: u64, now_ms: u64) -> Placing {
        let payload = Payload::json(&data.to_string()).unwrap();
        let draft = Draft {
            payload,
            key: None,
            message_id: None,
            tags: None,
            from: None,
            not_to: None,
            by: Owner::default(),
        };
        self.broker.publish_and_wait(name, draft, Some(Ack::Durable), now_ms).unwrap()
    }

    /// Publishes and waits until it is durable.
    fn publish(&self, name: &TopicName, data: u64, now_ms: u64) -> Position {
        let Placing::Pending(outcome) = self.submit(name, data, now_ms) else { panic!("not durable yet") };
        let receipt = outcome.blocking_recv().unwrap().unwrap();
        Position { epoch: receipt.epoch, offset: receipt.offset }
    }

    fn since(&self, name: &TopicName, since: Option<Position>, now_ms: u64) -> (Option<bool>, Vec<String>) {
        let query = HistoryQuery { since, limit: 100, reverse: false };
        let HistoryReply { recovered, messages, .. } = self.broker.history(name, &query, now_ms).unwrap();
        let data = |payload| match payload {
            Payload::Json(raw) => raw.get().to_owned(),
            Payload::Bytes(_) => panic!("bytes"),
        };
        (recovered, messages.into_iter().map(|message| data(message.payload)).collect())
    }

    fn flush(&self) {
        self.broker.committer().flush().recv().unwrap();
    }

    fn blocks(&self, name: &TopicName) -> Vec<(Bytes, Bytes)> {
        self.store.scan(&Scan::prefix(Space::Messages, prefix_of(name))).unwrap()
    }

    fn heads(&self) -> usize {
        let all = Scan { from: Bound::Unbounded, ..Scan::prefix(Space::Topics, "") };
        self.store.scan(&all).unwrap().len()
    }
}

fn name() -> TopicName {
    "chat:a".parse().unwrap()
}

fn strings(data: &[u64]) -> Vec<String> {
    data.iter().map(u64::to_string).collect()
}

#[test]
fn an_idle_topic_leaves_memory_and_comes_back() {
    let now_ms = unix_ms();
    let world = open(&Arc::default(), Keeping::Durable);
    let first = world.publish(&name(), 1, now_ms);
    world.publish(&name(), 2, now_ms);
    world.broker.sweep(now_ms);
    world.flush();
    let later = now_ms + defaults::IDLE_TOPIC_S * 1_000;
    world.broker.sweep(later);
    assert_eq!(world.broker.topic_count(), 0);
    assert_eq!(world.since(&name(), Some(first), later), (Some(true), strings(&[2])));
    assert_eq!(world.broker.topic_count(), 1);
    let third = world.publish(&name(), 3, later);
    assert_eq!((third.epoch, third.offset), (first.epoch, Offset(3)));
}

#[test]
fn what_is_too_old_goes_from_the_disk_without_being_asked_for() {
    let now_ms = unix_ms();
    let world = open(&Arc::default(), Keeping::Durable);
    let first = world.publish(&name(), 1, now_ms);
    let idle = now_ms + defaults::IDLE_TOPIC_S * 1_000;
    world.broker.sweep(idle);
    assert_eq!((world.broker.topic_count(), world.blocks(&name()).len()), (0, 1));
    let too_old = now_ms + 1 + AGE_S * 1_000;
    world.broker.sweep(too_old);
    world.broker.sweep(too_old);
    world.flush();
    assert_eq!(world.blocks(&name()).len(), 0);
    // It goes on where it was, for as long as it is remembered.
    let second = world.publish(&name(), 2, too_old);
    assert_eq!((second.epoch, second.offset), (first.epoch, Offset(2)));
}

#[test]
fn a_clock_that_steps_back_loses_nothing_and_keeps_nothing_forever() {
    let now_ms = unix_ms();
    let store: Arc<Memory> = Arc::default();
    let world = open(&store, Keeping::Durable);
    let ahead = now_ms + 10 * AGE_S * 1_000;
    let first = world.publish(&name(), 1, ahead);
    world.broker.sweep(ahead);
    // Back by much more than messages are kept.
    let second = world.publish(&name(), 2, now_ms);
    assert!(second.epoch == first.epoch && second.offset > first.offset);
    world.broker.sweep(now_ms);
    world.flush();
    assert_eq!(world.since(&name(), None, now_ms).1, strings(&[1, 2]));
    let world = open(&store, Keeping::Durable);
    assert_eq!(world.since(&name(), Some(first), now_ms), (Some(true), strings(&[2])));
    let too_old = ahead + 1 + AGE_S * 1_000;
    world.broker.sweep(too_old);
    world.broker.sweep(too_old);
    world.flush();
    assert_eq!((world.since(&name(), None, too_old).1, world.blocks(&name()).len()), (strings(&[]), 0));
}

#[test]
fn a_topic_that_stays_empty_is_forgotten() {
    let now_ms = unix_ms();
    let world = open(&Arc::default(), Keeping::Durable);
    world.publish(&name(), 1, now_ms);
    let too_old = now_ms + 1 + AGE_S * 1_000;
    for _ in 0..3 {
        world.broker.sweep(too_old);
        world.flush();
    }
    assert_eq!((world.broker.topic_count(), world.heads(), world.blocks(&name()).len()), (0, 1, 0));
    world.broker.sweep(now_ms + (defaults::EMPTY_TOPIC_S + 60) * 1_000);
    assert_eq!(world.heads(), 0);
}

#[test]
fn a_block_that_is_missing_is_a_gap() {
    let now_ms = unix_ms();
    let store: Arc<Memory> = Arc::default();
    let world = open(&store, Keeping::Durable);
    let places: Vec<Position> = (1..=4).map(|data| world.publish(&name(), data, now_ms)).collect();
    let blocks = world.blocks(&name());
    assert_eq!(blocks.len(), 4);
    let mut batch = Batch::default();
    batch.delete(Space::Messages, blocks[1].0.clone());
    store.commit(&batch).unwrap();
    let world = open(&store, Keeping::Durable);
    assert_eq!(world.since(&name(), Some(places[0]), now_ms), (Some(false), strings(&[3, 4])));
    assert_eq!(world.since(&name(), Some(places[1]), now_ms), (Some(true), strings(&[3, 4])));
    assert_eq!(world.blocks(&name()).len(), 3, "nothing is deleted because of damage");
}

#[test]
fn an_unreadable_end_is_no_silent_loss() {
    let now_ms = unix_ms();
    let store: Arc<Memory> = Arc::default();
    let world = open(&store, Keeping::Durable);
    let places: Vec<Position> = (1..=3).map(|data| world.publish(&name(), data, now_ms)).collect();
    let blocks = world.blocks(&name());
    let mut batch = Batch::default();
    batch.put(Space::Messages, blocks[2].0.clone(), "garbage");
    store.commit(&batch).unwrap();
    let world = open(&store, Keeping::Durable);
    assert_eq!(world.since(&name(), Some(places[1]), now_ms).0, Some(false));
    let next = world.publish(&name(), 4, now_ms);
    assert_eq!(next.epoch, places[0].epoch);
    assert!(next.offset > places[2].offset, "no offset is used again");
    let again = open(&store, Keeping::Durable);
    assert_eq!(again.since(&name(), None, now_ms).1, strings(&[4]));
}

/// Publishes without waiting, and lets the process die before any commit begins.
fn publish_and_die(store: &Arc<Memory>, now_ms: u64) -> Position {
    // Each opening finds that the one before did not end.
    let world = open(store, Keeping::Durable);
    world.since(&name(), None, now_ms);
    world.flush();
    let payload = Payload::json("1").unwrap();
    let draft = Draft {
        payload,
        key: None,
        message_id: None,
        tags: None,
        from: None,
        not_to: None,
        by: Owner::default(),
    };
    let topic = world.broker.find_or_make(&name(), &Owner::default(), now_ms).unwrap();
    let taken = topic.publish(draft, Some(Ack::Accepted), Asker::nobody, now_ms, |_| {}).unwrap();
    taken.at
}

#[test]
fn crash_after_crash_no_offset_is_used_again() {
    let now_ms = unix_ms();
    let store: Arc<Memory> = Arc::default();
    let first = open(&store, Keeping::Durable).publish(&name(), 1, now_ms);
    let mut highest = first.offset;
    for _ in 0..5 {
        let taken = publish_and_die(&store, now_ms);
        assert_eq!(taken.epoch, first.epoch);
        assert!(taken.offset > highest, "{} after {highest}", taken.offset);
        highest = taken.offset;
    }
}

/// Once the store is closed, and after a panic of its thread, there is no next commit.
#[test]
fn whoever_publishes_when_there_is_no_next_commit_is_told() {
    let world = open(&Arc::default(), Keeping::Durable);
    world.publish(&name(), 1, unix_ms());
    world.broker.committer().close();
    for data in 2..5 {
        let Placing::Pending(outcome) = world.submit(&name(), data, unix_ms()) else { panic!("placed") };
        assert_eq!(outcome.blocking_recv(), Ok(Err(NotPlaced::NotKept)), "{data}");
    }
}

#[test]
fn while_nothing_is_durable_every_crash_brings_another_epoch() {
    let now_ms = unix_ms();
    let store: Arc<Memory> = Arc::default();
    let mut epochs: Vec<_> = (0..5).map(|_| publish_and_die(&store, now_ms).epoch.0).collect();
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 5);
}
