//! Property tests of durable topics: random schedules of publishing, commits that succeed or fail, and crashes, against
//! a model of a disk that keeps what a commit that succeeded wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, atomic::AtomicUsize, atomic::Ordering},
};

use fanwire_proto::{Ack, Epoch, Message, Offset, Payload};
use proptest::prelude::*;

use super::*;
use crate::{defaults, memory::Owner};

#[derive(Clone, Debug)]
enum Step {
    Publish { ack: Option<Ack>, message_id: Option<u8> },
    Begin,
    Succeed,
    Fail,
    Crash,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let ack = prop_oneof![Just(None), Just(Some(Ack::Accepted)), Just(Some(Ack::Durable))];
    prop_oneof![
        8 => (ack, proptest::option::of(0..6_u8)).prop_map(|(ack, message_id)| Step::Publish { ack, message_id }),
        4 => Just(Step::Begin),
        4 => Just(Step::Succeed),
        1 => Just(Step::Fail),
        1 => Just(Step::Crash),
        1 => Just(Step::Restart),
    ]
}

/// What a disk holds of one topic.
#[derive(Default)]
struct Disk {
    head: Option<Head>,
    messages: BTreeMap<Offset, (Message, Option<String>)>,
    blocks: BTreeMap<Offset, Block>,
}

impl Disk {
    fn write(&mut self, writing: &Writing) {
        if let Some(head) = writing.head {
            self.head = Some(head);
        }
        for entry in &writing.entries {
            let kept = (entry.message.clone(), entry.message_id.clone());
            self.messages.insert(entry.message.offset, kept);
        }
        if let Some(block) = writing.block() {
            self.blocks.insert(block.first, block);
        }
        for block in &writing.old_blocks {
            assert!(self.blocks.remove(&block.first).is_some(), "{block:?} was removed before");
            self.messages.retain(|offset, _| *offset < block.first || *offset > block.last);
        }
    }

    /// `None` while nothing was ever written.
    fn restored(&self, crashes: u64) -> Option<Restored> {
        let mut head = self.head?;
        head.last = self.messages.keys().next_back().copied().unwrap_or(head.last).max(head.last);
        head.numbered = Offset(head.last.max(head.numbered).0 + crashes * defaults::UNKEPT_COUNT as u64);
        Some(Restored {
            head,
            messages: self.messages.values().cloned().collect(),
            blocks: self.blocks.values().copied().collect(),
        })
    }
}

struct World {
    rule: Arc<Rule>,
    disk: Disk,
    topic: Topic,
    under_way: Option<Writing>,
    /// Crashes since something was last written.
    crashes: u64,
    now_ms: u64,
    epoch: Epoch,
    /// Every place that was handed out, by epoch and offset, with what was published there.
    handed_out: BTreeMap<(u64, Offset), usize>,
    /// Offsets that were acknowledged as durable.
    safe: Arc<Mutex<BTreeSet<Offset>>>,
    failed: Arc<AtomicUsize>,
    /// Those who were promised to be told, and those who were.
    asked: usize,
    told: Arc<AtomicUsize>,
    count: usize,
}

impl World {
    fn new() -> Self {
        let retention = Retention { count: 20, ..Retention::default() };
        let rule =
            Arc::new(Rule { kind: KindRule::Log(retention), presence: false, keeping: Keeping::Durable });
        let topic = Topic::new("t".parse().unwrap(), rule.clone(), Epoch(7), 0);
        assert!(!topic.wants_commit(), "a topic that nobody has published to is not written");
        Self {
            rule,
            disk: Disk::default(),
            topic,
            under_way: None,
            crashes: 0,
            now_ms: 0,
            epoch: Epoch(7),
            handed_out: BTreeMap::new(),
            safe: Arc::default(),
            failed: Arc::default(),
            asked: 0,
            told: Arc::default(),
            count: 0,
        }
    }

    fn publish(&mut self, ack: Option<Ack>, message_id: Option<u8>) {
        self.count += 1;
        let data = self.count;
        let message_id = message_id.map(|id| format!("{id}"));
        let draft = Draft {
            payload: Payload::json(&data.to_string()).unwrap(),
            key: None,
            message_id,
            tags: None,
            from: None,
            not_to: None,
            by: Owner::default(),
        };
        let (safe, failed, told) = (self.safe.clone(), self.failed.clone(), self.told.clone());
        let (asked, epoch) = (&mut self.asked, self.epoch);
        let asker = || {
            *asked += 1;
            Asker::call(move |outcome| {
                told.fetch_add(1, Ordering::Relaxed);
                match outcome {
                    Ok(receipt) => {
                        assert_eq!(receipt.epoch, epoch);
                        safe.lock().unwrap().insert(receipt.offset);
                    }
                    Err(_) => drop(failed.fetch_add(1, Ordering::Relaxed)),
                }
            })
        };
        let taken = self.topic.publish(draft, ack, asker, self.now_ms, |_| {}).unwrap();
        let offset = taken.at.offset;
        assert!(taken.receipt.is_some() || ack != Some(Ack::Accepted));
        if !taken.duplicate {
            assert_eq!(taken.at.epoch, self.epoch);
            let before = self.handed_out.insert((self.epoch.0, offset), data);
            assert_eq!(before, None, "{offset} was handed out before");
        } else if taken.receipt.is_some() && ack != Some(Ack::Accepted) {
            self.safe.lock().unwrap().insert(offset);
        }
    }

