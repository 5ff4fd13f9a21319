//! Property tests of resume: random schedules of publishing, pulling, disconnecting and coming back, against a model
//! that knows every message ever published.

use std::{sync::Arc, time::Duration};

use fanwire_proto::{ClientId, Epoch, Member, Offset, Payload, Position};
use proptest::prelude::*;

use super::*;
use crate::memory::Owner;

const FEED: FeedRef = FeedRef { shard: ShardId(0), slot: 0 };

/// One step of a schedule.
#[derive(Clone, Debug)]
enum Step {
    Publish {
        count: usize,
        bytes: usize,
    },
    /// A pass: the shard takes over what there is, up to a budget.
    Pull {
        budget: usize,
    },
    /// The subscriber's connection breaks.
    Disconnect,
    /// It comes back from where it was.
    Reconnect {
        budget: usize,
    },
    /// It was too slow for passes and reads the history.
    FallBehind,
    CatchUp {
        budget: usize,
    },
    Wait {
        ms: u64,
    },
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let budget = prop_oneof![Just(1_usize), 100..2_000_usize];
    prop_oneof![
        4 => (1..20_usize, 1..50_usize).prop_map(|(count, bytes)| Step::Publish { count, bytes }),
        4 => budget.clone().prop_map(|budget| Step::Pull { budget }),
        1 => Just(Step::Disconnect),
        2 => budget.clone().prop_map(|budget| Step::Reconnect { budget }),
        1 => Just(Step::FallBehind),
        2 => budget.prop_map(|budget| Step::CatchUp { budget }),
        1 => (0..3_000_u64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Sweep),
    ]
}

/// What the client knows: the messages it got, and every hole it was told of.
#[derive(Debug, Default)]
struct Client {
    got: Vec<Offset>,
    /// Everything up to here was received or declared lost.
    position: Option<Position>,
}

impl Client {
    fn receive(&mut self, epoch: Epoch, messages: &[Arc<Placed>]) {
        for message in messages {
            let offset = message.message.offset;
            let known = self.position.map_or(Offset::ZERO, |position| position.offset);
            assert_eq!(offset.0, known.0 + 1, "a hole or a repeat after {known}");
            self.got.push(offset);
            self.position = Some(Position { epoch, offset });
        }
    }

    /// The server said that what lies between is gone.
    fn skip_to(&mut self, epoch: Epoch, offset: Offset) {
        self.position = Some(Position { epoch, offset });
    }
}

/// How the shard holds the subscriber.
#[derive(Debug)]
enum Held {
    Away,
    /// Served by passes, having everything up to here.
    Live(Offset),
    /// Reading the history from here.
    Behind(Offset),
}

struct World {
    topic: Topic,
    client: Client,
    held: Held,
    /// What the feed has taken over; `None` while there is none.
    feed: Option<Offset>,
    now_ms: u64,
    published: u64,
}

impl World {
    fn new(retention: Retention) -> Self {
        let rule = Rule { kind: KindRule::Log(retention), presence: true, keeping: Keeping::Memory };
        let topic = Topic::new("t".parse().unwrap(), Arc::new(rule), Epoch(7), 0);
        Self {
            topic,
            client: Client::default(),
            held: Held::Away,
            feed: None,
            now_ms: 1_000_000,
            published: 0,
        }
    }

