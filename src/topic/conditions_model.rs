//! Publishes on condition, against the rule: one is taken if and only if it stands on the last message that was numbered, whether
//! that is durable yet or not.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_proto::{Epoch, Offset, Payload, Position};
use proptest::prelude::*;

use super::{
    Asker, Draft, Head, Keeping, Kind, KindRule, Merging, NotPublished, Refusal, Restored, Rule, Topic,
};
use crate::memory::Owner;

const EPOCH: Epoch = Epoch(7);

fn rule(keeping: Keeping) -> Arc<Rule> {
    let kind = KindRule::Document(Merging { max_bytes: 1 << 20, updates: 8 });
    Arc::new(Rule { kind, presence: false, keeping })
}

fn topic(keeping: Keeping) -> Topic {
    Topic::new("doc:a".parse().unwrap(), rule(keeping), EPOCH, 0)
}

fn draft() -> Draft {
    let payload = Payload::Bytes(Bytes::from_static(&[0, 0]));
    Draft { payload, key: None, message_id: None, tags: None, from: None, not_to: None, by: Owner::default() }
}

/// The offset that it got, or where it was refused.
fn publish(topic: &Topic, epoch: Epoch, offset: u64) -> Result<u64, Position> {
    let base = Position { epoch, offset: Offset(offset) };
    match topic.publish_on(base, draft(), None, Asker::nobody, 0, |_| {}) {
        Ok(taken) => Ok(taken.at.offset.0),
        Err(NotPublished::Refused(Refusal::Moved(at))) => Err(at),
        Err(other) => panic!("{other}"),
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// On what is so far behind the last one.
    On(u64),
    /// On the beginning of a topic that was not there.
    OnNothing,
    OnAnotherEpoch,
    Always,
    Commit,
    CommitFails,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u64).prop_map(Step::On),
        1 => Just(Step::OnNothing),
        1 => Just(Step::OnAnotherEpoch),
        2 => Just(Step::Always),
        2 => Just(Step::Commit),
        1 => Just(Step::CommitFails),
    ]
}

proptest! {
    #[test]
    fn what_stands_on_the_last_one_is_taken(
        keeping in prop_oneof![Just(Keeping::Memory), Just(Keeping::Durable), Just(Keeping::DurableSeenEarly)],
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let topic = topic(keeping);
        let mut last: u64 = 0;
        for step in steps {
            let (epoch, base) = match step {
                Step::On(behind) => (EPOCH, last.saturating_sub(behind)),
                Step::OnNothing => (Epoch::FOREIGN, 0),
                Step::OnAnotherEpoch => (Epoch(8), last),
                Step::Always => {
                    last = topic.publish(draft(), None, Asker::nobody, 0, |_| {}).unwrap().at.offset.0;
                    continue;
                }
                Step::Commit | Step::CommitFails => {
                    if keeping != Keeping::Memory {
                        let writing = topic.begin_commit();
                        match step {
                            Step::Commit => drop(topic.committed(writing, 0, |_| {})),
                            _ => drop(topic.not_committed(writing)),
                        }
                    }
                    continue;
                }
            };
            let expected = epoch != Epoch(8) && base == last;
            match publish(&topic, epoch, base) {
                Ok(offset) => {
                    prop_assert!(expected, "{step:?} on {base} of {last}");
                    last = offset;
                }
                Err(at) => {
                    prop_assert!(!expected, "{step:?} on {base} of {last}");
                    prop_assert_eq!(at, Position { epoch: EPOCH, offset: Offset(last) });
                }
            }
        }
    }
}

/// After a crash numbering goes on beyond what may have been handed out, but a change stands on what there is.
#[test]
fn after_a_crash_it_stands_on_what_was_kept() {
    let [last, numbered] = [Offset(3), Offset(70_000)];
    let head = Head { kind: Kind::Document, epoch: EPOCH, last, numbered, evicted: last, damage: 0 };
    let restored = Restored { head, messages: Vec::new(), blocks: Default::default() };
    let topic = Topic::restore("doc:a".parse().unwrap(), rule(Keeping::Durable), restored, 0);
    assert_eq!(publish(&topic, EPOCH, 70_000), Err(Position { epoch: EPOCH, offset: last }));
    assert_eq!(publish(&topic, EPOCH, 3), Ok(70_001));
    assert_eq!(publish(&topic, EPOCH, 3), Err(Position { epoch: EPOCH, offset: Offset(70_001) }));
}

/// What a commit brings that began before the topic was erased does not take its position back.
#[test]
fn an_erased_topic_stays_behind_everything_that_was_numbered() {
    let topic = topic(Keeping::Durable);
    let publish = || topic.publish(draft(), None, Asker::nobody, 0, |_| {}).unwrap().at.offset;
    assert_eq!(publish(), Offset(1));
    let writing = topic.begin_commit();
    assert_eq!(publish(), Offset(2));
    topic.erase(Epoch(9));
    drop(topic.committed(writing, 0, |_| {}));
    assert_eq!(topic.glance().position, Position { epoch: Epoch(9), offset: Offset(2) });
}
