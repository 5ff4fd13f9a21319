//! Of several who write on condition at once, on threads of their own, one is taken.

use std::sync::{Arc, Barrier};

use bytes::Bytes;
use fanwire_proto::{Epoch, Offset, Payload, Position};

use crate::{
    memory::Owner,
    topic::{Asker, Draft, Keeping, KindRule, Merging, Rule, Topic},
};

const EPOCH: Epoch = Epoch(7);

fn topic(keeping: Keeping) -> Topic {
    let kind = KindRule::Document(Merging { max_bytes: 1 << 20, updates: 8 });
    let rule = Arc::new(Rule { kind, presence: false, keeping });
    Topic::new("doc:a".parse().unwrap(), rule, EPOCH, 0)
}

fn is_taken(topic: &Topic, base: u64) -> bool {
    let payload = Payload::Bytes(Bytes::from_static(&[0, 0]));
    let draft = Draft {
        payload,
        key: None,
        message_id: None,
        tags: None,
        from: None,
        not_to: None,
        by: Owner::default(),
    };
    let base = Position { epoch: EPOCH, offset: Offset(base) };
    topic.publish_on(base, draft, None, Asker::nobody, 0, |_| {}).is_ok()
}

#[test]
fn of_many_at_once_one_is_taken() {
    const WRITERS: usize = 4;
    for keeping in [Keeping::Memory, Keeping::Durable, Keeping::DurableSeenEarly] {
        let (topic, start) = (Arc::new(topic(keeping)), Arc::new(Barrier::new(WRITERS)));
        let writer = || {
            let (topic, start) = (topic.clone(), start.clone());
            std::thread::spawn(move || {
                (0..200).map(|round| (start.wait(), is_taken(&topic, round)).1).collect::<Vec<_>>()
            })
        };
        let writers: Vec<_> = (0..WRITERS).map(|_| writer()).collect();
        let taken: Vec<Vec<bool>> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        for round in 0..200 {
            assert_eq!(taken.iter().filter(|taken| taken[round]).count(), 1, "{keeping:?} {round}");
        }
    }
}