    fn member() -> Member {
        Member { client: ClientId(1), user: None, info: None }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Publish { count, bytes } => (0..count).for_each(|_| self.publish(bytes)),
            Step::Pull { budget } => self.pull(budget),
            Step::Disconnect => self.disconnect(),
            Step::Reconnect { budget } => self.reconnect(budget),
            Step::FallBehind => {
                if let Held::Live(at) = self.held {
                    self.held = Held::Behind(at);
                }
            }
            Step::CatchUp { budget } => self.catch_up(budget),
            Step::Wait { ms } => self.now_ms += ms,
            Step::Sweep => assert!(!self.topic.expire(self.now_ms, u64::MAX)),
        }
    }

    fn publish(&mut self, bytes: usize) {
        let payload = Payload::text(&"x".repeat(bytes)).unwrap();
        let draft = Draft {
            payload,
            key: None,
            message_id: None,
            tags: None,
            from: None,
            not_to: None,
            by: Owner::default(),
        };
        let receipt =
            self.topic.publish(draft, None, Asker::nobody, self.now_ms, |_| {}).unwrap().receipt.unwrap();
        self.published += 1;
        assert_eq!(receipt.offset, Offset(self.published));
    }

    fn pull(&mut self, budget: usize) {
        let Some(before) = self.feed else { return };
        let pulled = self.topic.pull(FEED, budget).expect("the feed is open");
        // What a shard has not taken over is never evicted, so a pass has no holes.
        for (expected, message) in (before.0 + 1..).zip(&pulled.messages) {
            assert_eq!(message.message.offset, Offset(expected));
        }
        assert_eq!(pulled.upto.0, before.0 + pulled.messages.len() as u64);
        assert_eq!(pulled.more, pulled.upto.0 < self.published);
        self.feed = Some(pulled.upto);
        if let Held::Live(at) = self.held {
            let new: Vec<_> = pulled.messages.iter().filter(|m| m.message.offset > at).cloned().collect();
            self.client.receive(Epoch(7), &new);
            self.held = Held::Live(at.max(pulled.upto));
        }
    }

    fn disconnect(&mut self) {
        if !matches!(self.held, Held::Away) {
            self.topic.leave(FEED, &Self::member(), false, self.now_ms, |_| {});
            self.held = Held::Away;
            self.feed = None;
        }
    }

    fn reconnect(&mut self, budget: usize) {
        self.disconnect();
        let since = self.client.position;
        let request =
            JoinRequest { feed: FEED, member: Self::member(), since, last: None, watch: false, budget };
        let joined = self.topic.join(request, self.now_ms, |_| {}).unwrap();
        assert_eq!(joined.offset, Offset(self.published));
        self.feed = Some(joined.offset);
        match joined.recovered {
            Some(true) => self.client.receive(joined.epoch, &joined.past),
            Some(false) | None => {
                assert!(joined.past.is_empty(), "never a partial set");
                self.client.skip_to(joined.epoch, joined.offset);
            }
        }
        self.held = match joined.upto < joined.offset {
            true => Held::Behind(joined.upto),
            false => Held::Live(joined.offset),
        };
    }

    fn catch_up(&mut self, budget: usize) {
        let (Held::Behind(at), Some(feed)) = (&self.held, self.feed) else { return };
        let found = self.topic.catch_up(*at, budget);
        if let Some(next) = found.gap {
            assert!(next > Offset(at.0 + 1), "a gap hides something");
            self.client.skip_to(found.epoch, Offset(next.0 - 1));
        }
        self.client.receive(found.epoch, &found.messages);
        self.held = if found.upto >= feed { Held::Live(found.upto) } else { Held::Behind(found.upto) };
    }

    /// Lets everything settle; then the client stands at the end.
    fn settle(&mut self) {
        self.reconnect(100);
        for _ in 0..10_000 {
            self.catch_up(1_000);
            self.pull(1_000);
            if matches!(self.held, Held::Live(at) if at == Offset(self.published)) {
                break;
            }
        }
        assert_eq!(self.client.position.unwrap().offset, Offset(self.published));
    }
}

fn retention() -> impl Strategy<Value = Retention> {
    (0..40_usize, 1..5_u64, 0..2_000_usize).prop_map(|(count, seconds, bytes)| Retention {
        count,
        age: Duration::from_secs(seconds),
        bytes,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Whatever happens, the client gets every message once and in order, or is told exactly what it missed.
    #[test]
    fn no_hole_and_no_repeat(retention in retention(), steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new(retention);
        world.reconnect(100);
        for step in steps {
            world.run(step);
        }
        world.settle();
        prop_assert!(world.client.got.windows(2).all(|pair| pair[0] < pair[1]));
    }

    /// A history that holds everything loses nothing.
    #[test]
    fn with_room_for_all_nothing_is_lost(steps in prop::collection::vec(step(), 0..120)) {
        let all = Retention { count: 1_000_000, age: Duration::from_secs(1_000_000), bytes: usize::MAX };
        let mut world = World::new(all);
        world.reconnect(100);
        for step in steps {
            world.run(step);
        }
        world.settle();
        prop_assert_eq!(world.client.got.len() as u64, world.published);
    }
}

#[test]
fn another_epoch_is_never_recovered() {
    let mut world = World::new(Retention::default());
    (0..5).for_each(|_| world.publish(3));
    world.client.position = Some(Position { epoch: Epoch(8), offset: Offset(3) });
    world.reconnect(1_000);
    assert_eq!(world.client.position, Some(Position { epoch: Epoch(7), offset: Offset(5) }));
    assert!(world.client.got.is_empty());
}

#[test]
fn a_position_ahead_of_the_topic_is_not_recovered() {
    let mut world = World::new(Retention::default());
    world.publish(3);
    world.client.position = Some(Position { epoch: Epoch(7), offset: Offset(2) });
    world.reconnect(1_000);
    assert_eq!(world.client.position.unwrap().offset, Offset(1));
}

#[test]
fn publishing_is_refused_when_the_shards_are_too_far_behind() {
    let mut world = World::new(Retention { count: 10, age: Duration::from_secs(60), bytes: 1_000 });
    world.reconnect(100);
    let draft = || Draft {
        payload: Payload::Bytes(vec![0; 1024 * 1024].into()),
        key: None,
        message_id: None,
        tags: None,
        from: None,
        not_to: None,
        by: Owner::default(),
    };
    let mut accepted = 0;
    let refusal = loop {
        match world.topic.publish(draft(), None, Asker::nobody, world.now_ms, |_| {}) {
            Ok(_) => accepted += 1,
            Err(refusal) => break refusal,
        }
    };
    assert!(matches!(refusal, NotPublished::Refused(Refusal::Overloaded)));
    assert!((8..=10).contains(&accepted), "{accepted}");
    // Once the shard has pulled, there is room again.
    while world.topic.pull(FEED, usize::MAX).unwrap().more {}
    assert!(world.topic.publish(draft(), None, Asker::nobody, world.now_ms, |_| {}).is_ok());
}