    fn begin(&mut self) {
        if self.under_way.is_none() {
            self.under_way = Some(self.topic.begin_commit());
        }
    }

    fn succeed(&mut self) {
        let Some(writing) = self.under_way.take() else { return };
        if !writing.is_empty() {
            self.crashes = 0;
        }
        self.disk.write(&writing);
        let settled = self.topic.committed(writing, self.now_ms, |_| {});
        Settled::tell_all(settled);
    }

    fn fail(&mut self) {
        let Some(writing) = self.under_way.take() else { return };
        let settled = self.topic.not_committed(writing);
        Settled::tell_all(settled);
    }

    /// The process dies; whether the commit under way made it to the disk is open.
    fn crash(&mut self, made_it: bool) {
        if let Some(writing) = self.under_way.take().filter(|_| made_it) {
            self.disk.write(&writing);
            if !writing.is_empty() {
                self.crashes = 0;
            }
        }
        self.crashes += 1;
        self.restore();
    }

    fn restart(&mut self) {
        self.begin();
        self.succeed();
        self.begin();
        self.succeed();
        self.restore();
    }

    fn restore(&mut self) {
        let (name, rule) = ("t".parse().unwrap(), self.rule.clone());
        self.topic = match self.disk.restored(self.crashes) {
            Some(restored) => Topic::restore(name, rule, restored, self.now_ms),
            None => {
                assert!(self.safe.lock().unwrap().is_empty(), "what was durable is gone");
                self.epoch.0 += 1;
                Topic::new(name, rule, self.epoch, self.now_ms)
            }
        };
    }

    /// What subscribers can see is on the disk, in order; what is safe is there unless retention took it.
    fn check(&self) {
        let query = HistoryQuery { since: None, limit: usize::MAX, reverse: false };
        let history = self.topic.history(&query, self.now_ms);
        let offsets: Vec<Offset> = history.messages.iter().map(|message| message.offset).collect();
        assert!(offsets.is_sorted() && offsets.len() <= 20, "{offsets:?}");
        for message in &history.messages {
            assert!(self.disk.messages.contains_key(&message.offset), "{} is not kept", message.offset);
            let Payload::Json(data) = &message.payload else { panic!("not JSON") };
            let expected = self.handed_out[&(self.epoch.0, message.offset)].to_string();
            assert_eq!(data.get(), expected, "another message at {}", message.offset);
        }
        let oldest = offsets.first().copied().unwrap_or(history.offset);
        for offset in self.safe.lock().unwrap().range(oldest..) {
            assert!(offsets.contains(offset) || offsets.is_empty(), "{offset} is lost");
        }
        assert_eq!(history.epoch, self.epoch);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]
    #[test]
    fn nothing_safe_is_lost_and_nothing_lost_was_seen(
        steps in proptest::collection::vec((step(), any::<bool>()), 1..80)
    ) {
        let mut world = World::new();
        for (step, luck) in steps {
            world.now_ms += 1;
            match step {
                Step::Publish { ack, message_id } => world.publish(ack, message_id),
                Step::Begin => world.begin(),
                Step::Succeed => world.succeed(),
                Step::Fail => world.fail(),
                Step::Crash => world.crash(luck),
                Step::Restart => world.restart(),
            }
            world.check();
        }
        let (asked, told) = (world.asked, world.told.clone());
        drop(world);
        prop_assert_eq!(told.load(Ordering::Relaxed), asked, "each is told once, also when the topic goes away");
    }
}

#[test]
fn a_message_is_seen_once_it_is_durable() {
    let mut world = World::new();
    world.publish(None, None);
    world.begin();
    world.publish(None, None);
    let seen = |world: &World| world.topic.summary(world.now_ms).messages;
    assert_eq!((seen(&world), world.safe.lock().unwrap().len()), (0, 0));
    world.succeed();
    assert_eq!((seen(&world), world.safe.lock().unwrap().len()), (1, 1));
    world.begin();
    world.fail();
    assert_eq!((seen(&world), world.failed.load(Ordering::Relaxed)), (1, 1));
    world.begin();
    world.succeed();
    assert_eq!(seen(&world), 2);
}
